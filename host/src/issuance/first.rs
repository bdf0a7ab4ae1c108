//! The first call of an enrollment. It is in the journal before the CA hears of it, but for handlers
//! that are `stateless`: of a call to them that is cut off nothing is left, so the enrollment and the
//! certificate are written down together, in one commit in place of two.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use certdock_plugin_api::Enrollment as Answer;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::handlers::Handler;
use crate::issuance::attempt::written;
use crate::issuance::call::enroll_request;
use crate::issuance::check::Checked;
use crate::issuance::in_flight::Claim;
use crate::issuance::{Issuance, Outcome};
use crate::observe::{audit, metrics};
use crate::store::{Certificate, Enrollment, EstRequest, Result};

/// How long a call may go on without an entry in the journal. A client is kept waiting for longer: it
/// must not be told to come back for what a crash could still undo.
const UNRECORDED: Duration = Duration::from_millis(500);

/// An enrollment that nothing was done for.
pub(super) struct New {
    pub(super) enrollment: Enrollment,
    pub(super) repeatable: Option<EstRequest>,
    /// Of the CSR, as DER.
    pub(super) public_key: Vec<u8>,
    /// Told whether the enrollment is in the journal, as soon as that is known.
    pub(super) recorded: oneshot::Sender<Result<bool>>,
}

impl Issuance {
    /// The outcome; `None` if the enrollment could not be written down. The claim shows that nobody
    /// else works on it.
    pub(super) async fn first(self: &Arc<Self>, new: New, _claim: &Claim) -> Option<Outcome> {
        let handler = self.handlers.get(new.enrollment.handler.as_str());
        if let Some(handler) = handler.as_ref().filter(|handler| is_stateless(handler)) {
            return self.ask_then_record(handler, new).await;
        }
        let (enrollment, public_key) = self.record(new).await?;
        let outcome = match handler {
            Some(handler) => self.ask(&handler, &enrollment, Some(public_key)).await,
            None => self.without_handler(&enrollment).await,
        };
        Some(written(&enrollment, outcome))
    }

    async fn ask_then_record(
        self: &Arc<Self>,
        handler: &Arc<Handler>,
        mut new: New,
    ) -> Option<Outcome> {
        let mut call = pin!(handler.enroll(enroll_request(&new.enrollment)));
        let answer = match timeout(UNRECORDED, &mut call).await {
            Ok((Ok(Answer::Issued(chain)), None)) => {
                let public_key = std::mem::take(&mut new.public_key);
                let checked = self
                    .check(handler, &new.enrollment, Some(public_key), chain)
                    .await;
                if let Checked::Good(certificate) = checked {
                    return self.record_issued(new, certificate).await;
                }
                let (enrollment, _) = self.record(new).await?;
                let outcome = self.accept(handler, &enrollment, checked).await;
                return Some(written(&enrollment, outcome));
            }
            Ok(answer) => Some(answer),
            Err(_) => None,
        };
        let (enrollment, public_key) = self.record(new).await?;
        let answer = match answer {
            Some(answer) => answer,
            None => call.await,
        };
        let outcome = self.answered(handler, &enrollment, Some(public_key), answer);
        Some(written(&enrollment, outcome.await))
    }

    /// Writes down that the enrollment has begun. What goes on with it, if it did.
    async fn record(&self, new: New) -> Option<(Enrollment, Vec<u8>)> {
        let enrollment = new.enrollment.clone();
        let stored = match new.repeatable {
            Some(request) => self.store.begin_est_enrollment(enrollment, request).await,
            None => self.store.begin_enrollment(enrollment).await,
        };
        let goes_on = matches!(stored, Ok(true));
        let _ = new.recorded.send(stored);
        goes_on.then_some((new.enrollment, new.public_key))
    }

    /// Writes down the enrollment and what came of it.
    async fn record_issued(&self, new: New, certificate: Certificate) -> Option<Outcome> {
        let stored = self
            .store
            .record_issued(new.enrollment.clone(), new.repeatable, certificate.clone())
            .await;
        let is_issued = matches!(stored, Ok(true));
        let _ = new.recorded.send(stored);
        is_issued.then(|| {
            audit::certificate_issued(&new.enrollment, certificate.id, &certificate.serial);
            metrics::enrollment(new.enrollment.handler.as_str(), "issued");
            Outcome::Issued(Box::new(certificate))
        })
    }
}

fn is_stateless(handler: &Handler) -> bool {
    handler
        .abilities()
        .is_some_and(|abilities| abilities.stateless)
}
