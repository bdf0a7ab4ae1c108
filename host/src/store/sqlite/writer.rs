//! [`Writer`]: the one thread that writes. It takes all jobs that wait, runs them in one transaction
//! and commits once, for what costs is to wait for the disk; meanwhile the next batch gathers.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::fault::Fault;
use crate::store::Error;

/// Jobs in one transaction at most: bounds what a batch holds in memory, and how long the first waits.
const BATCH: usize = 256;
/// Jobs of async callers that may wait or run; more callers wait for a place. Handler threads need no
/// such bound, there are few of them and each waits for its one job.
const QUEUE: usize = 1024;

/// What is to be done on the write connection. It may be run a second time if its first transaction
/// was rolled back, so it keeps no results of its own.
pub(super) trait Work<T>: Fn(&Connection) -> Result<T, Fault> + Send + 'static {}
impl<T, F: Fn(&Connection) -> Result<T, Fault> + Send + 'static> Work<T> for F {}

pub(super) struct Writer {
    messages: Sender<Message>,
    places: Arc<Semaphore>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> Result<Self, Error> {
        let (messages, inbox) = channel();
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || serve(&connection, &inbox))
            .map_err(|error| Error::Open(format!("its thread can't be started: {error}")))?;
        Ok(Self {
            messages,
            places: Arc::new(Semaphore::new(QUEUE)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Runs `work` in a transaction; answers when it is durable. Once this was polled the work is done
    /// even if nobody waits for the answer any more.
    pub(super) async fn write<T: Send + 'static>(&self, work: impl Work<T>) -> Result<T, Error> {
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|_| Error::Closed)?;
        let (reply, answer) = oneshot::channel();
        let reply = move |outcome| {
            let _ = reply.send(outcome);
        };
        self.send(Task::boxed(work, reply, Some(place)))?;
        answer.await.unwrap_or(Err(Error::Closed))
    }

    /// The same for a thread that may block.
    pub(super) fn write_blocking<T: Send + 'static>(&self, work: impl Work<T>) -> Result<T, Error> {
        let (reply, answer) = sync_channel(1);
        let reply = move |outcome| {
            let _ = reply.send(outcome);
        };
        self.send(Task::boxed(work, reply, None))?;
        answer.recv().unwrap_or(Err(Error::Closed))
    }

    /// Does what waits, copies the log into the database and ends the thread.
    pub(super) fn close(&self) {
        self.places.close();
        let _ = self.messages.send(Message::Stop);
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }

    fn send(&self, job: Box<dyn Job>) -> Result<(), Error> {
        self.messages
            .send(Message::Job(job))
            .map_err(|_| Error::Closed)
    }
}

enum Message {
    Job(Box<dyn Job>),
    Stop,
}

trait Job: Send {
    /// Runs in the transaction that is open, and keeps the outcome. Whether it went well.
    fn run(&mut self, on: &Connection) -> bool;
    /// Answers the caller. `refusal` says why the transaction did not come to its end, if so.
    fn answer(self: Box<Self>, refusal: Option<&str>);
}

struct Task<T, W, R> {
    work: W,
    reply: R,
    outcome: Option<Result<T, Fault>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl<T, W, R> Task<T, W, R>
where
    T: Send + 'static,
    W: Work<T>,
    R: FnOnce(Result<T, Error>) + Send + 'static,
{
    fn boxed(work: W, reply: R, place: Option<OwnedSemaphorePermit>) -> Box<dyn Job> {
        Box::new(Self {
            work,
            reply,
            outcome: None,
            _place: place,
        })
    }
}

impl<T, W, R> Job for Task<T, W, R>
where
    T: Send + 'static,
    W: Work<T>,
    R: FnOnce(Result<T, Error>) + Send + 'static,
{
    fn run(&mut self, on: &Connection) -> bool {
        let outcome = (self.work)(on);
        let well = outcome.is_ok();
        self.outcome = Some(outcome);
        well
    }

    fn answer(self: Box<Self>, refusal: Option<&str>) {
        let outcome = match (self.outcome, refusal) {
            (Some(Err(fault)), _) => Err(fault.writing()),
            (_, Some(why)) => Err(Error::Write(why.to_owned())),
            (Some(Ok(value)), None) => Ok(value),
            (None, None) => Err(Error::Closed),
        };
        (self.reply)(outcome);
    }
}

fn serve(connection: &Connection, inbox: &Receiver<Message>) {
    let mut batch = Vec::new();
    let mut open = true;
    while open {
        match inbox.recv() {
            Ok(Message::Job(job)) => batch.push(job),
            Ok(Message::Stop) | Err(_) => break,
        }
        while batch.len() < BATCH {
            match inbox.try_recv() {
                Ok(Message::Job(job)) => batch.push(job),
                Ok(Message::Stop) => {
                    open = false;
                    break;
                }
                Err(_) => break,
            }
        }
        run(connection, &mut batch);
    }
    // Spares the next start the reading of the log. If it fails the log simply stays.
    let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
}

/// Runs the batch as one transaction. Jobs hardly ever fail; if one does, the others must not suffer
/// for it, so all is rolled back and each runs again in a transaction of its own. That spares every
/// job a savepoint.
fn run(connection: &Connection, batch: &mut Vec<Box<dyn Job>>) {
    if batch.len() > 1 && !together(connection, batch) {
        for job in batch.drain(..) {
            together(connection, &mut vec![job]);
        }
    } else if batch.len() == 1 {
        together(connection, batch);
    }
    batch.clear();
}

/// Runs and answers the jobs, unless there are several and one of them fails: then nothing has
/// happened, nobody was answered, and this says false.
fn together(connection: &Connection, jobs: &mut Vec<Box<dyn Job>>) -> bool {
    let committed = begin(connection).and_then(|()| {
        if jobs.iter_mut().all(|job| job.run(connection)) {
            control(connection, "COMMIT").map(|()| true)
        } else {
            Ok(false)
        }
    });
    if !matches!(committed, Ok(true)) {
        roll_back(connection);
    }
    let refusal = match committed {
        Ok(true) => None,
        Ok(false) if jobs.len() > 1 => return false,
        Ok(false) => Some("it was rolled back".to_owned()),
        Err(fault) => Some(fault.to_string()),
    };
    for job in jobs.drain(..) {
        job.answer(refusal.as_deref());
    }
    true
}

fn begin(connection: &Connection) -> rusqlite::Result<()> {
    // An earlier roll-back may have failed as well, for want of memory say.
    roll_back(connection);
    control(connection, "BEGIN IMMEDIATE")
}

/// SQLite ends a transaction by itself on some errors; then there is nothing to do.
fn roll_back(connection: &Connection) {
    if !connection.is_autocommit() {
        let _ = control(connection, "ROLLBACK");
    }
}

fn control(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
