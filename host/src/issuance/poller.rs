//! The durable poller: takes up unfinished enrollments when they are due, after a crash too.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::issuance::Issuance;
use crate::store::Result;
use crate::time::UnixTime;

/// Enrollments that the poller works on at once; the handlers' own threads are fewer still.
const AT_ONCE: usize = 64;

/// At start, what is due within this span is taken up at once: calls that a crash cut off were left
/// until past their deadline.
const RESUME: Duration = Duration::from_secs(10 * 60);

const SHORTEST_SLEEP: Duration = Duration::from_millis(500);
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

impl Issuance {
    /// Runs until `stop`.
    pub async fn poll_until(self: Arc<Self>, stop: CancellationToken) {
        let mut horizon = UnixTime::now().plus(RESUME);
        loop {
            let sleep = match self.take_up(horizon).await {
                Ok(None) => LONGEST_SLEEP,
                Ok(Some(next)) => next.since(UnixTime::now()),
                Err(error) => {
                    tracing::error!(%error, "unfinished enrollments can't be read");
                    Duration::from_secs(5)
                }
            };
            if self.in_flight.len() < AT_ONCE {
                // Whatever a crash cut off has been taken up.
                horizon = UnixTime::from_secs(0);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(sleep.clamp(SHORTEST_SLEEP, LONGEST_SLEEP)) => {}
            }
        }
    }

    /// Starts an attempt at each that is due, and says when the next one will be.
    async fn take_up(self: &Arc<Self>, horizon: UnixTime) -> Result<Option<UnixTime>> {
        let now = UnixTime::now().max(horizon);
        for enrollment in self.store.due_enrollments(now, AT_ONCE).await? {
            if self.in_flight.len() >= AT_ONCE {
                break;
            }
            let Some(claim) = self.in_flight.claim(enrollment.id) else {
                continue;
            };
            let engine = Arc::clone(self);
            self.tasks.spawn(async move {
                engine.attempt(enrollment, None, &claim).await;
                drop(claim);
                engine.wake.notify_one();
            });
        }
        self.store.next_due().await
    }
}
