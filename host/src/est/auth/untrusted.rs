//! [`Untrusted`]: why a client's certificate is not taken, and what the client is told.

use std::time::Duration;

use super::Denied;
use crate::est::status::Refusal;

/// Why a certificate is refused; of several reasons the last here tells most.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Untrusted {
    /// From no CA that is trusted.
    Unknown,
    Unusable(String),
    IsCa,
    WrongUse,
    NotYet,
    Expired,
    /// A handler or a list that is needed is not there.
    NoAnswer,
    Revoked,
}

impl From<webpki::Error> for Untrusted {
    fn from(error: webpki::Error) -> Self {
        use webpki::Error as E;
        match error {
            E::UnknownIssuer => Self::Unknown,
            E::CertExpired { .. } => Self::Expired,
            E::CertNotValidYet { .. } => Self::NotYet,
            E::CertRevoked => Self::Revoked,
            E::CaUsedAsEndEntity => Self::IsCa,
            E::RequiredEkuNotFoundContext(_) => Self::WrongUse,
            E::CrlExpired { .. } | E::UnknownRevocationStatus => Self::NoAnswer,
            other => Self::Unusable(other.to_string()),
        }
    }
}

impl Untrusted {
    pub(super) fn denied(self) -> Denied {
        let (reason, text) = match self {
            Self::Unknown => (
                "unknown-ca",
                "your TLS client certificate is from no CA that this label trusts".to_owned(),
            ),
            Self::Unusable(why) => (
                "bad-certificate",
                format!("your TLS client certificate can't be validated: {why}"),
            ),
            Self::IsCa => (
                "ca-certificate",
                "your TLS client certificate is a CA's, not a client's".to_owned(),
            ),
            Self::WrongUse => (
                "wrong-use",
                "your TLS client certificate is not meant for TLS clients (extended key usage)"
                    .to_owned(),
            ),
            Self::NotYet => (
                "not-yet-valid",
                "your TLS client certificate is not valid yet".to_owned(),
            ),
            Self::Expired => (
                "expired-certificate",
                "your TLS client certificate has expired".to_owned(),
            ),
            Self::Revoked => (
                "revoked-certificate",
                "your TLS client certificate is revoked".to_owned(),
            ),
            Self::NoAnswer => {
                let mut refusal = Refusal::unavailable(Duration::from_secs(30));
                refusal.reason =
                    "your TLS client certificate can't be validated at the moment: its \
                    CA's certificate or revocation list is not at hand"
                        .to_owned();
                return Denied::new("no-revocation-list", refusal);
            }
        };
        Denied::new(reason, Refusal::forbidden(text))
    }
}
