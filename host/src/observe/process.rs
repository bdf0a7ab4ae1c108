//! What the kernel says of this process, and of workers.

use std::fs;

/// Bytes of memory in use, and the most there were.
pub(super) struct Memory {
    pub(super) resident: u64,
    pub(super) peak: u64,
}

/// What a worker uses now.
#[derive(Clone, Default)]
pub struct Usage {
    /// Bytes of memory in use.
    pub resident: u64,
    /// Bytes of data that it has asked for, as RLIMIT_DATA counts them.
    pub data: u64,
    pub open_files: u64,
    pub threads: u64,
}

/// `None` if there is no such process.
pub(super) fn usage(pid: u32) -> Option<Usage> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    // Not everybody may look there.
    let entries = |folder| {
        let entries = fs::read_dir(format!("/proc/{pid}/{folder}"));
        entries.map_or(0, |entries| entries.count() as u64)
    };
    Some(Usage {
        resident: field(&status, "VmRSS:")?,
        data: field(&status, "VmData:")?,
        open_files: entries("fd"),
        threads: entries("task"),
    })
}

/// `None` where there is no `/proc`.
pub(super) fn memory() -> Option<Memory> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    Some(Memory {
        resident: field(&status, "VmRSS:")?,
        peak: field(&status, "VmHWM:")?,
    })
}

/// proc_pid_status(5): "VmRSS:      1234 kB"
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

pub(super) fn open_files() -> Option<usize> {
    // Without the one that reads the directory.
    Some(
        fs::read_dir("/proc/self/fd")
            .ok()?
            .count()
            .saturating_sub(1),
    )
}

/// With those that a plugin inside the server has left behind.
pub(super) fn threads() -> Option<usize> {
    Some(fs::read_dir("/proc/self/task").ok()?.count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen() {
        let memory = memory().unwrap();
        assert!(memory.resident > 100_000 && memory.resident <= memory.peak);
        assert!(open_files().unwrap() > 2);
        assert!(threads().unwrap() > 0);
        let usage = usage(std::process::id()).unwrap();
        assert!(usage.resident > 100_000 && usage.open_files > 2 && usage.threads > 0);
    }

    #[test]
    fn a_line_of_status() {
        let status = "VmPeak:\t  9 kB\nVmRSS:\t   1234 kB\n";
        assert_eq!(field(status, "VmRSS:"), Some(1_263_616));
        assert_eq!(field(status, "VmHWM:"), None);
    }
}
