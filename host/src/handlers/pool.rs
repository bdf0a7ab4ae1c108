//! [`Pool`]: a handler's own few named threads behind a bounded queue.
//!
//! Plugin calls block and can't be cancelled. On tokio's shared blocking pool a CA that hangs would
//! starve everybody; here it can only fill its own queue.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use certdock_plugin_api::{Fault, FaultClass};
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Threads that work off one queue. Dropping it lets the threads end once the queue is empty; a call
/// that hangs keeps its thread and nothing else.
pub(super) struct Pool {
    queue: Arc<Queue>,
    load: Arc<Load>,
}

/// Wakes one thread for each job. Threads that took turns at one channel would wake each other too.
struct Queue {
    jobs: Mutex<Jobs>,
    changed: Condvar,
    limit: usize,
}

struct Jobs {
    waiting: VecDeque<Job>,
    closed: bool,
}

/// What came of a call within its deadline.
pub(super) enum Ran<T> {
    Answered(Result<T, Fault>),
    /// It has begun and goes on: its answer, should there be one.
    Late(oneshot::Receiver<Result<T, Fault>>),
}

/// Who decides about a call that waits: the thread that begins it, or the caller who gives up.
#[derive(Debug, Default)]
struct Turn(AtomicBool);

impl Turn {
    /// Whether this side was first.
    fn take(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

/// How busy a pool is.
#[derive(Debug, Default)]
pub(super) struct Load {
    pub(super) waiting: AtomicUsize,
    pub(super) running: AtomicUsize,
}

impl Pool {
    /// Starts `threads` threads named after `name`; `queue` calls may wait for one.
    pub(super) fn start(name: &str, threads: usize, queue: usize) -> std::io::Result<Self> {
        let pool = Self {
            queue: Arc::new(Queue {
                jobs: Mutex::new(Jobs {
                    waiting: VecDeque::new(),
                    closed: false,
                }),
                changed: Condvar::new(),
                limit: queue,
            }),
            load: Arc::default(),
        };
        for number in 0..threads {
            let queue = Arc::clone(&pool.queue);
            std::thread::Builder::new()
                // The kernel keeps 15 bytes of it.
                .name(format!(
                    "{}-{number}",
                    name.chars().take(12).collect::<String>()
                ))
                .stack_size(2 << 20)
                .spawn(move || {
                    while let Some(job) = queue.next() {
                        job();
                    }
                })?;
        }
        Ok(pool)
    }

    pub(super) fn load(&self) -> &Load {
        &self.load
    }

    /// Runs `call` on one of the threads and waits for it until `deadline` from now.
    ///
    /// A call that is still waiting when the caller gives up is never made: the answer is that the
    /// handler is busy.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        deadline: Duration,
        call: impl FnOnce() -> Result<T, Fault> + Send + 'static,
    ) -> Ran<T> {
        let (answer, mut answered) = oneshot::channel();
        let turn = Arc::new(Turn::default());
        let its_turn = Arc::clone(&turn);
        let load = Arc::clone(&self.load);
        load.waiting.fetch_add(1, Ordering::Relaxed);
        let job: Job = Box::new(move || {
            load.waiting.fetch_sub(1, Ordering::Relaxed);
            if answer.is_closed() || !its_turn.take() {
                return;
            }
            load.running.fetch_add(1, Ordering::Relaxed);
            let result = catch_unwind(AssertUnwindSafe(call));
            load.running.fetch_sub(1, Ordering::Relaxed);
            // Perhaps nobody listens any more.
            let _ = answer.send(result.unwrap_or_else(|_| Err(panicked())));
        });
        if !self.queue.push(job) {
            self.load.waiting.fetch_sub(1, Ordering::Relaxed);
            return Ran::Answered(Err(Fault::busy("the CA handler's queue is full")));
        }
        match tokio::time::timeout(deadline, &mut answered).await {
            Ok(Ok(result)) => Ran::Answered(result),
            Ok(Err(_)) => Ran::Answered(Err(panicked())),
            Err(_) if turn.take() => {
                Ran::Answered(Err(Fault::busy("the CA handler is busy with other calls")))
            }
            Err(_) => Ran::Late(answered),
        }
    }
}

/// The fault of a call whose caller waits no longer.
pub(super) fn timed_out() -> Fault {
    Fault::new(FaultClass::TimedOut, "the CA did not answer in time")
}

/// Plugins catch their own panics; this is for one in the carrier.
fn panicked() -> Fault {
    Fault::new(FaultClass::Panicked, "the CA handler failed")
}

impl Queue {
    /// Whether there was room.
    fn push(&self, job: Job) -> bool {
        let mut jobs = self.jobs.lock();
        if jobs.waiting.len() >= self.limit {
            return false;
        }
        jobs.waiting.push_back(job);
        drop(jobs);
        self.changed.notify_one();
        true
    }

    /// Waits for a job; `None` when the pool is gone and nothing is left to do.
    fn next(&self) -> Option<Job> {
        let mut jobs = self.jobs.lock();
        loop {
            if let Some(job) = jobs.waiting.pop_front() {
                return Some(job);
            }
            if jobs.closed {
                return None;
            }
            self.changed.wait(&mut jobs);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue.jobs.lock().closed = true;
        self.queue.changed.notify_all();
    }
}
