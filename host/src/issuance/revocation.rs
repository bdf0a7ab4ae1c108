//! Revoking a certificate at the CA that issued it: accepted, sent, confirmed. What has been sent and
//! not answered is sent again until the CA has said yes or no.

use std::time::Duration;

use certdock_plugin_api::{Fault, FaultClass, RevocationReason, RevokeRequest};

use crate::config::RevocationPolicy;
use crate::issuance::in_flight::Claim;
use crate::issuance::{GRACE, Issuance, retry};
use crate::observe::audit;
use crate::store::{Certificate, OpenRevocation, Result, RevocationState};
use crate::time::UnixTime;

/// Why a certificate was not revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevocationError {
    #[error("the certificate is revoked already")]
    AlreadyRevoked,
    #[error("the CA behind this certificate is not in service")]
    Unavailable { retry_after: Duration },
    #[error("the CA behind this certificate does not revoke")]
    Unsupported,
    /// The CA refused; its public sentence.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Store(#[from] crate::store::Error),
}

/// How far a revocation got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// The CA has confirmed it.
    Confirmed,
    /// It is in the journal, and the CA is asked until it has.
    Accepted,
}

/// What the CA said to a revocation.
enum Reply {
    Done {
        already: bool,
    },
    /// It did nothing, and may later.
    NotNow(Fault),
    /// It may have done it.
    Unknown(Fault),
    Never(Fault),
}

impl Issuance {
    /// Has a certificate revoked. The journal has it before the CA does.
    ///
    /// # Errors
    /// Why the certificate was not revoked by this call.
    pub async fn revoke(
        &self,
        certificate: &Certificate,
        reason: RevocationReason,
        request_id: &str,
        policy: RevocationPolicy,
    ) -> Result<Revoked, RevocationError> {
        if certificate.revocation.is_some() {
            return Err(RevocationError::AlreadyRevoked);
        }
        let now = UnixTime::now();
        let mut revocation = OpenRevocation {
            certificate: certificate.id,
            handler: certificate.handler.clone(),
            reason,
            requested_at: now,
            request_id: request_id.to_owned(),
            state: RevocationState::Sent,
            attempts: 0,
            next_attempt: now.plus(self.deadline_of(certificate) + GRACE),
            problem: None,
        };
        let Some(claim) = self.in_flight.claim_revocation(certificate.id) else {
            return in_good_hands(policy);
        };
        // An entry that was there before is not this try's to withdraw: the CA may have done what it
        // was sent then, or somebody was told that it will be done.
        let is_new = self.store.begin_revocation(revocation.clone()).await?;
        if !is_new {
            match self.store.open_revocation(certificate.id).await? {
                // Asked for before, and not done yet: another chance at once.
                Some(open) => revocation = open,
                None => return Err(RevocationError::AlreadyRevoked),
            }
        }
        let accepted_before = revocation.state == RevocationState::Accepted;
        let reply = self.send(certificate, &revocation, &claim).await;
        match reply {
            Reply::Done { already } => {
                self.confirm(certificate, &revocation).await?;
                if already {
                    return Err(RevocationError::AlreadyRevoked);
                }
                Ok(Revoked::Confirmed)
            }
            Reply::NotNow(fault) | Reply::Unknown(fault)
                if policy == RevocationPolicy::Queued || accepted_before =>
            {
                audit::revocation_accepted(certificate, reason, request_id);
                self.put_off(revocation, RevocationState::Accepted, &fault)
                    .await?;
                Ok(Revoked::Accepted)
            }
            Reply::NotNow(fault) if is_new => {
                self.store.withdraw_revocation(certificate.id).await?;
                Err(unavailable(&fault))
            }
            Reply::NotNow(fault) | Reply::Unknown(fault) => {
                // The CA may have done it: it is asked until our record says what its does.
                self.put_off(revocation, RevocationState::Sent, &fault)
                    .await?;
                Err(unavailable(&fault))
            }
            Reply::Never(fault) => {
                if is_new {
                    self.store.withdraw_revocation(certificate.id).await?;
                } else {
                    self.keep_refused(certificate, revocation, &fault).await?;
                }
                Err(match fault.class {
                    FaultClass::Unsupported => RevocationError::Unsupported,
                    _ => RevocationError::Refused(fault.public),
                })
            }
        }
    }

    /// Sends a revocation of the journal again.
    pub(super) async fn go_on_revoking(&self, revocation: OpenRevocation, claim: &Claim) {
        let id = revocation.certificate;
        if let Err(error) = self.try_going_on(revocation, claim).await {
            tracing::error!(certificate = %id, %error, "a revocation was not written down");
        }
    }

    async fn try_going_on(&self, revocation: OpenRevocation, claim: &Claim) -> Result<()> {
        let Some(certificate) = self.store.certificate(revocation.certificate).await? else {
            return Ok(());
        };
        let as_it_was = revocation.state;
        match self.send(&certificate, &revocation, claim).await {
            Reply::Done { .. } => self.confirm(&certificate, &revocation).await,
            Reply::NotNow(fault) | Reply::Unknown(fault) => {
                self.put_off(revocation, as_it_was, &fault).await
            }
            Reply::Never(fault) => self.keep_refused(&certificate, revocation, &fault).await,
        }
    }

    /// For the operator: who asked first was told something else.
    async fn keep_refused(
        &self,
        certificate: &Certificate,
        mut revocation: OpenRevocation,
        fault: &Fault,
    ) -> Result<()> {
        audit::revocation_refused(certificate, fault);
        revocation.state = RevocationState::Refused;
        revocation.problem = Some(fault.to_string());
        self.store.put_off_revocation(revocation).await.map(drop)
    }

    async fn send(
        &self,
        certificate: &Certificate,
        revocation: &OpenRevocation,
        _claim: &Claim,
    ) -> Reply {
        let Some(handler) = self.handlers.get(certificate.handler.as_str()) else {
            return Reply::NotNow(Fault::busy("there is no such handler any more"));
        };
        let mut request = RevokeRequest::new(certificate.der.clone(), revocation.reason);
        request.revoked_at = revocation.requested_at.into();
        request.request_id = revocation.request_id.clone();
        let Err(fault) = handler.revoke(request).await else {
            return Reply::Done { already: false };
        };
        tracing::warn!(certificate = %certificate.id, handler = %certificate.handler, %fault, "the handler did not revoke");
        match fault.class {
            // Our own call may have done it: one that was cut off.
            FaultClass::AlreadyRevoked => Reply::Done {
                already: revocation.attempts == 0,
            },
            FaultClass::TimedOut | FaultClass::Panicked | FaultClass::UnknownOutcome => {
                Reply::Unknown(fault)
            }
            FaultClass::Unsupported | FaultClass::Malformed | FaultClass::Denied => {
                Reply::Never(fault)
            }
            _ => Reply::NotNow(fault),
        }
    }

    async fn confirm(&self, certificate: &Certificate, revocation: &OpenRevocation) -> Result<()> {
        let reason = revocation.reason;
        let (id, at) = (certificate.id, revocation.requested_at);
        if self.store.mark_revoked(id, reason, at).await? {
            audit::certificate_revoked(certificate, reason, &revocation.request_id);
        }
        Ok(())
    }

    async fn put_off(
        &self,
        mut revocation: OpenRevocation,
        state: RevocationState,
        fault: &Fault,
    ) -> Result<()> {
        let [jitter] = crate::random::bytes();
        revocation.attempts = revocation.attempts.saturating_add(1);
        let wait = retry::after_fault(revocation.attempts, fault.retry_after, jitter);
        revocation.next_attempt = UnixTime::now().plus(wait);
        revocation.state = state;
        revocation.problem = Some(fault.to_string());
        let (handler, next) = (revocation.handler.clone(), revocation.next_attempt);
        self.store.put_off_revocation(revocation).await?;
        self.turns.due_at(&handler, next);
        Ok(())
    }

    fn deadline_of(&self, certificate: &Certificate) -> Duration {
        self.handlers
            .get(certificate.handler.as_str())
            .map_or(Duration::ZERO, |handler| handler.deadline())
    }
}

/// Somebody else is at it this very moment.
fn in_good_hands(policy: RevocationPolicy) -> Result<Revoked, RevocationError> {
    match policy {
        RevocationPolicy::Queued => Ok(Revoked::Accepted),
        RevocationPolicy::AtOnce => Err(RevocationError::Unavailable {
            retry_after: Duration::from_secs(2),
        }),
    }
}

fn unavailable(fault: &Fault) -> RevocationError {
    RevocationError::Unavailable {
        retry_after: fault.retry_after.unwrap_or(retry::OUT_OF_SERVICE),
    }
}
