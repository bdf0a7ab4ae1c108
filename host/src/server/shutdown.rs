//! [`Shutdown`]: stopping as a value. Whoever holds a clone can ask for it, wait for it, or have its
//! task waited for.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// One server's end, in two steps: no new work, then no work at all.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    stop: CancellationToken,
    cut: CancellationToken,
    tasks: TaskTracker,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All that was under way was finished.
    Drained,
    /// So many tasks were cut off.
    CutOff(usize),
}

impl Shutdown {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for the end: nothing new is accepted from now on.
    pub fn start(&self) {
        self.stop.cancel();
    }

    #[must_use]
    pub fn has_started(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Returns once the end has been asked for.
    pub async fn started(&self) {
        self.stop.cancelled().await;
    }

    /// Spawns a task that [`finish`](Self::finish) waits for, and cuts off if that takes too long.
    pub fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let cut = self.cut.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = cut.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Waits for what is under way, but no longer than `patience`.
    pub async fn finish(&self, patience: Duration) -> Ending {
        self.start();
        self.tasks.close();
        if tokio::time::timeout(patience, self.tasks.wait())
            .await
            .is_ok()
        {
            return Ending::Drained;
        }
        let left = self.tasks.len();
        self.cut.cancel();
        self.tasks.wait().await;
        Ending::CutOff(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_for_tasks_and_cuts_the_rest() {
        let shutdown = Shutdown::new();
        assert!(!shutdown.has_started());
        shutdown.spawn(tokio::time::sleep(Duration::from_secs(3)));
        let waiting = shutdown.clone();
        shutdown.spawn(async move { waiting.started().await });
        assert_eq!(
            shutdown.finish(Duration::from_secs(5)).await,
            Ending::Drained
        );

        let shutdown = Shutdown::new();
        shutdown.spawn(tokio::time::sleep(Duration::from_secs(3)));
        shutdown.spawn(std::future::pending());
        assert_eq!(
            shutdown.finish(Duration::from_secs(5)).await,
            Ending::CutOff(1)
        );
        assert!(shutdown.has_started());
    }
}
