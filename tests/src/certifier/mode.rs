//! [`Mode`]: what becomes of a request for a certificate.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail};

/// Written as `automatic`, `manual`, `reject`, `never`, `slow:SECONDS` or `later:SECONDS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// Issued at once, in the answer to the request.
    #[default]
    Automatic,
    /// Pending until an operator decides.
    Manual,
    /// Taken, then rejected as if by an operator.
    Reject,
    /// Issued at once, but the answer is held back for so long.
    Slow(Duration),
    /// Pending, and accepted by itself after so long.
    Later(Duration),
    /// Pending for good: an operator can't decide it either.
    Never,
}

impl FromStr for Mode {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, anyhow::Error> {
        let (word, seconds) = match text.split_once(':') {
            Some((word, seconds)) => (word, Some(seconds)),
            None => (text, None),
        };
        let span = || -> Result<Duration, anyhow::Error> {
            let seconds = seconds.with_context(|| format!("{word} takes seconds: {word}:30"))?;
            let seconds: f64 = seconds.parse().context("seconds are a number")?;
            Duration::try_from_secs_f64(seconds).context("seconds are a number")
        };
        Ok(match word {
            "automatic" => Self::Automatic,
            "manual" => Self::Manual,
            "reject" => Self::Reject,
            "never" => Self::Never,
            "slow" => Self::Slow(span()?),
            "later" => Self::Later(span()?),
            _ => bail!(
                "no mode {word}: automatic, manual, reject, never, slow:SECONDS, later:SECONDS"
            ),
        })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Automatic => f.write_str("automatic"),
            Self::Manual => f.write_str("manual"),
            Self::Reject => f.write_str("reject"),
            Self::Never => f.write_str("never"),
            Self::Slow(span) => write!(f, "slow:{}", span.as_secs_f64()),
            Self::Later(span) => write!(f, "later:{}", span.as_secs_f64()),
        }
    }
}
