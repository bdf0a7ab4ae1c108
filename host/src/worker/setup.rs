//! [`Setup`]: how a handler is to be opened, wherever its code runs.

use std::path::PathBuf;
use std::time::Duration;

use super::Limits;

/// All that opening a handler takes beside its plugin and the host's services.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The handler's name, for the log.
    pub name: String,
    /// Its configuration, JSON.
    pub config: String,
    /// What relative paths in the configuration are relative to.
    pub base_dir: PathBuf,
    /// The server's own files and folders. No right is given to a folder that holds one of them, unless
    /// `limits` say so.
    pub keep_out: Vec<PathBuf>,
    /// Files by which the server knows its clients. No right is given to them for the sake of a file that
    /// lies beside them.
    pub apart: Vec<PathBuf>,
    /// How long one call may take.
    pub deadline: Duration,
    /// Calls at once.
    pub threads: usize,
    pub limits: Limits,
}
