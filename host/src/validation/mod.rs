//! Proving control of names: http-01, dns-01, tls-alpn-01 behind one trait.
//!
//! Whoever asks for a certificate decides what is looked up and dialled here. So every connection
//! goes through `dial`, which dials only what `policy` permits; everything read is bounded; and
//! nothing read is told.

mod dial;
mod dns01;
mod http01;
mod key_proof;
mod policy;
mod resolver;
mod target;
#[cfg(test)]
mod testing;
mod tls_alpn01;
mod unverified;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use crate::config;
use crate::order::{ChallengeType, DnsName, Failure, FailureKind, Token};
use crate::validation::dial::Dialer;
use crate::validation::http01::Http01;
use crate::validation::policy::AddressPolicy;
use crate::validation::resolver::Resolver;
use crate::validation::tls_alpn01::TlsAlpn01;

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

/// Looks for it where the RFCs say.
#[derive(Debug)]
pub struct RealValidator {
    dialer: Dialer,
    http01: Http01,
    tls_alpn01: TlsAlpn01,
    timeout: Duration,
    slots: Semaphore,
}

impl RealValidator {
    /// # Errors
    /// The system's resolvers can't be read, or the TLS library can't be set up.
    pub fn new(config: &config::Validation) -> anyhow::Result<Self> {
        let resolver = match config.resolver {
            Some(server) => Resolver::new(server),
            None => Resolver::from_system(Path::new(RESOLV_CONF))
                .map_err(|error| anyhow::anyhow!("can't read {RESOLV_CONF}: {error}"))?,
        };
        let policy = AddressPolicy::new(config.allow.clone(), config.deny.clone());
        Ok(Self {
            dialer: Dialer::new(resolver, policy),
            http01: Http01::new(config.http01_port, &config.redirect_ports)?,
            tls_alpn01: TlsAlpn01::new(config.tls_alpn01_port)?,
            timeout: config.timeout,
            slots: Semaphore::new(config.concurrency),
        })
    }

    async fn check(&self, proof: &Proof) -> Result<(), Failure> {
        match proof.kind {
            ChallengeType::Http01 => self.http01.check(&self.dialer, proof).await,
            ChallengeType::Dns01 => dns01::check(self.dialer.resolver(), proof).await,
            ChallengeType::TlsAlpn01 => self.tls_alpn01.check(&self.dialer, proof).await,
        }
    }
}

const RESOLV_CONF: &str = "/etc/resolv.conf";

#[async_trait]
impl Validator for RealValidator {
    async fn validate(&self, proof: &Proof) -> Result<(), Failure> {
        // The wait for a slot is ours, not the client's: it does not count as its time.
        let Ok(_slot) = self.slots.acquire().await else {
            return Err(Failure::new(
                FailureKind::ServerInternal,
                "the server is stopping",
            ));
        };
        match tokio::time::timeout(self.timeout, self.check(proof)).await {
            Ok(result) => result,
            Err(_) => Err(out_of_time(proof)),
        }
    }
}

fn out_of_time(proof: &Proof) -> Failure {
    let kind = match proof.kind {
        ChallengeType::Dns01 => FailureKind::Dns,
        ChallengeType::Http01 | ChallengeType::TlsAlpn01 => FailureKind::Connection,
    };
    Failure::new(
        kind,
        format!(
            "checking {} for {} took too long",
            proof.kind.as_str(),
            proof.name
        ),
    )
}

#[cfg(test)]
mod tests;
