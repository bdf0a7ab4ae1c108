//! [`Settings`]: what is to be checked and how; [`Job`]: one check of it, as the child gets it.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::worker::Limits;

/// What all checks of one run have in common.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    pub file: PathBuf,
    /// Of the file as it was when the run began, if it could be read.
    pub sha256: Option<String>,
    /// The handler's own configuration (JSON); without one, an empty one is tried.
    pub config: Option<String>,
    /// What relative paths in it are relative to.
    pub base_dir: PathBuf,
    /// What certificates are asked for.
    pub names: Vec<String>,
    /// How long a call may take.
    pub deadline: Duration,
    /// What a worker process may use.
    pub limits: Limits,
    /// How long a pending certificate is waited for.
    pub patience: Duration,
    /// How long a check may take.
    pub timeout: Duration,
    /// How often loops call.
    pub rounds: u32,
    /// What the fuzzed requests follow from.
    pub seed: u64,
    /// The public key of whoever signed the file.
    pub key: Option<String>,
    /// Whether certificates may be asked for.
    pub issue: bool,
}

/// One check.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    pub check: String,
    /// What the check's former process left, if this is not the first.
    pub memo: Option<Value>,
    pub settings: Settings,
}
