//! [`Turns`]: for each handler, when its poller looks again, and how much it may do at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::ids::HandlerName;
use crate::time::UnixTime;

/// Later than anything is due.
const NEVER: i64 = i64::MAX;

/// A handler that is slow holds up its own turns only.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<HandlerName, Arc<Turn>>>);

#[derive(Debug)]
pub(super) struct Turn {
    wake: Notify,
    /// When it looks again by itself; the end of time while it is looking.
    looks_at: AtomicI64,
    /// Attempts under way.
    taken: AtomicUsize,
}

/// A look at what is due. Whatever becomes due meanwhile has the poller look again: it may have
/// read too early to see it.
#[must_use]
pub(super) struct Look<'a>(&'a Turn);

impl Look<'_> {
    /// It has looked, and will again at `time` at the latest.
    pub(super) fn ended(self, next: UnixTime) {
        self.0.looks_at.store(next.as_secs(), Ordering::SeqCst);
    }
}

/// The room for one attempt.
#[derive(Debug)]
pub(super) struct Slot(Arc<Turn>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Turns {
    pub(super) fn of(&self, handler: &HandlerName) -> Arc<Turn> {
        let mut turns = self.0.lock();
        let turn = turns.entry(handler.clone()).or_insert_with(|| {
            Arc::new(Turn {
                wake: Notify::new(),
                looks_at: AtomicI64::new(NEVER),
                taken: AtomicUsize::new(0),
            })
        });
        Arc::clone(turn)
    }

    /// Something of the handler's is due at `time`: its poller is woken if it would look later.
    pub(super) fn due_at(&self, handler: &HandlerName, time: UnixTime) {
        if let Some(turn) = self.0.lock().get(handler)
            && time.as_secs() < turn.looks_at.load(Ordering::SeqCst)
        {
            turn.wake.notify_one();
        }
    }
}

impl Turn {
    /// Room for one more attempt, if there are fewer than `at_once`.
    pub(super) fn slot(self: &Arc<Self>, at_once: usize) -> Option<Slot> {
        let one_more = |taken| (taken < at_once).then_some(taken + 1);
        self.taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more)
            .ok()?;
        Some(Slot(Arc::clone(self)))
    }

    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Called before the poller looks at what is due.
    pub(super) fn look(&self) -> Look<'_> {
        self.looks_at.store(NEVER, Ordering::SeqCst);
        Look(self)
    }

    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn what_becomes_due_before_the_next_look_wakes() {
        let handler: HandlerName = "ca".parse().unwrap();
        let turns = Turns::default();
        let turn = turns.of(&handler);
        let at = UnixTime::from_secs;
        let woken = async || {
            tokio::time::timeout(Duration::from_millis(20), turn.woken())
                .await
                .is_ok()
        };
        // Looked last at 100, and looks at 160 next.
        turn.look().ended(at(160));
        turns.due_at(&handler, at(160));
        assert!(!woken().await);
        turns.due_at(&handler, at(159));
        assert!(woken().await);
        // While it looks, the time it last said counts no more: it was past.
        let look = turn.look();
        turns.due_at(&handler, at(165));
        look.ended(at(220));
        assert!(woken().await);
    }
}
