//! [`Verdict`]: what a handler's answer means for an enrollment, whichever call it answered. Pure.

use std::time::Duration;

use certdock_plugin_api::{Chain, Enrollment as Answer, Fault, FaultClass, Poll, Recovery};

use crate::handlers::Patience;
use crate::issuance::retry;
use crate::order::{Failure, FailureKind};
use crate::store::{Enrollment, EnrollmentState};
use crate::time::UnixTime;

pub(super) enum Verdict {
    Issued(Chain),
    /// It goes on later.
    Wait {
        state: EnrollmentState,
        wait: Duration,
        reason: String,
    },
    /// Nobody knows whether the CA issued.
    Unknown(Fault),
    Refused(Failure),
}

/// What a verdict depends on beside the answer.
pub(super) struct Facts<'a> {
    pub(super) enrollment: &'a Enrollment,
    pub(super) patience: &'a Patience,
    pub(super) now: UnixTime,
    pub(super) jitter: u8,
}

impl Facts<'_> {
    pub(super) fn on_enroll(&self, answer: Result<Answer, Fault>) -> Verdict {
        match answer {
            Ok(Answer::Issued(chain)) => Verdict::Issued(chain),
            Ok(Answer::Pending {
                poll_id,
                retry_after,
            }) => self.pending(poll_id, retry_after),
            Ok(_) => Verdict::Refused(internal()),
            Err(fault) if leaves_it_open(fault.class) => Verdict::Unknown(fault),
            Err(fault) if fault.class.is_transient() => {
                self.again(EnrollmentState::Deferred, &fault)
            }
            Err(fault) => Verdict::Refused(failure(&fault)),
        }
    }

    /// A poll that meets with a fault of any class leaves the enrollment pending.
    pub(super) fn on_poll(&self, poll_id: &str, answer: Result<Poll, Fault>) -> Verdict {
        match answer {
            Ok(Poll::Issued(chain)) => Verdict::Issued(chain),
            Ok(Poll::Pending {
                poll_id: new,
                retry_after,
            }) => {
                // An empty one would lose the request.
                let poll_id = if new.is_empty() {
                    poll_id.to_owned()
                } else {
                    new
                };
                self.pending(poll_id, retry_after)
            }
            Ok(Poll::Rejected { reason }) => Verdict::Refused(rejected(reason)),
            Ok(_) => Verdict::Refused(internal()),
            Err(fault) => {
                let poll_id = poll_id.to_owned();
                self.again(EnrollmentState::Pending { poll_id }, &fault)
            }
        }
    }

    /// A look-up that meets with a fault leaves the outcome unknown.
    pub(super) fn on_recover(&self, answer: Result<Recovery, Fault>) -> Verdict {
        match answer {
            Ok(Recovery::Issued(chain)) => Verdict::Issued(chain),
            Ok(Recovery::Pending {
                poll_id,
                retry_after,
            }) => self.pending(poll_id, retry_after),
            Ok(Recovery::Rejected { reason }) => Verdict::Refused(rejected(reason)),
            Ok(Recovery::NotFound) => Verdict::Wait {
                state: EnrollmentState::Deferred,
                wait: Duration::ZERO,
                reason: "the CA has no such request; it is asked again".to_owned(),
            },
            Ok(_) => Verdict::Refused(internal()),
            Err(fault) => self.again(EnrollmentState::Requested, &fault),
        }
    }

    /// The handler is to be called again after a fault.
    pub(super) fn again(&self, state: EnrollmentState, fault: &Fault) -> Verdict {
        let attempts = self.enrollment.attempts.saturating_add(1);
        let mut wait = retry::after_fault(attempts, fault.retry_after, self.jitter);
        if matches!(state, EnrollmentState::Pending { .. }) {
            // Faults now and then in a long wait must not slow the rhythm down.
            let usual = retry::before_poll(self.patience, None, self.age(), self.jitter);
            wait = wait.min(usual.max(fault.retry_after.unwrap_or_default()));
        }
        Verdict::Wait {
            state,
            wait,
            reason: fault.to_string(),
        }
    }

    fn pending(&self, poll_id: String, hint: Option<Duration>) -> Verdict {
        Verdict::Wait {
            state: EnrollmentState::Pending { poll_id },
            wait: retry::before_poll(self.patience, hint, self.age(), self.jitter),
            reason: "the CA takes its time".to_owned(),
        }
    }

    fn age(&self) -> Duration {
        self.now.since(self.enrollment.requested_at)
    }
}

/// Whether the CA may have issued although the call failed so.
fn leaves_it_open(class: FaultClass) -> bool {
    matches!(
        class,
        FaultClass::UnknownOutcome | FaultClass::TimedOut | FaultClass::Panicked
    )
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

fn rejected(reason: String) -> Failure {
    let reason = if reason.is_empty() {
        "the CA rejected the request".to_owned()
    } else {
        reason
    };
    Failure::new(FailureKind::Unauthorized, reason)
}

fn internal() -> Failure {
    Failure::new(
        FailureKind::ServerInternal,
        "the CA handler's answer is of an unknown kind",
    )
}
