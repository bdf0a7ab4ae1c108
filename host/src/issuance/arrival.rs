//! Certificates that come by another way than the answer that was waited for: later than the call's
//! deadline, or because the CA sends them by itself. And what becomes of one that is one too many.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use certdock_plugin_api::{Chain, Enrollment as Answer, Fault, RevocationReason};

use crate::handlers::{Handler, LateAnswer};
use crate::ids::{EnrollmentId, HandlerName};
use crate::issuance::check::Checked;
use crate::issuance::verdict::{Facts, Verdict};
use crate::issuance::{Issuance, Outcome};
use crate::observe::{audit, metrics};
use crate::store::{
    Certificate, Enrollment, EnrollmentState, OpenRevocation, Result, RevocationState,
};
use crate::time::UnixTime;
use crate::x509::public_key_of;

/// Enrollments that one push may be about: a key that is used for more is not looked for further.
const MOST: usize = 32;

impl Issuance {
    /// Polls at once what a handler knows by this poll id: for a CA that says that it has news. One
    /// look-up by index; unknown ids have no outcomes.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn poll_now(
        self: &Arc<Self>,
        handler: &HandlerName,
        poll_id: &str,
    ) -> Result<Vec<(EnrollmentId, Outcome)>> {
        let found = self
            .store
            .enrollments_by_poll_id(handler, poll_id, MOST)
            .await?;
        let mut outcomes = Vec::new();
        for enrollment in found {
            // One that is being polled brings the news itself.
            let Some(claim) = self.in_flight.claim(&enrollment) else {
                continue;
            };
            let Some(current) = self.store.enrollment(enrollment.id).await? else {
                continue;
            };
            outcomes.push((enrollment.id, self.go_on(current, &claim).await));
        }
        Ok(outcomes)
    }

    /// Takes a certificate that the CA sends by itself. It is found by its public key among the
    /// enrollments that the handler is asked for, that are pending, or of which the outcome is or was
    /// unknown. The one it belongs to is completed at once, and a second one for it is kept and
    /// revoked. `None` if it belongs to none of them.
    ///
    /// # Errors
    /// The store can't be read or written.
    pub async fn deliver(
        self: &Arc<Self>,
        handler: &HandlerName,
        chain: Chain,
    ) -> Result<Option<(EnrollmentId, Outcome)>> {
        let key = chain
            .certificates
            .first()
            .and_then(|der| public_key_of(der));
        let (Some(key), Some(handler)) = (key, self.handlers.get(handler.as_str())) else {
            return Ok(None);
        };
        let handler = &handler;
        let hash = key_hash(&key);
        let mut found = Vec::new();
        for id in self.in_flight.with_key(&hash) {
            found.extend(self.store.enrollment(id).await?);
        }
        found.retain(|enrollment| enrollment.handler == *handler.name());
        let others = self
            .store
            .enrollments_by_key(handler.name(), &hash, MOST)
            .await?;
        for other in others {
            if found.iter().all(|known| known.id != other.id) {
                found.push(other);
            }
        }
        // Those that still wait first: a key may have had certificates before.
        found.sort_by_key(is_finished);
        for enrollment in found {
            let checked = self
                .check(handler, &enrollment, Some(key.clone()), chain.clone())
                .await;
            match checked {
                Checked::Good(certificate) => {
                    let outcome = self.deliver_checked(&enrollment, certificate).await?;
                    return Ok(Some((enrollment.id, outcome)));
                }
                Checked::Incomplete { .. } if !is_finished(&enrollment) => {
                    let verdict = Verdict::Issued(chain);
                    let outcome = self.settle(handler, &enrollment, None, verdict).await?;
                    return Ok(Some((enrollment.id, outcome)));
                }
                Checked::Incomplete { reason, .. } => {
                    tracing::warn!(enrollment = %enrollment.id, reason, "a certificate was sent twice");
                }
                Checked::Wrong { error, .. } => {
                    tracing::warn!(enrollment = %enrollment.id, %error, "the CA sent another certificate");
                }
            }
        }
        Ok(None)
    }

    /// Waits for the answer of a call that nobody waits for any more.
    pub(super) fn await_late(
        self: &Arc<Self>,
        handler: &Arc<Handler>,
        enrollment: EnrollmentId,
        late: LateAnswer<Answer>,
    ) {
        let (engine, handler) = (Arc::clone(self), Arc::clone(handler));
        // Not one of the tasks that a shutdown waits for: a call that hangs has no end.
        tokio::spawn(async move {
            let Ok(answer) = late.await else { return };
            if let Err(error) = engine.take_late(&handler, enrollment, answer).await {
                tracing::error!(%enrollment, %error, "a late answer was not written down");
            }
        });
    }

    async fn take_late(
        self: &Arc<Self>,
        handler: &Arc<Handler>,
        id: EnrollmentId,
        answer: Result<Answer, Fault>,
    ) -> Result<()> {
        tracing::info!(enrollment = %id, handler = %handler.name(), ok = answer.is_ok(), "a late answer");
        let Some(enrollment) = self.store.enrollment(id).await? else {
            return Ok(());
        };
        if let Ok(Answer::Issued(chain)) = answer {
            match self.check(handler, &enrollment, None, chain.clone()).await {
                Checked::Good(certificate) => {
                    self.deliver_checked(&enrollment, certificate).await?;
                }
                Checked::Incomplete { .. } | Checked::Wrong { .. } => {
                    let verdict = Verdict::Issued(chain);
                    self.settle(handler, &enrollment, None, verdict).await?;
                }
            }
            return Ok(());
        }
        let Some(_claim) = self.in_flight.claim(&enrollment) else {
            return Ok(());
        };
        let Some(current) = self.store.enrollment(id).await? else {
            return Ok(());
        };
        // What else it says matters only as long as nobody has gone on without it.
        match current.state {
            EnrollmentState::Held | EnrollmentState::Requested | EnrollmentState::Deferred => {}
            _ => return Ok(()),
        }
        let [jitter] = crate::random::bytes();
        let facts = Facts {
            enrollment: &current,
            patience: handler.patience(),
            now: UnixTime::now(),
            jitter,
        };
        match facts.on_enroll(answer) {
            Verdict::Unknown(_) => {}
            verdict => {
                self.settle(handler, &current, None, verdict).await?;
            }
        }
        Ok(())
    }

    /// A certificate came for an enrollment that had ended. If it is another one than was delivered, it
    /// is kept for the operator and revoked.
    pub(super) async fn keep_if_surplus(
        &self,
        id: EnrollmentId,
        mut certificate: Certificate,
    ) -> Result<()> {
        let Some(enrollment) = self.store.enrollment(id).await? else {
            return Ok(());
        };
        let delivered = match enrollment.state {
            EnrollmentState::Issued { certificate } => self.store.certificate(certificate).await?,
            EnrollmentState::Failed { .. } => None,
            _ => return Ok(()),
        };
        // A handler that signs the same once more has made no other certificate, though the signature
        // may differ; to revoke that one would be to revoke what was delivered.
        if delivered.as_ref().is_some_and(|delivered| {
            delivered.serial == certificate.serial && delivered.handler == certificate.handler
        }) {
            return Ok(());
        }
        let now = UnixTime::now();
        certificate.withheld = true;
        let revocation = OpenRevocation {
            certificate: certificate.id,
            handler: certificate.handler.clone(),
            reason: RevocationReason::Superseded,
            requested_at: now,
            request_id: enrollment.request_id.clone(),
            state: RevocationState::Accepted,
            attempts: 0,
            next_attempt: now,
            problem: None,
        };
        let (surplus, handler) = (certificate.clone(), certificate.handler.clone());
        if self.store.keep_surplus(certificate, revocation).await? {
            audit::certificate_surplus(&enrollment, &surplus, delivered.as_ref());
            metrics::enrollment(handler.as_str(), "surplus");
            self.turns.due_at(&handler, now);
        }
        Ok(())
    }
}

fn is_finished(enrollment: &Enrollment) -> bool {
    matches!(
        enrollment.state,
        EnrollmentState::Issued { .. } | EnrollmentState::Failed { .. }
    )
}

/// By which a certificate finds its enrollment.
pub(super) fn key_hash(public_key: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, public_key).as_ref());
    hash
}
