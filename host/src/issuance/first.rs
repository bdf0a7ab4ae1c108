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
use crate::issuance::attempt::{EnrollAnswer, written};
use crate::issuance::call::enroll_request;
use crate::issuance::check::Checked;
use crate::issuance::in_flight::Claim;
use crate::issuance::{Issuance, Outcome, Repeatable};
use crate::observe::{audit, metrics};
use crate::store::{Certificate, Enrollment, Result};

/// How long a handler may be asked, and its answer checked, without an entry in the journal. A client is
/// told to come back only for what is there.
const UNRECORDED: Duration = Duration::from_millis(500);

/// An enrollment that nothing was done for.
pub(super) struct New {
    pub(super) enrollment: Enrollment,
    pub(super) repeatable: Option<Repeatable>,
    /// Of the CSR, as DER.
    pub(super) public_key: Vec<u8>,
    /// How long the client is kept waiting.
    pub(super) wait: Duration,
    /// Told whether the enrollment is in the journal, as soon as that is known.
    pub(super) recorded: oneshot::Sender<Result<bool>>,
}

/// What came of the call.
enum Called {
    Issued(Checked),
    Else(EnrollAnswer),
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
        let enrollment = new.enrollment.clone();
        let public_key = std::mem::take(&mut new.public_key);
        let mut call = pin!(self.call(handler, &enrollment, public_key));
        let called = match timeout(new.wait.min(UNRECORDED), &mut call).await {
            Ok(Called::Issued(Checked::Good(certificate))) => {
                return self.record_issued(new, certificate).await;
            }
            Ok(called) => Some(called),
            Err(_) => None,
        };
        if self.record(new).await.is_none() {
            tracing::warn!(enrollment = %enrollment.id, handler = %handler.name(), "not written down, so nobody hears what the CA answered");
            return None;
        }
        let called = match called {
            Some(called) => called,
            None => call.await,
        };
        let outcome = match called {
            Called::Issued(checked) => self.accept(handler, &enrollment, checked).await,
            Called::Else(answer) => self.answered(handler, &enrollment, None, answer).await,
        };
        Some(written(&enrollment, outcome))
    }

    /// Asks the handler, and checks the certificate if it is there.
    async fn call(
        &self,
        handler: &Arc<Handler>,
        enrollment: &Enrollment,
        public_key: Vec<u8>,
    ) -> Called {
        match handler.enroll(enroll_request(enrollment)).await {
            (Ok(Answer::Issued(chain)), None) => {
                let public_key = Some(public_key);
                Called::Issued(self.check(handler, enrollment, public_key, chain).await)
            }
            answer => Called::Else(answer),
        }
    }

    /// Writes down that the enrollment has begun. What goes on with it, if it did.
    async fn record(&self, new: New) -> Option<(Enrollment, Vec<u8>)> {
        let enrollment = new.enrollment.clone();
        let stored = match new.repeatable {
            Some(repeatable) => {
                let write = async |request| {
                    let store = &self.store;
                    store.begin_est_enrollment(enrollment, request).await
                };
                repeatable.stored(write).await
            }
            None => self.store.begin_enrollment(enrollment).await,
        };
        let goes_on = matches!(stored, Ok(true));
        let _ = new.recorded.send(stored);
        goes_on.then_some((new.enrollment, new.public_key))
    }

    /// Writes down the enrollment and what came of it.
    async fn record_issued(&self, new: New, certificate: Certificate) -> Option<Outcome> {
        let enrollment = new.enrollment;
        let write = async |request| {
            let (enrollment, certificate) = (enrollment.clone(), certificate.clone());
            let store = &self.store;
            store.record_issued(enrollment, request, certificate).await
        };
        let stored = match new.repeatable {
            Some(repeatable) => {
                repeatable
                    .stored(async |request| write(Some(request)).await)
                    .await
            }
            None => write(None).await,
        };
        let is_issued = matches!(stored, Ok(true));
        if is_issued {
            audit::certificate_issued(&enrollment, certificate.id, &certificate.serial);
            metrics::enrollment(enrollment.handler.as_str(), "issued");
        } else {
            audit::certificate_dropped(&enrollment, &certificate.serial);
        }
        let _ = new.recorded.send(stored);
        is_issued.then(|| Outcome::Issued(Box::new(certificate)))
    }
}

/// Abilities that only make sense where something is kept take precedence over the promise.
fn is_stateless(handler: &Handler) -> bool {
    handler.abilities().is_some_and(|can| {
        let keeps = can.poll || can.push || can.recover;
        can.stateless && !keeps
    })
}
