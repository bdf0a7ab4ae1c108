//! The durable poller: takes up unfinished enrollments and revocations when they are due, after a crash
//! too. Each handler has its own, so that a slow one holds up nobody else's.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::ids::HandlerName;
use crate::issuance::Issuance;
use crate::issuance::turns::Turn;
use crate::store::Result;
use crate::time::UnixTime;

const SHORTEST_SLEEP: Duration = Duration::from_millis(500);
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// When the store can't be read.
const AFTER_ERROR: Duration = Duration::from_secs(5);

impl Issuance {
    /// Runs until `stop`.
    pub async fn poll_until(self: Arc<Self>, stop: CancellationToken) {
        let mut pollers = JoinSet::new();
        let mut polled = BTreeSet::new();
        let mut start = |name: HandlerName| {
            if polled.insert(name.clone()) {
                pollers.spawn(Arc::clone(&self).poll_handler(name, stop.clone()));
            }
        };
        // Handlers that are no longer configured may have left something behind.
        match self.store.handlers_with_work().await {
            Ok(names) => names.into_iter().for_each(&mut start),
            Err(error) => tracing::error!(%error, "unfinished enrollments can't be read"),
        }
        loop {
            for handler in self.handlers.list() {
                start(handler.name().clone());
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.handlers.changed() => {}
            }
        }
        while pollers.join_next().await.is_some() {}
    }

    /// How many of a handler's threads attempts may take: one is left to clients.
    fn at_once(&self, name: &HandlerName) -> usize {
        let handler = self.handlers.get(name.as_str());
        let threads = handler.map_or(1, |handler| handler.threads());
        threads.saturating_sub(1).max(1)
    }

    async fn poll_handler(self: Arc<Self>, name: HandlerName, stop: CancellationToken) {
        let turn = self.turns.of(&name);
        match self.store.take_up_cut_off(&name, UnixTime::now()).await {
            Ok(0) => {}
            Ok(count) => {
                tracing::info!(handler = %name, count, "calls were cut off by the last stop");
            }
            Err(error) => tracing::error!(%error, "unfinished enrollments can't be read"),
        }
        loop {
            let now = UnixTime::now();
            let look = turn.look();
            let sleep = match self.take_up(&name, &turn).await {
                Ok(None) => LONGEST_SLEEP,
                Ok(Some(next)) => next.since(now).clamp(SHORTEST_SLEEP, LONGEST_SLEEP),
                Err(error) => {
                    tracing::error!(%error, "unfinished enrollments can't be read");
                    AFTER_ERROR
                }
            };
            look.ended(now.plus(sleep));
            tokio::select! {
                () = stop.cancelled() => return,
                () = turn.woken() => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    /// Starts an attempt at what is due, as far as there are slots, and says when the next will be.
    async fn take_up(
        self: &Arc<Self>,
        name: &HandlerName,
        turn: &Arc<Turn>,
    ) -> Result<Option<UnixTime>> {
        let now = UnixTime::now();
        // Some of these may be under way already.
        let at_once = self.at_once(name);
        let most = at_once * 2;
        for due in self.store.due_enrollments(name, now, most).await? {
            let Some(slot) = turn.slot(at_once) else {
                break;
            };
            let Some(claim) = self.in_flight.claim(&due) else {
                continue;
            };
            let (engine, turn) = (Arc::clone(self), Arc::clone(turn));
            self.tasks.spawn(async move {
                // Read again: the last attempt may have ended between reading and claiming.
                if let Ok(Some(current)) = engine.store.enrollment(due.id).await
                    && current.next_attempt <= now
                {
                    engine.go_on(current, &claim).await;
                }
                drop((claim, slot));
                turn.wake();
            });
        }
        for due in self.store.due_revocations(name, now, most).await? {
            let Some(slot) = turn.slot(at_once) else {
                break;
            };
            let Some(claim) = self.in_flight.claim_revocation(due.certificate) else {
                continue;
            };
            let (engine, turn) = (Arc::clone(self), Arc::clone(turn));
            self.tasks.spawn(async move {
                if let Ok(Some(current)) = engine.store.open_revocation(due.certificate).await
                    && current.next_attempt <= now
                {
                    engine.go_on_revoking(current, &claim).await;
                }
                drop((claim, slot));
                turn.wake();
            });
        }
        let next = self.store.next_due(name).await?;
        let next_revocation = self.store.next_due_revocation(name).await?;
        Ok(next.into_iter().chain(next_revocation).min())
    }
}
