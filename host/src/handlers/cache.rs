//! [`Cached`]: the last good answer of a handler, asked again when it is stale.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use certdock_plugin_api::Fault;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a handler that gave no answer is not asked again. Anybody may ask for a CRL.
pub(super) const AFTER_FAULT: Duration = match cfg!(test) {
    true => Duration::from_millis(500),
    false => Duration::from_secs(3),
};

/// A value with the moment from which on it is stale. However many want it, the handler is asked by
/// one at a time.
pub(super) struct Cached<T> {
    known: ArcSwap<Known<T>>,
    asking: Arc<Semaphore>,
}

/// An answer, and for how long it is good.
pub(super) struct Answer<T> {
    pub(super) value: T,
    pub(super) fresh_for: Duration,
    /// How long it may be given out while nothing better can be had.
    pub(super) usable_for: Option<Duration>,
}

/// It is replaced as a whole: what was asked for before that, and is answered after, is not kept.
struct Known<T> {
    entry: Option<Arc<Entry<T>>>,
    failed: Option<(Fault, Instant)>,
}

struct Entry<T> {
    value: Arc<T>,
    stale_at: Instant,
    useless_at: Option<Instant>,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self {
            known: ArcSwap::from_pointee(Known::nothing()),
            asking: Arc::new(Semaphore::new(1)),
        }
    }
}

impl<T> Cached<T> {
    pub(super) fn fresh(&self) -> Option<Arc<T>> {
        self.known.load().fresh()
    }

    /// What there is while nothing better can be had.
    pub(super) fn usable(&self) -> Option<Arc<T>> {
        self.known.load().usable()
    }

    /// What was asked for so far is not to be given out any more.
    pub(super) fn forget(&self) {
        self.known.store(Arc::new(Known::nothing()));
    }
}

impl<T: Send + Sync + 'static> Cached<T> {
    /// The value, which `ask` gets if it is stale. While somebody asks already, the others get the last
    /// one if it is usable, or else wait for the answer; after a fault nobody asks for a while.
    pub(super) async fn get(
        self: &Arc<Self>,
        ask: impl Future<Output = Result<Answer<T>, Fault>> + Send + 'static,
    ) -> Result<Arc<T>, Fault> {
        if let Some(fresh) = self.fresh() {
            return Ok(fresh);
        }
        let permit = match Arc::clone(&self.asking).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => match self.usable() {
                Some(usable) => return Ok(usable),
                None => Arc::clone(&self.asking)
                    .acquire_owned()
                    .await
                    .map_err(|_| unanswered())?,
            },
        };
        let before = self.known.load_full();
        // Perhaps it has been asked for while this one waited.
        if let Some(settled) = before.settled() {
            return settled;
        }
        // Whoever wanted it may go away: the handler has been asked, and the others wait.
        let asked = tokio::spawn(Arc::clone(self).learn(before, permit, ask));
        asked.await.unwrap_or_else(|_| Err(unanswered()))
    }

    async fn learn(
        self: Arc<Self>,
        before: Arc<Known<T>>,
        _permit: OwnedSemaphorePermit,
        ask: impl Future<Output = Result<Answer<T>, Fault>>,
    ) -> Result<Arc<T>, Fault> {
        let (known, result) = match ask.await {
            Ok(answer) => {
                let now = Instant::now();
                let value = Arc::new(answer.value);
                let entry = Entry {
                    value: Arc::clone(&value),
                    stale_at: now + answer.fresh_for,
                    useless_at: answer.usable_for.map(|span| now + span),
                };
                let known = Known {
                    entry: Some(Arc::new(entry)),
                    failed: None,
                };
                (known, Ok(value))
            }
            Err(fault) => {
                let known = Known {
                    entry: before.entry.clone(),
                    failed: Some((fault.clone(), Instant::now() + AFTER_FAULT)),
                };
                let usable = known.usable();
                (known, usable.ok_or(fault))
            }
        };
        // Unless it has been forgotten meanwhile: the answer may be from before the reason for that.
        self.known.compare_and_swap(&before, Arc::new(known));
        result
    }
}

impl<T> Known<T> {
    fn nothing() -> Self {
        Self {
            entry: None,
            failed: None,
        }
    }

    fn fresh(&self) -> Option<Arc<T>> {
        let entry = self.entry.as_ref()?;
        (Instant::now() < entry.stale_at).then(|| Arc::clone(&entry.value))
    }

    fn usable(&self) -> Option<Arc<T>> {
        let entry = self.entry.as_ref()?;
        let useless = entry.useless_at.is_some_and(|at| at <= Instant::now());
        (!useless).then(|| Arc::clone(&entry.value))
    }

    /// What there is to say without asking.
    fn settled(&self) -> Option<Result<Arc<T>, Fault>> {
        if let Some(fresh) = self.fresh() {
            return Some(Ok(fresh));
        }
        let (fault, until) = self.failed.as_ref()?;
        (Instant::now() < *until).then(|| self.usable().ok_or_else(|| fault.clone()))
    }
}

fn unanswered() -> Fault {
    Fault::internal("the CA handler failed")
}
