//! One attempt at an enrollment: call the handler, then write down what came of it.

use std::time::Duration;

use certdock_plugin_api::{
    Chain, EnrollRequest, Enrollment as Answer, Fault, FaultClass, Poll, PollRequest,
};

use crate::handlers::Handler;
use crate::issuance::check::{Rejected, check};
use crate::issuance::in_flight::Claim;
use crate::issuance::{COME_BACK, Issuance, Outcome, retry};
use crate::observe::{audit, metrics};
use crate::order::{Failure, FailureKind};
use crate::store::{Certificate, Enrollment, EnrollmentState, Result};
use crate::time::UnixTime;
use crate::x509::Csr;

/// What a handler's answer means for an enrollment, whichever call it answered.
enum Verdict {
    Issued(Chain),
    Pending { poll_id: String, wait: Duration },
    TryAgain { wait: Duration },
    Refused(Failure),
}

impl Issuance {
    /// Calls the handler once. The claim shows that nobody else does.
    pub(super) async fn attempt(
        &self,
        enrollment: Enrollment,
        public_key: Option<Vec<u8>>,
        _claim: &Claim,
    ) -> Outcome {
        let outcome = match self.handlers.get(enrollment.handler.as_str()) {
            Some(handler) => self.attempt_with(handler, &enrollment, public_key).await,
            None => {
                self.wait_for_a_day(&enrollment, None, retry::OUT_OF_SERVICE)
                    .await
            }
        };
        outcome.unwrap_or_else(|error| {
            // The journal still has it as unfinished, so it will be taken up again.
            tracing::error!(enrollment = %enrollment.id, %error, "enrollment not written down");
            Outcome::Processing {
                retry_after: COME_BACK,
            }
        })
    }

    async fn attempt_with(
        &self,
        handler: &Handler,
        enrollment: &Enrollment,
        public_key: Option<Vec<u8>>,
    ) -> Result<Outcome> {
        let verdict = match &enrollment.state {
            EnrollmentState::Requested => {
                let answer = handler.enroll(enroll_request(enrollment)).await;
                on_enroll(enrollment, answer)
            }
            EnrollmentState::Pending { poll_id } => {
                let answer = handler.poll(poll_request(enrollment, poll_id)).await;
                on_poll(enrollment, answer)
            }
            EnrollmentState::Issued { .. } | EnrollmentState::Failed { .. } => {
                return Ok(Outcome::Superseded);
            }
        };
        match verdict {
            Verdict::Issued(chain) => self.accept(enrollment, public_key, handler, chain).await,
            Verdict::Pending { poll_id, wait } => {
                self.wait_for_a_day(enrollment, Some(poll_id), wait).await
            }
            Verdict::TryAgain { wait } => self.wait_for_a_day(enrollment, None, wait).await,
            Verdict::Refused(failure) => self.refuse(enrollment, failure, None).await,
        }
    }

    /// Checks what the handler issued before anyone sees it, and stores it.
    async fn accept(
        &self,
        enrollment: &Enrollment,
        public_key: Option<Vec<u8>>,
        handler: &Handler,
        chain: Chain,
    ) -> Result<Outcome> {
        // After a restart the key is read from the CSR again; it was good when it was stored.
        let public_key = public_key
            .or_else(|| Csr::parse(&enrollment.csr).ok().map(|csr| csr.public_key))
            .unwrap_or_default();
        let now = UnixTime::now();
        match check(enrollment, &public_key, handler, &self.verified, chain, now).await {
            Ok(certificate) => {
                let (id, serial) = (certificate.id, certificate.serial.clone());
                if !self
                    .store
                    .complete_enrollment(enrollment.id, certificate)
                    .await?
                {
                    return Ok(Outcome::Superseded);
                }
                audit::certificate_issued(enrollment, id, &serial);
                metrics::enrollment(enrollment.handler.as_str(), "issued");
                Ok(Outcome::Issued(id))
            }
            Err(Rejected { error, withheld }) => {
                audit::certificate_withheld(enrollment, withheld.as_ref(), &error);
                let failure = Failure::new(
                    FailureKind::ServerInternal,
                    "the CA returned a certificate that is not what was asked for",
                );
                self.refuse(enrollment, failure, withheld).await
            }
        }
    }

    async fn refuse(
        &self,
        enrollment: &Enrollment,
        failure: Failure,
        withheld: Option<Certificate>,
    ) -> Result<Outcome> {
        let ended = self
            .store
            .fail_enrollment(enrollment.id, failure.clone(), withheld)
            .await?;
        audit::enrollment_failed(enrollment, &failure);
        metrics::enrollment(enrollment.handler.as_str(), "failed");
        Ok(if ended {
            Outcome::Failed(failure)
        } else {
            Outcome::Superseded
        })
    }

    /// Writes down when to go on, and with which poll id if the handler gave one.
    async fn wait_for_a_day(
        &self,
        enrollment: &Enrollment,
        poll_id: Option<String>,
        wait: Duration,
    ) -> Result<Outcome> {
        let now = UnixTime::now();
        if now.since(enrollment.requested_at) > retry::GIVE_UP {
            let failure = Failure::new(
                FailureKind::ServerInternal,
                "the CA did not issue the certificate within a day",
            );
            return self.refuse(enrollment, failure, None).await;
        }
        let (id, next) = (enrollment.id, now.plus(wait));
        let attempts = enrollment.attempts.saturating_add(1);
        match poll_id {
            Some(poll_id) => {
                self.store
                    .pend_enrollment(id, poll_id, attempts, next)
                    .await?
            }
            None => self.store.postpone_enrollment(id, attempts, next).await?,
        };
        self.wake.notify_one();
        Ok(Outcome::Processing { retry_after: wait })
    }
}

fn on_enroll(enrollment: &Enrollment, answer: Result<Answer, Fault>) -> Verdict {
    match answer {
        Ok(Answer::Issued(chain)) => Verdict::Issued(chain),
        Ok(Answer::Pending {
            poll_id,
            retry_after,
        }) => Verdict::Pending {
            poll_id,
            wait: retry::before_poll(retry_after),
        },
        Ok(_) => Verdict::Refused(internal()),
        Err(fault) if retry::is_worth_it(fault.class) => try_again(enrollment, &fault),
        Err(fault) => {
            log_fault(enrollment, &fault);
            Verdict::Refused(failure(&fault))
        }
    }
}

/// A poll that meets with a fault of any class leaves the enrollment pending.
fn on_poll(enrollment: &Enrollment, answer: Result<Poll, Fault>) -> Verdict {
    match answer {
        Ok(Poll::Issued(chain)) => Verdict::Issued(chain),
        Ok(Poll::Pending {
            poll_id,
            retry_after,
        }) => Verdict::Pending {
            poll_id,
            wait: retry::before_poll(retry_after),
        },
        Ok(Poll::Rejected { reason }) => {
            Verdict::Refused(Failure::new(FailureKind::Unauthorized, reason))
        }
        Ok(_) => Verdict::Refused(internal()),
        Err(fault) => try_again(enrollment, &fault),
    }
}

fn try_again(enrollment: &Enrollment, fault: &Fault) -> Verdict {
    log_fault(enrollment, fault);
    let [jitter] = crate::random::bytes();
    let attempts = enrollment.attempts.saturating_add(1);
    Verdict::TryAgain {
        wait: retry::after_fault(attempts, fault.retry_after, jitter),
    }
}

fn log_fault(enrollment: &Enrollment, fault: &Fault) {
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

/// The one table from a handler's final fault to what a client is told.
fn failure(fault: &Fault) -> Failure {
    let kind = match fault.class {
        FaultClass::Malformed => FailureKind::BadCsr,
        FaultClass::Denied => FailureKind::RejectedIdentifier,
        _ => FailureKind::ServerInternal,
    };
    Failure::new(kind, fault.public.clone())
}

fn internal() -> Failure {
    Failure::new(
        FailureKind::ServerInternal,
        "the CA handler's answer is of an unknown kind",
    )
}

fn enroll_request(enrollment: &Enrollment) -> EnrollRequest {
    let identifiers = enrollment.identifiers.iter().map(Into::into).collect();
    let mut request = EnrollRequest::new(
        enrollment.id.to_string(),
        enrollment.csr.clone(),
        identifiers,
    );
    request.profile = enrollment.profile.clone();
    request.not_before = enrollment.not_before.map(Into::into);
    request.not_after = enrollment.not_after.map(Into::into);
    request.requested_at = enrollment.requested_at.into();
    request.protocol = enrollment.protocol;
    request.endpoint = enrollment.endpoint.to_string();
    request.requester = enrollment.requester.clone();
    request.request_id = enrollment.request_id.clone();
    request
}

fn poll_request(enrollment: &Enrollment, poll_id: &str) -> PollRequest {
    let mut request = PollRequest::new(enrollment.id.to_string(), poll_id, enrollment.csr.clone());
    request.request_id = enrollment.request_id.clone();
    request
}
