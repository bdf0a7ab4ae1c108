//! [`Limits`]: what a worker may use.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::observe::Usage;

/// `[handlers.NAME.limits]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of data: heap, stacks, private mappings (RLIMIT_DATA). More can't be had.
    pub memory: u64,
    /// Open files and sockets (RLIMIT_NOFILE).
    pub files: u64,
    /// Time on the processor over the worker's whole life (RLIMIT_CPU), after which it is killed and
    /// another one started.
    pub cpu: Option<Duration>,
    /// How long a call may go on past its deadline, and how long what the worker is sent may lie unread
    /// (a second at least), before it counts as stuck: another one takes its place, and it is killed.
    pub overdue: Duration,
    /// What it may read beside what the handler's configuration names.
    pub read: Vec<PathBuf>,
    /// What it may read and write beside that.
    pub write: Vec<PathBuf>,
}

impl Limits {
    /// What a worker does that will soon reach its limits, as the end of a sentence that begins with
    /// "its worker process". What it used from the beginning is not held against it.
    pub(super) fn nearly_reached(&self, first: &Usage, now: &Usage) -> Option<String> {
        let nearly = |first: u64, now: u64, limit: u64| {
            now > first + limit.saturating_sub(first) / 4 * 3 && now > limit / 4 * 3
        };
        let mebibytes = |bytes: u64| bytes >> 20;
        if nearly(first.data, now.data, self.memory) {
            let (used, limit) = (mebibytes(now.data), mebibytes(self.memory));
            Some(format!(
                "uses {used} of the {limit} MiB that limits.memory allows"
            ))
        } else if nearly(first.open_files, now.open_files, self.files) {
            let (open, limit) = (now.open_files, self.files);
            Some(format!(
                "has {open} of the {limit} files open that limits.files allows"
            ))
        } else {
            None
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 1 << 30,
            files: 1024,
            cpu: None,
            overdue: Duration::from_secs(30),
            read: Vec::new(),
            write: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_near_a_limit_is_told() {
        let limits = Limits {
            memory: 64 << 20,
            files: 100,
            ..Limits::default()
        };
        let usage = |mebibytes: u64, open_files| Usage {
            data: mebibytes << 20,
            open_files,
            ..Usage::default()
        };
        let told = |first, now| limits.nearly_reached(&first, &now);
        assert_eq!(told(usage(8, 9), usage(50, 70)), None);
        let memory = told(usage(8, 9), usage(51, 9)).unwrap();
        assert_eq!(memory, "uses 51 of the 64 MiB that limits.memory allows");
        let files = told(usage(8, 9), usage(9, 80)).unwrap();
        assert_eq!(
            files,
            "has 80 of the 100 files open that limits.files allows"
        );
        // One that needs that much, and no more, may have it.
        assert_eq!(told(usage(56, 90), usage(57, 91)), None);
        assert!(told(usage(56, 90), usage(63, 91)).is_some());
    }
}
