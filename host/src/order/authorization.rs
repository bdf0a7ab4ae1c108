//! [`Authorization`] and its challenges (RFC 8555 §7.1.4, §7.1.5).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, AuthorizationId, EndpointName};
use crate::order::{DnsName, Failure, Identifier};
use crate::time::UnixTime;

/// An account's permission, or its attempt, to speak for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    pub id: AuthorizationId,
    pub account: AccountId,
    pub endpoint: EndpointName,
    pub name: DnsName,
    pub wildcard: bool,
    pub created: UnixTime,
    pub expires: UnixTime,
    pub state: AuthorizationState,
    pub challenges: Vec<Challenge>,
}

impl Authorization {
    /// The status to show and to decide by: the stored state, and time.
    #[must_use]
    pub fn status(&self, now: UnixTime) -> AuthorizationStatus {
        let expired = now >= self.expires;
        match self.state {
            AuthorizationState::Pending if expired => AuthorizationStatus::Invalid,
            AuthorizationState::Pending => AuthorizationStatus::Pending,
            AuthorizationState::Valid if expired => AuthorizationStatus::Expired,
            AuthorizationState::Valid => AuthorizationStatus::Valid,
            AuthorizationState::Invalid => AuthorizationStatus::Invalid,
            AuthorizationState::Deactivated => AuthorizationStatus::Deactivated,
            AuthorizationState::Revoked => AuthorizationStatus::Revoked,
        }
    }

    #[must_use]
    pub fn identifier(&self) -> Identifier {
        Identifier {
            name: self.name.clone(),
            wildcard: self.wildcard,
        }
    }

    #[must_use]
    pub fn challenge(&self, kind: ChallengeType) -> Option<&Challenge> {
        self.challenges
            .iter()
            .find(|challenge| challenge.kind == kind)
    }
}

/// What is stored of an authorization's status; time adds the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizationState {
    Pending,
    Valid,
    Invalid,
    Deactivated,
    Revoked,
}

impl AuthorizationState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Deactivated => "deactivated",
            Self::Revoked => "revoked",
        }
    }
}

/// RFC 8555 §7.1.6
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizationStatus {
    Pending,
    Valid,
    Invalid,
    Deactivated,
    Expired,
    Revoked,
}

impl AuthorizationStatus {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Deactivated => "deactivated",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// One way to prove control of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    pub kind: ChallengeType,
    pub token: Token,
    pub state: ChallengeState,
}

/// How the server looks for the proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ChallengeType {
    /// RFC 8555 §8.3
    #[serde(rename = "http-01")]
    Http01,
    /// RFC 8555 §8.4
    #[serde(rename = "dns-01")]
    Dns01,
    /// RFC 8737 §3
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

impl ChallengeType {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }

    /// Whether it can prove control of a wildcard (RFC 8555 §8.3, RFC 8737 §3: they can't).
    #[must_use]
    pub fn serves_wildcards(self) -> bool {
        match self {
            Self::Dns01 => true,
            Self::Http01 | Self::TlsAlpn01 => false,
        }
    }
}

impl FromStr for ChallengeType {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "http-01" => Ok(Self::Http01),
            "dns-01" => Ok(Self::Dns01),
            "tls-alpn-01" => Ok(Self::TlsAlpn01),
            _ => Err(()),
        }
    }
}

impl fmt::Display for ChallengeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// RFC 8555 §7.1.6, challenges. Each state carries what is known in it and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChallengeState {
    Pending,
    /// The client has responded and was told that the check goes on.
    Processing,
    Valid {
        validated: UnixTime,
    },
    Invalid {
        failure: Failure,
        validated: UnixTime,
    },
}

/// A challenge's token: 256 random bits, base64url (RFC 8555 §8.1 asks for 128).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    #[must_use]
    pub fn random() -> Self {
        use base64::Engine as _;
        let bytes: [u8; 32] = crate::random::bytes();
        Self(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
