//! The detached signature that may lie beside a plugin's file, unread: whether it holds, `trust` says.

use std::fs::{Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Real ones have some 300 bytes.
const LARGEST: u64 = 4096;

/// Where the signature of a plugin's file is, if it has one.
pub(crate) fn file(plugin: &Path) -> PathBuf {
    let mut name = plugin.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}

/// The text beside a plugin's file, if there is one. Never waits, whatever the name leads to.
///
/// # Errors
/// There is something that is no signature, or that can't be read.
pub(crate) fn read(plugin: &Path) -> io::Result<Option<String>> {
    // Asked before opening, since opening a device may do something.
    let metadata = match std::fs::metadata(file(plugin)) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    check(&metadata)?;
    // A pipe would have whoever opens it wait for somebody at its other end.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(file(plugin))?;
    // And again, since the name may lead elsewhere by now.
    check(&file.metadata()?)?;
    let mut text = String::new();
    file.take(LARGEST).read_to_string(&mut text)?;
    Ok(Some(text))
}

fn check(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() && metadata.len() <= LARGEST {
        return Ok(());
    }
    let reason = format!("it is no regular file of at most {LARGEST} bytes");
    Err(io::Error::new(ErrorKind::InvalidData, reason))
}
