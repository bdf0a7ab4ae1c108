//! What the kernel says of this process, for checks of what a plugin leaves behind.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use super::verdict::Stop;

/// Bytes of memory that this process has asked for, touched or not.
pub(super) fn memory() -> Result<u64, Stop> {
    let kibibytes = status_field("VmData:")?;
    let kibibytes: Option<u64> = kibibytes.strip_suffix(" kB").and_then(|n| n.parse().ok());
    Ok(kibibytes.ok_or_else(unknown)? * 1024)
}

/// Open descriptors, with what each leads to.
pub(super) fn descriptors() -> Result<BTreeMap<String, String>, Stop> {
    let entries = fs::read_dir("/proc/self/fd").map_err(|error| {
        Stop::failed(format!("not even a folder can be opened any more: {error}"))
    })?;
    let mut found = BTreeMap::new();
    for entry in entries.flatten() {
        // The one that reads the folder leads to nothing by now.
        if let Ok(target) = fs::read_link(entry.path()) {
            let name = entry.file_name().to_string_lossy().into_owned();
            found.insert(name, target.to_string_lossy().into_owned());
        }
    }
    found.retain(|_, target| !target.ends_with("/fd"));
    Ok(found)
}

pub(super) fn threads() -> Result<usize, Stop> {
    status_field("Threads:")?.parse().map_err(|_| unknown())
}

/// Signals that this process ignores or handles, as the kernel writes them.
pub(super) fn signals() -> Result<[String; 2], Stop> {
    Ok([status_field("SigIgn:")?, status_field("SigCgt:")?])
}

pub(super) fn umask() -> Result<String, Stop> {
    status_field("Umask:")
}

/// Processes that this one has started and not taken leave of.
pub(super) fn children() -> Result<usize, Stop> {
    let mut count = 0;
    for task in fs::read_dir("/proc/self/task")
        .map_err(|_| unknown())?
        .flatten()
    {
        let list = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        count += list.split_whitespace().count();
    }
    Ok(count)
}

/// What `count` comes to once it has come down to `at_most`, or after the time is up: threads and the
/// like may take a moment to go.
pub(super) fn settles(
    at_most: usize,
    count: impl Fn() -> Result<usize, Stop>,
) -> Result<usize, Stop> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let end = Instant::now() + PATIENCE;
    loop {
        let now = count()?;
        if now <= at_most || Instant::now() >= end {
            return Ok(now);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// proc_pid_status(5): `NAME:\tVALUE`
fn status_field(name: &str) -> Result<String, Stop> {
    let status = fs::read_to_string("/proc/self/status").map_err(|_| unknown())?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    Ok(line.ok_or_else(unknown)?.trim().to_owned())
}

fn unknown() -> Stop {
    Stop::skipped("this system's /proc does not say")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen() {
        assert!(memory().unwrap() > 100_000);
        assert!(threads().unwrap() > 0);
        let before = descriptors().unwrap().len();
        let file = fs::File::open("/proc/self/status").unwrap();
        assert!(
            descriptors()
                .unwrap()
                .values()
                .any(|t| t.ends_with("/status"))
        );
        drop(file);
        assert!(before > 0 && umask().unwrap().starts_with('0'));
        let mut child = std::process::Command::new("sleep")
            .arg("9")
            .spawn()
            .unwrap();
        assert!(children().unwrap() > 0);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
