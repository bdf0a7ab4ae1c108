//! The system's files that every worker may read.

use std::os::unix::fs::MetadataExt as _;

/// Libraries, other programs, the certificates of public CAs, names and time zones.
pub(super) const READ: [&str; 32] = [
    "/bin",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/etc/gai.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/locale.alias",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pki",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl",
    "/etc/timezone",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc",
    "/run/NetworkManager",
    "/run/resolvconf",
    "/run/systemd/resolve",
    "/sbin",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/usr",
];

pub(super) const DEVICES: [&str; 5] = [
    "/dev/full",
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
];

/// Files of `READ` that others replace while we run. A worker may read the file that was there when it
/// started, and not one that has come in its place since; so it is then replaced too.
const CHANGING: [&str; 4] = [
    "/etc/hosts",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
];

/// Which files these are now.
pub(super) type Fingerprint = [Option<(u64, u64)>; CHANGING.len()];

pub(super) fn fingerprint() -> Fingerprint {
    CHANGING.map(|path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    })
}
