//! Proving control of names: http-01, dns-01, tls-alpn-01 behind one trait.

use async_trait::async_trait;

use crate::order::{ChallengeType, DnsName, Failure, Token};

/// One challenge to check.
#[derive(Clone, Debug)]
pub struct Proof {
    pub kind: ChallengeType,
    pub name: DnsName,
    pub token: Token,
    /// RFC 8555 §8.1: token, ".", thumbprint.
    pub key_authorization: String,
}

/// Looks for the proof that a challenge asks for.
#[async_trait]
pub trait Validator: Send + Sync {
    /// # Errors
    /// What was missing or wrong, in words for the client.
    async fn validate(&self, proof: &Proof) -> Result<(), Failure>;
}
