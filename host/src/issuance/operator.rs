//! What an operator may do about an enrollment that waits.

use std::sync::Arc;

use crate::ids::EnrollmentId;
use crate::issuance::Issuance;
use crate::observe::audit;
use crate::order::{Failure, FailureKind};
use crate::store::{EnrollmentState, Pause, Waiting};
use crate::time::UnixTime;

/// Why an enrollment was not touched.
#[derive(Debug, thiserror::Error)]
pub enum NotWaiting {
    #[error("its enrollment has ended already")]
    Ended,
    #[error("the CA is being asked this very moment; look again when that call has ended")]
    UnderWay,
    #[error(transparent)]
    Store(#[from] crate::store::Error),
}

impl Issuance {
    /// Has the handler called at once: the CA is asked again if the enrollment is held, polled if it is
    /// pending.
    ///
    /// # Errors
    /// It has ended, or a call is under way.
    pub async fn retry(self: &Arc<Self>, id: EnrollmentId) -> Result<(), NotWaiting> {
        let enrollment = self.store.enrollment(id).await?.ok_or(NotWaiting::Ended)?;
        let Some(claim) = self.in_flight.claim(&enrollment) else {
            return Err(NotWaiting::UnderWay);
        };
        let enrollment = self.store.enrollment(id).await?.ok_or(NotWaiting::Ended)?;
        let now = UnixTime::now();
        let (state, reason) = match enrollment.state.clone() {
            EnrollmentState::Issued { .. } | EnrollmentState::Failed { .. } => {
                return Err(NotWaiting::Ended);
            }
            EnrollmentState::Held => (
                EnrollmentState::Deferred,
                "an operator has it asked for again".to_owned(),
            ),
            state => {
                let said = enrollment.waiting.as_ref();
                (
                    state,
                    said.map_or(String::new(), |said| said.reason.clone()),
                )
            }
        };
        let pause = Pause {
            state,
            attempts: enrollment.attempts,
            next_attempt: now,
            waiting: Waiting { since: now, reason },
            doubtful: enrollment.doubtful,
        };
        if !self.store.put_off_enrollment(id, pause).await? {
            return Err(NotWaiting::Ended);
        }
        audit::enrollment_retried(&enrollment);
        drop(claim);
        self.turns.of(&enrollment.handler).wake();
        Ok(())
    }

    /// Ends an enrollment, and its order with it. A certificate that still comes is kept and revoked.
    ///
    /// # Errors
    /// It has ended.
    pub async fn cancel(&self, id: EnrollmentId) -> Result<(), NotWaiting> {
        let enrollment = self.store.enrollment(id).await?.ok_or(NotWaiting::Ended)?;
        let failure = Failure::new(
            FailureKind::ServerInternal,
            "an operator of the server cancelled it",
        );
        if !self.store.fail_enrollment(id, failure, None).await? {
            return Err(NotWaiting::Ended);
        }
        audit::enrollment_cancelled(&enrollment);
        Ok(())
    }
}
