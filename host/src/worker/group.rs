//! [`own`]: the group of processes that this one belongs to.

use std::fs;
use std::io::{Error, ErrorKind, Result};

/// `None` for a group from outside of the namespace of processes, as of a server that nsenter(1) or
/// unshare(1) has begun: nothing inside can name it. rustix has no word for that, and may not be asked.
///
/// # Errors
/// There is no `/proc`, or it is another system's.
pub(super) fn own() -> Result<Option<i32>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let unreadable = || Error::new(ErrorKind::InvalidData, "/proc/self/stat has no group");
    let group = read(&stat).ok_or_else(unreadable)?;
    Ok((group > 0).then_some(group))
}

/// proc_pid_stat(5): `pid (comm) state ppid pgrp …`, where comm may hold anything.
fn read(stat: &str) -> Option<i32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_stands_after_the_name() {
        assert_eq!(read("7 (certdock) S 1 42 43 0 -1"), Some(42));
        assert_eq!(read("7 (a) S 1 2 ) S 1 42 43 0 -1"), Some(42));
        assert_eq!(read("7 (certdock) S 0 0 0 0 -1"), Some(0));
        for nonsense in ["", "7 (certdock", "7 (certdock) S 1", "7 (certdock) S 1 x"] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
        assert!(own().is_ok());
    }
}
