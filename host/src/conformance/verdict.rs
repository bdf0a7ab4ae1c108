//! [`Verdict`]: how a check ends in its own process, and [`Ending`], how it is told to the other one.

use certdock_plugin_api::Fault;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a check returns: a word about what was seen, or why it stopped.
pub(super) type Verdict = Result<String, Stop>;

/// Why a check went no further.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stop {
    /// The plugin does not do what it must. One sentence.
    Failed(String),
    /// Nothing can be said, and why.
    Skipped(String),
    /// The check goes on in a new process, which gets this.
    Again(Value),
}

impl Stop {
    pub(super) fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }

    pub(super) fn skipped(text: impl Into<String>) -> Self {
        Self::Skipped(text.into())
    }

    /// A fault that `what` should not have answered with.
    pub(super) fn fault(what: &str, fault: &Fault) -> Self {
        Self::Failed(format!("`{what}` answered with the fault {fault}"))
    }
}

/// Stops with `text` unless it is so.
pub(super) fn ensure(so: bool, text: impl FnOnce() -> String) -> Result<(), Stop> {
    if so {
        Ok(())
    } else {
        Err(Stop::Failed(text()))
    }
}

/// A verdict between processes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Ending {
    Passed(String),
    Failed(String),
    Skipped(String),
    Again(Value),
}

impl From<Verdict> for Ending {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Ok(detail) => Self::Passed(detail),
            Err(Stop::Failed(reason)) => Self::Failed(reason),
            Err(Stop::Skipped(reason)) => Self::Skipped(reason),
            Err(Stop::Again(memo)) => Self::Again(memo),
        }
    }
}
