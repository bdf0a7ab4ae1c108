//! [`Failure`]: why an order, an authorization or a challenge became invalid.

use serde::{Deserialize, Serialize};

/// The kinds of failure a client may be told of (RFC 8555 §6.7). `acme::problem` maps them to URNs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    BadCsr,
    Caa,
    Connection,
    Dns,
    IncorrectResponse,
    RejectedIdentifier,
    ServerInternal,
    Tls,
    Unauthorized,
}

/// A failure as it is stored with what failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub kind: FailureKind,
    /// One sentence for the client. Never holds what a validation fetched, nor inner addresses.
    pub detail: String,
}

impl Failure {
    #[must_use]
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }
}
