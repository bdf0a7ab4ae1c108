//! [`Cached`]: the last good answer of a handler, asked again when it is stale.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

/// A value with the moment from which on it is stale.
pub(super) struct Cached<T>(ArcSwapOption<Entry<T>>);

struct Entry<T> {
    value: Arc<T>,
    stale_at: Instant,
    useless_at: Option<Instant>,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self(ArcSwapOption::empty())
    }
}

impl<T> Cached<T> {
    pub(super) fn fresh(&self) -> Option<Arc<T>> {
        let entry = self.0.load();
        let entry = entry.as_ref()?;
        (Instant::now() < entry.stale_at).then(|| Arc::clone(&entry.value))
    }

    /// What there is while nothing better can be had.
    pub(super) fn usable(&self) -> Option<Arc<T>> {
        let entry = self.0.load();
        let entry = entry.as_ref()?;
        let useless = entry.useless_at.is_some_and(|at| at <= Instant::now());
        (!useless).then(|| Arc::clone(&entry.value))
    }

    pub(super) fn store(
        &self,
        value: T,
        fresh_for: Duration,
        usable_for: Option<Duration>,
    ) -> Arc<T> {
        let now = Instant::now();
        let value = Arc::new(value);
        self.0.store(Some(Arc::new(Entry {
            value: Arc::clone(&value),
            stale_at: now + fresh_for,
            useless_at: usable_for.map(|span| now + span),
        })));
        value
    }

    pub(super) fn forget(&self) {
        self.0.store(None);
    }
}
