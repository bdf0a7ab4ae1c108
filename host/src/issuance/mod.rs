//! The engine that owns enrollments: policy, journal, call, check, store, poll. Knows neither HTTP nor
//! JWS.

mod arrival;
mod attempt;
mod call;
mod check;
mod first;
mod in_flight;
mod obtain;
mod operator;
mod poller;
mod repeats;
mod retry;
mod revocation;
mod turns;
mod verdict;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use certdock_plugin_api::{Protocol, Requester};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::handlers::Handlers;
use crate::ids::{EndpointName, EnrollmentId, HandlerName, OrderId};
use crate::issuance::arrival::key_hash;
use crate::issuance::first::New;
use crate::issuance::in_flight::InFlight;
use crate::issuance::turns::Turns;
use crate::order::Failure;
use crate::store::{Certificate, Enrollment, EnrollmentState, Store};
use crate::time::UnixTime;
use crate::x509::{CertName, Csr, VerifiedIssuers};

pub use obtain::NotObtained;
pub use operator::NotWaiting;
pub use repeats::{Answered, Repeatable};
pub use revocation::{RevocationError, Revoked};

/// How long a client is kept waiting for its certificate before it is told to come back.
const WAIT: Duration = Duration::from_secs(2);

/// When a client that was told to come back should do so, if the handler gave no hint.
const COME_BACK: Duration = Duration::from_secs(3);

/// Beyond a call's own deadline, how long the journal leaves an enrollment to the call that runs.
const GRACE: Duration = Duration::from_secs(5);

/// What a protocol asks for on behalf of a client that it has authenticated and authorised.
#[derive(Clone, Debug)]
pub struct CertificateRequest {
    pub order: Option<OrderId>,
    /// What finds the enrollment again when an EST client repeats its request.
    pub repeatable: Option<Repeatable>,
    pub handler: HandlerName,
    pub profile: Option<String>,
    pub protocol: Protocol,
    pub endpoint: EndpointName,
    pub requester: Requester,
    /// DER
    pub csr: Vec<u8>,
    /// The same, if the protocol has read and verified it already.
    pub checked: Option<Csr>,
    pub identifiers: Vec<CertName>,
    pub not_before: Option<UnixTime>,
    pub not_after: Option<UnixTime>,
    pub request_id: String,
}

/// What became of a request within the short while that a client is kept waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Issued(Box<Certificate>),
    /// In the journal; ask again after this long.
    Processing {
        retry_after: Duration,
    },
    /// The handler or the check of its answer refused; the order is invalid.
    Failed(Failure),
    /// Somebody else moved the order on first; nothing was done. Read it again.
    Superseded,
}

/// Why a request was refused before anything was stored.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// One sentence that names what is wrong with the CSR: `badCSR`.
    #[error("{0}")]
    BadCsr(String),
    /// The handler is not in service; its endpoints answer 503.
    #[error("the CA behind this endpoint is not in service")]
    Unavailable { retry_after: Duration },
    /// The handler's queue is full. Nobody knows when there will be room, so nothing is taken on.
    #[error("the CA behind this endpoint has too much to do")]
    Busy { retry_after: Duration },
    #[error(transparent)]
    Store(#[from] crate::store::Error),
}

/// The single door to certificates, whatever protocol asks.
pub struct Issuance {
    store: Arc<dyn Store>,
    handlers: Arc<Handlers>,
    verified: VerifiedIssuers,
    in_flight: InFlight,
    turns: Turns,
    tasks: TaskTracker,
}

impl Issuance {
    #[must_use]
    pub fn new(store: Arc<dyn Store>, handlers: Arc<Handlers>) -> Arc<Self> {
        Arc::new(Self {
            store,
            handlers,
            verified: VerifiedIssuers::default(),
            in_flight: InFlight::default(),
            turns: Turns::default(),
            tasks: TaskTracker::new(),
        })
    }

    /// Asks for one certificate and waits a short while for it.
    ///
    /// The work goes on whether or not the caller still waits, and after a restart.
    ///
    /// # Errors
    /// A refusal, before anything was stored.
    pub async fn enroll(self: &Arc<Self>, request: CertificateRequest) -> Result<Outcome, Refusal> {
        self.enroll_within(request, WAIT).await
    }

    /// As [`enroll`](Self::enroll), waiting as long as is said.
    ///
    /// # Errors
    /// A refusal, before anything was stored.
    pub async fn enroll_within(
        self: &Arc<Self>,
        request: CertificateRequest,
        wait: Duration,
    ) -> Result<Outcome, Refusal> {
        self.begin(request, wait).await.map(|(_, outcome)| outcome)
    }

    /// When there will be news of an enrollment, as far as is known: what a client that asks is told.
    /// `None` if it has ended.
    #[must_use]
    pub fn news_of(&self, enrollment: &Enrollment) -> Option<Duration> {
        let left = enrollment.next_attempt.since(UnixTime::now());
        match enrollment.state {
            EnrollmentState::Requested => Some(COME_BACK),
            EnrollmentState::Held => Some(retry::WHILE_HELD),
            EnrollmentState::Deferred
            | EnrollmentState::Pending { .. }
            | EnrollmentState::Received { .. } => Some(retry::news(left)),
            EnrollmentState::Issued { .. } | EnrollmentState::Failed { .. } => None,
        }
    }

    async fn begin(
        self: &Arc<Self>,
        mut request: CertificateRequest,
        wait: Duration,
    ) -> Result<(EnrollmentId, Outcome), Refusal> {
        let csr = request
            .checked
            .take()
            .map_or_else(|| Csr::parse(&request.csr), Ok)
            .and_then(|csr| csr.check_names(&request.identifiers).map(|()| csr))
            .map_err(|error| Refusal::BadCsr(error.to_string()))?;
        let deadline = match self.handlers.get(request.handler.as_str()) {
            Some(handler) if handler.is_full() => {
                return Err(Refusal::Busy {
                    retry_after: retry::TOO_MANY,
                });
            }
            Some(handler) if handler.is_serving() => handler.deadline(),
            _ => {
                return Err(Refusal::Unavailable {
                    retry_after: retry::OUT_OF_SERVICE,
                });
            }
        };

        let repeatable = request.repeatable.take();
        let enrollment = new_enrollment(request, key_hash(&csr.public_key), deadline);
        let id = enrollment.id;
        let Some(claim) = self.in_flight.claim(&enrollment) else {
            return Ok((id, Outcome::Superseded));
        };
        let (recorded_sender, recorded) = oneshot::channel();
        let (outcome_sender, outcome) = oneshot::channel();
        let engine = Arc::clone(self);
        let new = New {
            enrollment,
            repeatable,
            public_key: csr.public_key,
            wait,
            recorded: recorded_sender,
        };
        self.tasks.spawn(async move {
            if let Some(outcome) = engine.first(new, &claim).await {
                // Given back first: who hears of the outcome may act on it at once.
                drop(claim);
                let _ = outcome_sender.send(outcome);
            }
        });

        // Nobody wakes up for the entry alone: of one that failed there is no outcome.
        if let Ok(Ok(outcome)) = tokio::time::timeout(wait, outcome).await {
            return Ok((id, outcome));
        }
        match recorded.await {
            Ok(Ok(true)) => {
                let retry_after = COME_BACK;
                Ok((id, Outcome::Processing { retry_after }))
            }
            Ok(Ok(false)) => Ok((id, Outcome::Superseded)),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(crate::store::Error::Closed.into()),
        }
    }

    /// Waits until the calls under way have ended. What is cut off is taken up after the next start.
    pub async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn new_enrollment(
    request: CertificateRequest,
    key_hash: [u8; 32],
    deadline: Duration,
) -> Enrollment {
    let now = UnixTime::now();
    Enrollment {
        id: EnrollmentId::random(now),
        order: request.order,
        handler: request.handler,
        profile: request.profile,
        protocol: request.protocol,
        endpoint: request.endpoint,
        requester: request.requester,
        csr: request.csr,
        identifiers: request.identifiers,
        not_before: request.not_before,
        not_after: request.not_after,
        requested_at: now,
        request_id: request.request_id,
        key_hash,
        attempts: 0,
        next_attempt: now.plus(deadline + GRACE),
        state: EnrollmentState::Requested,
        waiting: None,
        doubtful: false,
    }
}
