//! [`Failure`]: why a command did not do what was asked, and the exit status that says so.

use std::io;
use std::process::ExitCode;

use crate::config::Mistakes;

#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Each mistake on its own line.
    #[error("{0}")]
    Configuration(#[from] Mistakes),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Failed(String),
    #[error("the output can't be written: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// 1: it failed; 2: it was asked for wrongly, on the command line or in the configuration.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Configuration(_) | Self::Usage(_) => ExitCode::from(2),
            Self::Failed(_) | Self::Output(_) => ExitCode::FAILURE,
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<Mistakes>() {
            Ok(mistakes) => Self::Configuration(mistakes),
            Err(error) => Self::Failed(format!("{error:#}")),
        }
    }
}

impl From<crate::store::Error> for Failure {
    fn from(error: crate::store::Error) -> Self {
        Self::Failed(error.to_string())
    }
}
