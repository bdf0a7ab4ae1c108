//! [`Turns`]: for each handler, when its poller looks again, and how much it may do at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use crate::handlers::Handlers;
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
    /// One thread of the handler is left to clients.
    pub(super) slots: Arc<Semaphore>,
    pub(super) at_once: usize,
}

impl Turns {
    pub(super) fn of(&self, handler: &HandlerName, handlers: &Handlers) -> Arc<Turn> {
        let mut turns = self.0.lock();
        let turn = turns.entry(handler.clone()).or_insert_with(|| {
            let threads = handlers
                .get(handler.as_str())
                .map_or(1, |handler| handler.threads());
            let at_once = threads.saturating_sub(1).max(1);
            Arc::new(Turn {
                wake: Notify::new(),
                looks_at: AtomicI64::new(i64::MAX),
                slots: Arc::new(Semaphore::new(at_once)),
                at_once,
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
