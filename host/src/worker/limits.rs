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
    /// How long a call may go on past its deadline before the worker counts as stuck: another one takes
    /// its place, and it is killed.
    pub overdue: Duration,
    /// What it may read beside what the handler's configuration names.
    pub read: Vec<PathBuf>,
    /// What it may read and write beside that.
    pub write: Vec<PathBuf>,
}

impl Limits {
    /// What a worker does that will soon reach its limits, as the end of a sentence that begins with
    /// "its worker process".
    pub(super) fn nearly_reached(&self, usage: &Usage) -> Option<String> {
        let nearly = |used: u64, limit: u64| used > limit / 4 * 3;
        let mebibytes = |bytes: u64| bytes >> 20;
        if nearly(usage.data, self.memory) {
            let (used, limit) = (mebibytes(usage.data), mebibytes(self.memory));
            Some(format!(
                "uses {used} of the {limit} MiB that limits.memory allows"
            ))
        } else if nearly(usage.open_files, self.files) {
            let (open, limit) = (usage.open_files, self.files);
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
