//! [`Limits`]: what a worker may use.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

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
