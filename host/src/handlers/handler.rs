//! [`Handler`]: one configured handler, in service or not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::{ArcSwap, ArcSwapOption};
use certdock_plugin_api::{
    CaCerts, Crl, EnrollRequest, Enrollment, Fault, FaultClass, News, Poll, PollRequest,
    PushRequest, RecoverRequest, Recovery, RevokeRequest,
};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::handlers::cache::{Answer, Cached};
use crate::handlers::open::Open;
use crate::handlers::pool::{Pool, Ran, timed_out};
use crate::handlers::strikes::{self, Strikes};
use crate::handlers::{Abilities, HandlerInstance};
use crate::ids::HandlerName;
use crate::observe::metrics;
use crate::time::UnixTime;

/// How long CA certificates are served without asking the handler again.
const CA_CERTS_FRESH: Duration = Duration::from_secs(10 * 60);

/// How long a CRL is served without asking again. Other hosts may revoke at the same CA.
const CRL_FRESH: Duration = Duration::from_secs(5 * 60);

/// How long what a handler said of its CA's health is not asked anew.
const HEALTH_FRESH: Duration = Duration::from_secs(30);

/// The host's own bounds on a handler's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandlerSettings {
    pub deadline: Duration,
    pub threads: usize,
    pub queue: usize,
    pub patience: Patience,
}

/// How long the host waits for a CA that takes its time, and what it does when it does not know what
/// became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    pub on_unknown: OnUnknown,
    /// How often a pending enrollment is polled at first, if the handler does not say.
    pub poll_interval: Duration,
    /// How often at the least, however long it has been pending.
    pub slowest_poll: Duration,
    /// An enrollment that has not ended after this long never will.
    pub give_up_after: Duration,
}

/// What happens to an enrollment when it is unknown whether the CA issued, and the handler can't find
/// out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUnknown {
    /// It waits for an operator, or for the CA to send the certificate.
    Hold,
    /// The CA is asked again; should a second certificate turn up, that one is revoked.
    Retry,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            on_unknown: OnUnknown::Hold,
            poll_interval: Duration::from_secs(30),
            slowest_poll: Duration::from_secs(15 * 60),
            give_up_after: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

/// An answer that comes after its deadline, if it does.
pub type LateAnswer<T> = oneshot::Receiver<Result<T, Fault>>;

/// Whether a handler serves, for health and the commands.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum HandlerStatus {
    Serving {
        abilities: Abilities,
        waiting: usize,
        running: usize,
    },
    Down {
        reason: String,
    },
}

/// What a handler said of its CA, for operators.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Health {
    pub ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One generation of a configured handler: it is never changed, but replaced by the next. Calls to one
/// that is down answer with a transient fault.
pub struct Handler {
    name: HandlerName,
    generation: u64,
    since: UnixTime,
    settings: HandlerSettings,
    state: ArcSwap<State>,
    /// Why what was to replace it does not.
    refused: ArcSwapOption<String>,
    retired: CancellationToken,
    strikes: Strikes,
    quarantined: Notify,
    ca_certs: Arc<Cached<CaCerts>>,
    crl: Arc<Cached<Crl>>,
    health: Arc<Cached<Health>>,
    asking_health: AtomicBool,
    /// The instances that are open, of all handlers.
    open: TaskTracker,
}

enum State {
    Down {
        reason: String,
        /// What the instance that served last was able to do.
        abilities: Option<Abilities>,
    },
    Serving {
        instance: Arc<Open>,
        pool: Pool,
    },
}

impl State {
    fn abilities(&self) -> Option<Abilities> {
        match self {
            Self::Serving { instance, .. } => Some(instance.abilities),
            Self::Down { abilities, .. } => *abilities,
        }
    }
}

impl Handler {
    /// One that is yet to be opened.
    pub(super) fn new(
        name: HandlerName,
        generation: u64,
        settings: HandlerSettings,
        open: TaskTracker,
    ) -> Self {
        let reason = "it is being opened".to_owned();
        Self {
            name,
            generation,
            since: UnixTime::now(),
            settings,
            state: ArcSwap::from_pointee(State::Down {
                reason,
                abilities: None,
            }),
            refused: ArcSwapOption::empty(),
            retired: CancellationToken::new(),
            strikes: Strikes::default(),
            quarantined: Notify::new(),
            ca_certs: Arc::default(),
            crl: Arc::default(),
            health: Arc::default(),
            asking_health: AtomicBool::new(false),
            open,
        }
    }

    /// Puts an open instance in service. Calls under way on a former one end there.
    pub(super) fn serve(&self, instance: Arc<dyn HandlerInstance>) {
        let HandlerSettings { threads, queue, .. } = self.settings;
        let state = match Pool::start(self.name.as_str(), threads, queue) {
            Ok(pool) => State::Serving {
                instance: Arc::new(Open::new(instance, &self.open)),
                pool,
            },
            Err(error) => State::Down {
                reason: format!("its threads can't be started: {error}"),
                abilities: Some(instance.abilities()),
            },
        };
        self.state.store(Arc::new(state));
        // Afterwards: what the former one is still asked for is not kept.
        self.ca_certs.forget();
        self.crl.forget();
        self.strikes.forget();
        self.health.forget();
    }

    pub(super) fn take_down(&self, reason: String) {
        let abilities = self.abilities();
        self.state
            .store(Arc::new(State::Down { reason, abilities }));
    }

    /// Another has taken its place: calls under way end here, and nothing opens it again.
    pub(super) fn retire(&self) {
        self.retired.cancel();
    }

    pub(super) async fn retired(&self) {
        self.retired.cancelled().await;
    }

    /// What was to replace it can't, for this reason; or there is nothing that was to any more.
    pub fn note_refused(&self, reason: Option<String>) {
        self.refused.store(reason.map(Arc::new));
    }

    /// Waits until it is taken out of service for its panics, or since nothing answers any more.
    pub(super) async fn quarantined(&self) {
        self.quarantined.notified().await;
    }

    /// Takes it out of service, unless that has been done, or it has been opened anew since `seen`.
    fn quarantine(&self, seen: &Arc<State>, why: &str) {
        let reason = format!("in quarantine: {why}");
        let down = Arc::new(State::Down {
            reason: reason.clone(),
            abilities: seen.abilities(),
        });
        let before = self.state.compare_and_swap(seen, down);
        if !Arc::ptr_eq(&before, seen) {
            return;
        }
        tracing::error!(
            handler = %self.name,
            reason,
            "handler is down: its endpoints answer 503 until it is opened again"
        );
        self.quarantined.notify_one();
    }

    /// Takes it out of service if its instance answers no more.
    fn look_after(&self, seen: &Arc<State>) {
        if let State::Serving { instance, .. } = &**seen
            && let Some(why) = instance.broken()
        {
            self.quarantine(seen, &why);
        }
    }

    #[must_use]
    pub fn name(&self) -> &HandlerName {
        &self.name
    }

    /// Which one of this name it is, counted from the server's start.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    #[must_use]
    pub fn since(&self) -> UnixTime {
        self.since
    }

    /// Why what was to replace it does not, if that is so.
    #[must_use]
    pub fn refused(&self) -> Option<Arc<String>> {
        self.refused.load_full()
    }

    /// How long a call may take.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.settings.deadline
    }

    #[must_use]
    pub fn patience(&self) -> &Patience {
        &self.settings.patience
    }

    /// Calls that it can work on at once.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.settings.threads
    }

    #[must_use]
    pub fn is_serving(&self) -> bool {
        matches!(**self.state.load(), State::Serving { .. })
    }

    /// Whether as many calls wait as may.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match &**self.state.load() {
            State::Serving { pool, .. } => {
                pool.load().waiting.load(Ordering::Relaxed) >= self.settings.queue
            }
            State::Down { .. } => false,
        }
    }

    /// Whether calls wait or run.
    #[must_use]
    pub fn has_calls(&self) -> bool {
        match &**self.state.load() {
            State::Serving { pool, .. } => {
                let load = pool.load();
                load.waiting.load(Ordering::Relaxed) + load.running.load(Ordering::Relaxed) > 0
            }
            State::Down { .. } => false,
        }
    }

    /// What it is able to do; while it is down, what it last was: a call that put it there is judged
    /// by that. `None` if it has never been open.
    #[must_use]
    pub fn abilities(&self) -> Option<Abilities> {
        self.state.load().abilities()
    }

    #[must_use]
    pub fn status(&self) -> HandlerStatus {
        self.look_after(&self.state.load_full());
        match &**self.state.load() {
            State::Serving { instance, pool } => HandlerStatus::Serving {
                abilities: instance.abilities,
                waiting: pool.load().waiting.load(Ordering::Relaxed),
                running: pool.load().running.load(Ordering::Relaxed),
            },
            State::Down { reason, .. } => HandlerStatus::Down {
                reason: reason.clone(),
            },
        }
    }

    /// Where the call timed out, the answer that may still come is given too: what a CA has issued must
    /// not be lost.
    ///
    /// # Errors
    /// The handler's fault, or busy, timed out or not in service.
    pub async fn enroll(
        &self,
        mut request: EnrollRequest,
    ) -> (Result<Enrollment, Fault>, Option<LateAnswer<Enrollment>>) {
        request.deadline = self.absolute_deadline();
        self.call_or_late("enroll", move |instance| instance.enroll(&request))
            .await
    }

    /// # Errors
    /// The handler's fault, or busy, timed out or not in service.
    pub async fn recover(&self, mut request: RecoverRequest) -> Result<Recovery, Fault> {
        request.deadline = self.absolute_deadline();
        self.call("recover", move |instance| instance.recover(&request))
            .await
    }

    /// # Errors
    /// The handler's fault, or busy, timed out or not in service.
    pub async fn poll(&self, mut request: PollRequest) -> Result<Poll, Fault> {
        request.deadline = self.absolute_deadline();
        self.call("poll", move |instance| instance.poll(&request))
            .await
    }

    /// # Errors
    /// The handler's fault, or busy, timed out or not in service.
    pub async fn revoke(&self, mut request: RevokeRequest) -> Result<(), Fault> {
        request.deadline = self.absolute_deadline();
        let result = self
            .call("revoke", move |instance| instance.revoke(&request))
            .await;
        // One that was revoked before may have been by a call that gave no answer.
        match &result {
            Ok(()) => self.crl.forget(),
            Err(fault) if fault.class == FaultClass::AlreadyRevoked => self.crl.forget(),
            Err(_) => {}
        }
        result
    }

    /// # Errors
    /// The handler's fault, or busy, timed out or not in service.
    pub async fn push(&self, mut request: PushRequest) -> Result<Vec<News>, Fault> {
        request.deadline = self.absolute_deadline();
        self.call("push", move |instance| instance.push(&request))
            .await
    }

    /// Whether the CA would work, as it was found lately. Never waits: what is stale is asked anew
    /// meanwhile. Nothing if the handler can't tell, or has not yet been asked.
    #[must_use]
    pub fn health(self: &Arc<Self>) -> Option<Health> {
        let able = self.abilities().is_some_and(|able| able.health);
        if !able || !self.is_serving() {
            return None;
        }
        if self.health.fresh().is_none() && !self.asking_health.swap(true, Ordering::AcqRel) {
            let handler = Arc::clone(self);
            tokio::spawn(async move {
                let asked = Arc::clone(&handler);
                let answer = async move {
                    let result = asked.call("health", |instance| instance.health()).await;
                    let value = Health {
                        ok: result.is_ok(),
                        reason: result.err().map(|fault| fault.to_string()),
                    };
                    Ok(Answer {
                        value,
                        fresh_for: HEALTH_FRESH,
                        usable_for: None,
                    })
                };
                let _ = handler.health.get(answer).await;
                handler.asking_health.store(false, Ordering::Release);
            });
        }
        self.health.usable().map(|health| Health::clone(&health))
    }

    /// The CA's certificates, the issuing CA first. Cached; while the handler fails, the last good
    /// answer stands.
    ///
    /// # Errors
    /// The handler's fault if there never was a good answer.
    pub async fn ca_certs(self: &Arc<Self>) -> Result<Arc<CaCerts>, Fault> {
        let handler = Arc::clone(self);
        let ask = async move {
            let value = handler.call("ca_certs_get", |instance| instance.ca_certs_get());
            Ok(Answer {
                value: value.await?,
                fresh_for: CA_CERTS_FRESH,
                usable_for: None,
            })
        };
        self.ca_certs.get(ask).await
    }

    /// The CA's CRL. Cached until the handler revokes, at most five minutes; while the handler fails,
    /// or is being asked, the last list stands until its nextUpdate.
    ///
    /// # Errors
    /// The handler's fault if there is no list that is still good.
    pub async fn crl(self: &Arc<Self>) -> Result<Arc<Crl>, Fault> {
        let handler = Arc::clone(self);
        let ask = async move {
            let value = handler.call("crl", |instance| instance.crl()).await?;
            let good_for = value
                .next_update
                .duration_since(SystemTime::now())
                .unwrap_or_default();
            Ok(Answer {
                value,
                fresh_for: CRL_FRESH.min(good_for / 2),
                usable_for: Some(good_for),
            })
        };
        self.crl.get(ask).await
    }

    fn absolute_deadline(&self) -> SystemTime {
        SystemTime::now() + self.settings.deadline
    }

    async fn call<T: Send + 'static>(
        &self,
        method: &'static str,
        call: impl FnOnce(&dyn HandlerInstance) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        self.call_or_late(method, call).await.0
    }

    async fn call_or_late<T: Send + 'static>(
        &self,
        method: &'static str,
        call: impl FnOnce(&dyn HandlerInstance) -> Result<T, Fault> + Send + 'static,
    ) -> (Result<T, Fault>, Option<LateAnswer<T>>) {
        let started = Instant::now();
        let state = self.state.load_full();
        let ran = match &*state {
            State::Down { .. } => Ran::Answered(Err(Fault::busy(
                "the CA behind this endpoint is not in service",
            ))),
            State::Serving { instance, pool } => {
                let instance = Arc::clone(instance);
                pool.run(self.settings.deadline, move || instance.call(call))
                    .await
            }
        };
        let (result, late) = match ran {
            Ran::Answered(result) => (result, None),
            Ran::Late(answer) => (Err(timed_out()), Some(answer)),
        };
        let outcome = result
            .as_ref()
            .map_or_else(|fault| fault.class.as_str(), |_| "ok");
        metrics::handler_call(self.name.as_str(), method, outcome, started.elapsed());
        if let Err(fault) = &result {
            tracing::debug!(handler = %self.name, method, %fault, "handler call failed");
            self.look_after(&state);
        }
        if self
            .strikes
            .note(result.as_ref().err().map(|fault| fault.class))
        {
            let why = format!("its plugin panicked {} times in a row", strikes::LIMIT);
            self.quarantine(&state, &why);
        }
        (result, late)
    }
}
