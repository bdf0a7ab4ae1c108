//! [`Turns`]: for each handler, when its poller looks again, and how much it may do at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::ids::HandlerName;
use crate::time::UnixTime;

/// A handler that is slow holds up its own turns only.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<HandlerName, Arc<Turn>>>);

#[derive(Debug)]
pub(super) struct Turn {
    wake: Notify,
    /// When it looks again by itself.
    looks_at: AtomicI64,
    /// Attempts under way.
    taken: AtomicUsize,
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
                looks_at: AtomicI64::new(i64::MAX),
                taken: AtomicUsize::new(0),
            })
        });
        Arc::clone(turn)
    }

    /// Something of the handler's is due at `time`: its poller is woken if it would look later.
    pub(super) fn due_at(&self, handler: &HandlerName, time: UnixTime) {
        if let Some(turn) = self.0.lock().get(handler)
            && time.as_secs() < turn.looks_at.load(Ordering::Acquire)
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

    pub(super) fn will_look_at(&self, time: UnixTime) {
        self.looks_at.store(time.as_secs(), Ordering::Release);
    }

    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }
}
