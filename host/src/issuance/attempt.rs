//! One attempt at an enrollment: call the handler, then write down what came of it.

use std::sync::Arc;
use std::time::Duration;

use certdock_plugin_api::{Chain, Enrollment as Answer, Fault};

use crate::handlers::{Handler, LateAnswer, OnUnknown, Patience};
use crate::issuance::call::{enroll_request, poll_request, recover_request};
use crate::issuance::check::{Checked, check};
use crate::issuance::in_flight::Claim;
use crate::issuance::verdict::{Facts, Verdict};
use crate::issuance::{COME_BACK, GRACE, Issuance, Outcome, retry};
use crate::observe::{audit, metrics};
use crate::order::{Failure, FailureKind};
use crate::store::{Certificate, Enrollment, EnrollmentState, Pause, Result, Waiting};
use crate::time::UnixTime;
use crate::x509::Csr;

/// What `Handler::enroll` gives.
pub(super) type EnrollAnswer = (Result<Answer, Fault>, Option<LateAnswer<Answer>>);

impl Issuance {
    /// Goes on with an enrollment as it was read after it was claimed.
    pub(super) async fn go_on(self: &Arc<Self>, enrollment: Enrollment, _claim: &Claim) -> Outcome {
        let outcome = match self.handlers.get(enrollment.handler.as_str()) {
            Some(handler) => self.go_on_with(&handler, &enrollment).await,
            None => self.without_handler(&enrollment).await,
        };
        written(&enrollment, outcome)
    }

    async fn go_on_with(
        self: &Arc<Self>,
        handler: &Arc<Handler>,
        enrollment: &Enrollment,
    ) -> Result<Outcome> {
        match &enrollment.state {
            EnrollmentState::Deferred => {
                let deadline = UnixTime::now().plus(handler.deadline() + GRACE);
                // On disk before the CA hears of it: after a crash the outcome would be unknown.
                if !self.store.ask_enrollment(enrollment.id, deadline).await? {
                    return Ok(Outcome::Superseded);
                }
                self.ask(handler, enrollment, None).await
            }
            EnrollmentState::Requested => self.find_out(handler, enrollment).await,
            EnrollmentState::Pending { poll_id } => {
                let answer = handler.poll(poll_request(enrollment, poll_id)).await;
                log_fault(enrollment, answer.as_ref().err());
                let verdict = facts(handler, enrollment).on_poll(poll_id, answer);
                self.settle(handler, enrollment, None, verdict).await
            }
            EnrollmentState::Received { chain } => {
                let verdict = Verdict::Issued(chain.clone());
                self.settle(handler, enrollment, None, verdict).await
            }
            EnrollmentState::Held
            | EnrollmentState::Issued { .. }
            | EnrollmentState::Failed { .. } => Ok(Outcome::Superseded),
        }
    }

    /// Asks the handler for an enrollment that is in the journal.
    pub(super) async fn ask(
        self: &Arc<Self>,
        handler: &Arc<Handler>,
        enrollment: &Enrollment,
        public_key: Option<Vec<u8>>,
    ) -> Result<Outcome> {
        let answer = handler.enroll(enroll_request(enrollment)).await;
        self.answered(handler, enrollment, public_key, answer).await
    }

    /// Does what an answer says, and awaits the one that is late.
    pub(super) async fn answered(
        self: &Arc<Self>,
        handler: &Arc<Handler>,
        enrollment: &Enrollment,
        public_key: Option<Vec<u8>>,
        (answer, late): EnrollAnswer,
    ) -> Result<Outcome> {
        log_fault(enrollment, answer.as_ref().err());
        let verdict = facts(handler, enrollment).on_enroll(answer);
        let outcome = self.settle(handler, enrollment, public_key, verdict).await;
        if let Some(late) = late {
            self.await_late(handler, enrollment.id, late);
        }
        outcome
    }

    /// A call was cut off: what became of it?
    async fn find_out(
        self: &Arc<Self>,
        handler: &Arc<Handler>,
        enrollment: &Enrollment,
    ) -> Result<Outcome> {
        let Some(abilities) = handler.abilities().filter(|_| handler.is_serving()) else {
            return self.until_in_service(handler, enrollment).await;
        };
        let verdict = if abilities.recover {
            let answer = handler.recover(recover_request(enrollment)).await;
            log_fault(enrollment, answer.as_ref().err());
            facts(handler, enrollment).on_recover(answer)
        } else {
            Verdict::Unknown(Fault::unknown_outcome(
                "the call to the CA was cut off, since the server stopped",
            ))
        };
        self.settle(handler, enrollment, None, verdict).await
    }

    /// Does what a verdict says, on disk.
    pub(super) async fn settle(
        self: &Arc<Self>,
        handler: &Arc<Handler>,
        enrollment: &Enrollment,
        public_key: Option<Vec<u8>>,
        verdict: Verdict,
    ) -> Result<Outcome> {
        let patience = handler.patience();
        match verdict {
            Verdict::Issued(chain) => {
                let checked = self.check(handler, enrollment, public_key, chain).await;
                self.accept(handler, enrollment, checked).await
            }
            Verdict::Wait {
                state,
                wait,
                reason,
            } => self.wait(patience, enrollment, state, wait, reason).await,
            Verdict::Unknown(fault) => self.on_unknown(handler, enrollment, &fault).await,
            Verdict::Refused(failure) => self.refuse(enrollment, failure, None).await,
        }
    }

    /// Nobody knows whether the CA issued. Asking again would make a second certificate, unless the
    /// handler can tell.
    async fn on_unknown(
        &self,
        handler: &Handler,
        enrollment: &Enrollment,
        fault: &Fault,
    ) -> Result<Outcome> {
        let facts = facts(handler, enrollment);
        // Very likely it is down by now, for this very fault: what it was able to do counts.
        let Some(abilities) = handler.abilities() else {
            return self.until_in_service(handler, enrollment).await;
        };
        let again = if abilities.idempotent || abilities.stateless {
            EnrollmentState::Deferred
        } else if abilities.recover {
            EnrollmentState::Requested
        } else {
            return match handler.patience().on_unknown {
                OnUnknown::Hold => self.hold(enrollment, fault).await,
                OnUnknown::Retry => {
                    audit::enrollment_repeated(enrollment, fault);
                    metrics::enrollment(enrollment.handler.as_str(), "repeated");
                    let doubtful = Enrollment {
                        doubtful: true,
                        ..enrollment.clone()
                    };
                    let verdict = facts.again(EnrollmentState::Deferred, fault);
                    self.wait_as(handler.patience(), &doubtful, verdict).await
                }
            };
        };
        let verdict = facts.again(again, fault);
        self.wait_as(handler.patience(), enrollment, verdict).await
    }

    /// What the handler is able to do is found out later, and the outcome with it.
    async fn until_in_service(
        &self,
        handler: &Handler,
        enrollment: &Enrollment,
    ) -> Result<Outcome> {
        let wait = retry::OUT_OF_SERVICE;
        let state = EnrollmentState::Requested;
        let reason = "the handler is not in service".to_owned();
        self.wait(handler.patience(), enrollment, state, wait, reason)
            .await
    }

    async fn hold(&self, enrollment: &Enrollment, fault: &Fault) -> Result<Outcome> {
        let now = UnixTime::now();
        let pause = Pause {
            state: EnrollmentState::Held,
            attempts: enrollment.attempts.saturating_add(1),
            next_attempt: now,
            waiting: Waiting {
                since: now,
                reason: format!("it is unknown whether the CA issued: {fault}"),
            },
            doubtful: true,
        };
        if self.store.put_off_enrollment(enrollment.id, pause).await? {
            audit::enrollment_held(enrollment, fault);
            metrics::enrollment(enrollment.handler.as_str(), "held");
        }
        Ok(Outcome::Processing {
            retry_after: retry::WHILE_HELD,
        })
    }

    async fn wait_as(
        &self,
        patience: &Patience,
        enrollment: &Enrollment,
        verdict: Verdict,
    ) -> Result<Outcome> {
        match verdict {
            Verdict::Wait {
                state,
                wait,
                reason,
            } => self.wait(patience, enrollment, state, wait, reason).await,
            _ => Ok(Outcome::Superseded),
        }
    }

    /// Stores what the handler issued, if anyone may see it.
    pub(super) async fn accept(
        &self,
        handler: &Handler,
        enrollment: &Enrollment,
        checked: Checked,
    ) -> Result<Outcome> {
        match checked {
            Checked::Good(certificate) => self.deliver_checked(enrollment, certificate).await,
            Checked::Incomplete { chain, reason } => {
                let state = EnrollmentState::Received { chain };
                let wait = retry::after_fault(enrollment.attempts.saturating_add(1), None, 0);
                if self.is_too_old(handler.patience(), enrollment) {
                    return self.give_up_incomplete(enrollment, &state).await;
                }
                self.wait(handler.patience(), enrollment, state, wait, reason)
                    .await
            }
            Checked::Wrong { error, withheld } => {
                audit::certificate_withheld(enrollment, withheld.as_ref(), &error);
                let failure = Failure::new(
                    FailureKind::ServerInternal,
                    "the CA returned a certificate that is not what was asked for",
                );
                self.refuse(enrollment, failure, withheld).await
            }
        }
    }

    pub(super) async fn check(
        &self,
        handler: &Arc<Handler>,
        enrollment: &Enrollment,
        public_key: Option<Vec<u8>>,
        chain: Chain,
    ) -> Checked {
        // After a restart the key is read from the CSR again; it was good when it was stored.
        let public_key = public_key
            .or_else(|| Csr::parse(&enrollment.csr).ok().map(|csr| csr.public_key))
            .unwrap_or_default();
        let now = UnixTime::now();
        check(enrollment, &public_key, handler, &self.verified, chain, now).await
    }

    /// Stores a certificate that has been checked; one that comes second is one too many.
    pub(super) async fn deliver_checked(
        &self,
        enrollment: &Enrollment,
        certificate: Certificate,
    ) -> Result<Outcome> {
        if self
            .store
            .complete_enrollment(enrollment.id, certificate.clone())
            .await?
        {
            audit::certificate_issued(enrollment, certificate.id, &certificate.serial);
            metrics::enrollment(enrollment.handler.as_str(), "issued");
            return Ok(Outcome::Issued(Box::new(certificate)));
        }
        self.keep_if_surplus(enrollment.id, certificate).await?;
        Ok(Outcome::Superseded)
    }

    /// The certificate is there, and nothing leads from it to a CA: kept for the operator.
    async fn give_up_incomplete(
        &self,
        enrollment: &Enrollment,
        state: &EnrollmentState,
    ) -> Result<Outcome> {
        let EnrollmentState::Received { chain } = state else {
            return Ok(Outcome::Superseded);
        };
        let withheld = crate::issuance::check::withheld(enrollment, &chain.certificates);
        let reason = "its chain could not be completed";
        audit::certificate_withheld(enrollment, withheld.as_ref(), &reason);
        let failure = Failure::new(
            FailureKind::ServerInternal,
            "the chain of the certificate could not be completed",
        );
        self.refuse(enrollment, failure, withheld).await
    }

    pub(super) async fn refuse(
        &self,
        enrollment: &Enrollment,
        failure: Failure,
        withheld: Option<Certificate>,
    ) -> Result<Outcome> {
        let ended = self
            .store
            .fail_enrollment(enrollment.id, failure.clone(), withheld)
            .await?;
        if !ended {
            return Ok(Outcome::Superseded);
        }
        audit::enrollment_failed(enrollment, &failure);
        metrics::enrollment(enrollment.handler.as_str(), "failed");
        Ok(Outcome::Failed(failure))
    }

    pub(super) async fn without_handler(&self, enrollment: &Enrollment) -> Result<Outcome> {
        let reason = format!("there is no handler '{}' any more", enrollment.handler);
        let state = enrollment.state.clone();
        let wait = retry::OUT_OF_SERVICE;
        self.wait(&Patience::default(), enrollment, state, wait, reason)
            .await
    }

    fn is_too_old(&self, patience: &Patience, enrollment: &Enrollment) -> bool {
        UnixTime::now().since(enrollment.requested_at) > patience.give_up_after
    }

    /// Writes down how and when to go on.
    async fn wait(
        &self,
        patience: &Patience,
        enrollment: &Enrollment,
        state: EnrollmentState,
        wait: Duration,
        reason: String,
    ) -> Result<Outcome> {
        if self.is_too_old(patience, enrollment) {
            let limit = retry::in_words(patience.give_up_after);
            let detail = format!("the CA did not issue the certificate within {limit}");
            let failure = Failure::new(FailureKind::ServerInternal, detail);
            return self.refuse(enrollment, failure, None).await;
        }
        let now = UnixTime::now();
        let goes_on_waiting =
            std::mem::discriminant(&state) == std::mem::discriminant(&enrollment.state);
        let since = match &enrollment.waiting {
            Some(waiting) if goes_on_waiting => waiting.since,
            _ => now,
        };
        let next = now.plus(wait);
        let pause = Pause {
            state,
            attempts: enrollment.attempts.saturating_add(1),
            next_attempt: next,
            waiting: Waiting { since, reason },
            doubtful: enrollment.doubtful,
        };
        self.store.put_off_enrollment(enrollment.id, pause).await?;
        self.turns.due_at(&enrollment.handler, next);
        Ok(Outcome::Processing {
            retry_after: retry::news(wait),
        })
    }
}

fn facts<'a>(handler: &'a Handler, enrollment: &'a Enrollment) -> Facts<'a> {
    let [jitter] = crate::random::bytes();
    Facts {
        enrollment,
        patience: handler.patience(),
        now: UnixTime::now(),
        jitter,
    }
}

pub(super) fn written(enrollment: &Enrollment, outcome: Result<Outcome>) -> Outcome {
    outcome.unwrap_or_else(|error| {
        // The journal still has it as unfinished, so it will be taken up again.
        tracing::error!(enrollment = %enrollment.id, %error, "enrollment not written down");
        Outcome::Processing {
            retry_after: COME_BACK,
        }
    })
}

fn log_fault(enrollment: &Enrollment, fault: Option<&Fault>) {
    let Some(fault) = fault else { return };
    tracing::warn!(
        enrollment = %enrollment.id,
        handler = %enrollment.handler,
        request_id = enrollment.request_id,
        attempt = enrollment.attempts.saturating_add(1),
        code = fault.code,
        %fault,
        "the handler did not issue"
    );
}
