//! [`Process`]: one worker, from its start to its end.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use certdock_plugin_api::HostServices;
use certdock_plugin_api::abi::answer::Answer;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;

use super::errands::{self, Errands};
use super::frame::{Bad, Buffer, Frame, Kind};
use super::inbox::{Inbox, Next};
use super::launch::{self, Spawned};
use super::link::{Link, Sent};
use super::message::{self, Loaded, NotLoaded, Start, Started, Task};
use super::{Limits, Paths, end, group, output};
use crate::plugins::Code;

/// How long loading a plugin may take, on a machine that has much else to do.
pub(super) const LOADING: Duration = Duration::from_secs(20);

/// How long a worker may take to close its handler once it has been told to.
const CLOSING: Duration = Duration::from_secs(5);

/// So many different things that the system lacks are told at most.
const MOST_LACKS: usize = 64;

/// How long it may at least take to send a worker something, on a machine that has much else to do.
const SENDING: Duration = Duration::from_secs(1);

/// How long one may take to end after its connection has.
const ENDING: Duration = Duration::from_secs(1);

/// What a worker is started with.
#[derive(Clone)]
pub(super) struct Launch {
    /// The handler's, or the plugin's while there is no handler.
    pub(super) name: String,
    pub(super) plugin: String,
    pub(super) code: Arc<Code>,
    pub(super) threads: usize,
    pub(super) limits: Limits,
    pub(super) paths: Paths,
    pub(super) base_dir: PathBuf,
    /// None while there is no handler that could ask.
    pub(super) services: Option<Arc<dyn HostServices>>,
}

/// Why a worker could not be started.
#[derive(Debug)]
pub(crate) enum NotStarted {
    /// The plugin can't be loaded. It will be so the next time.
    Refused(NotLoaded),
    /// What became of the worker, as the end of a sentence that begins with "its worker process".
    Failed(String),
    /// There is none, which is not the plugin's fault; likewise.
    NoProcess(String),
}

/// Why a call got no reply.
pub(super) enum Unanswered {
    /// It was not sent, or not as a whole: the worker has ended, or is about to.
    Unsent,
    /// It can't be sent to any worker: why.
    Unfit(String),
    /// The worker has ended, or what it sent was no reply: why.
    Lost(String),
    /// It takes too long. The worker may still be at it.
    Overdue,
}

pub(super) struct Process {
    /// The kernel's number of it.
    pub(super) pid: u32,
    link: Link,
    /// How long it may take to send it something.
    sending: Duration,
    inbox: Inbox,
    services: Option<Arc<dyn HostServices>>,
    /// Set once, where there are services.
    errands: OnceLock<Errands>,
    /// What it sent that it must not, for which it was killed.
    wrong: OnceLock<Bad>,
    /// Killed as soon as its connection ends.
    doomed: AtomicBool,
    /// Set once it takes no more calls: what is done when the last one has ended or been given up.
    retired: OnceLock<fn(&Arc<Self>)>,
    closing: AtomicBool,
    end: OnceLock<String>,
}

impl Process {
    /// Starts a worker and has it load the plugin, which it must within `patience`. `on_end` is told
    /// when it has ended, and why.
    pub(super) fn start(
        launch: Launch,
        patience: Duration,
        on_end: impl FnOnce(&str) + Send + 'static,
    ) -> Result<(Arc<Self>, Loaded), NotStarted> {
        let failed =
            |error: std::io::Error| NotStarted::NoProcess(format!("can't be started: {error}"));
        let (sender, started) = sync_channel(1);
        let name = launch.name.clone();
        // The worker dies with this thread, and this thread after the worker.
        std::thread::Builder::new()
            .name(format!("w-{name}"))
            .spawn(move || live(&launch, &sender, on_end))
            .map_err(failed)?;
        let (process, sent) = match started.recv() {
            Ok(Ok(started)) => started,
            Ok(Err(error)) => return Err(failed(error)),
            Err(_) => return Err(NotStarted::NoProcess("can't be looked after".to_owned())),
        };
        let started = process.wait::<Started>(&sent, patience);
        match started {
            Ok(Started { lacks, loaded }) => {
                tell_once(&lacks.0);
                match loaded {
                    Ok(loaded) => Ok((process, loaded)),
                    Err(refused) => {
                        process.kill();
                        Err(NotStarted::Refused(refused))
                    }
                }
            }
            Err(Unanswered::Unsent) => Err(NotStarted::Failed(process.end_soon())),
            Err(Unanswered::Lost(why) | Unanswered::Unfit(why)) => Err(NotStarted::Failed(why)),
            Err(Unanswered::Overdue) => {
                process.kill();
                let seconds = patience.as_secs_f32();
                Err(NotStarted::Failed(format!(
                    "did not load it within {seconds} seconds"
                )))
            }
        }
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// Has the worker do something and waits for its reply.
    pub(super) fn call<T: DeserializeOwned + Answer>(
        self: &Arc<Self>,
        task: &Task<'_>,
        patience: Duration,
    ) -> Result<T, Unanswered> {
        let sending = patience.min(self.sending);
        let sent = match task {
            Task::Close => self.link.last_call(task, Some(sending)),
            _ => self.link.call_within(task, Some(sending)),
        };
        let reply = match sent {
            Ok(sent) => self.wait(&sent, patience),
            Err(Bad::Io(_) | Bad::Unread | Bad::Refused) => Err(Unanswered::Unsent),
            Err(bad) => Err(Unanswered::Unfit(bad.to_string())),
        };
        self.end_if_idle();
        reply
    }

    fn wait<T: DeserializeOwned + Answer>(
        &self,
        sent: &Sent,
        patience: Duration,
    ) -> Result<T, Unanswered> {
        let until = Instant::now() + patience;
        let reply = match self.read_until(sent, until) {
            Some(body) => Ok(body),
            None => sent
                .reply
                .recv_timeout(until.saturating_duration_since(Instant::now())),
        };
        match reply {
            Ok(body) => message::answer(&body).map_err(|bad| {
                let why = format!("answered what is no answer: {bad}");
                self.fail(bad);
                Unanswered::Lost(why)
            }),
            Err(RecvTimeoutError::Disconnected) => Err(Unanswered::Lost(self.end_soon())),
            Err(RecvTimeoutError::Timeout) => {
                self.link.forget(sent.number);
                Err(Unanswered::Overdue)
            }
        }
    }

    /// Takes what comes until one reply does, unless another thread reads: a reply that wakes whoever
    /// waits for it costs half of one that wakes two threads.
    fn read_until(&self, sent: &Sent, until: Instant) -> Option<Buffer> {
        let mut reading = self.inbox.try_read()?;
        // Whoever read before may have come upon it.
        if let Ok(body) = sent.reply.try_recv() {
            return Some(body);
        }
        while Instant::now() < until && reading.ready(until) {
            match reading.next() {
                Ok(Next::Frame(frame))
                    if (frame.kind, frame.number) == (Kind::Reply, sent.number) =>
                {
                    self.link.forget(sent.number);
                    return Some(frame.body);
                }
                Ok(Next::Frame(frame)) => self.take(frame),
                Ok(Next::Nothing) => {}
                // The thread that looks after the worker is to find the same.
                Ok(Next::End) | Err(Bad::Io(_)) => break,
                Err(bad) => {
                    self.fail(bad);
                    break;
                }
            }
        }
        None
    }

    /// Takes what comes until nothing more does.
    fn listen(&self) {
        while let Ok(mut reading) = self.inbox.wait() {
            loop {
                match reading.next() {
                    Ok(Next::Frame(frame)) => self.take(frame),
                    Ok(Next::Nothing) => break,
                    // Broken off in the midst of a frame is as good as ended.
                    Ok(Next::End) | Err(Bad::Io(_)) => return,
                    Err(bad) => return self.fail(bad),
                }
            }
        }
    }

    fn take(&self, frame: Frame) {
        let taken = match (frame.kind, self.errands.get(), &self.services) {
            (Kind::Reply, _, _) => {
                self.link.deliver(frame.number, frame.body);
                Ok(())
            }
            (Kind::Call, Some(errands), _) => errands.add(frame.number, frame.body),
            (Kind::Note, _, Some(services)) => errands::take_note(&**services, &frame.body),
            (Kind::Call | Kind::Note, _, _) => {
                let why = "there is no handler that could ask";
                Err(Bad::Garbage(why.to_owned()))
            }
        };
        if let Err(bad) = taken {
            self.fail(bad);
        }
    }

    /// It is killed for what it sent.
    pub(super) fn fail(&self, bad: Bad) {
        // The first reason is the one to tell.
        let _ = self.wrong.set(bad);
        self.kill();
    }

    /// Why it ended, for a caller who was quicker to see that it did than we to learn why.
    pub(super) fn end_soon(&self) -> String {
        self.has_ended_within(ENDING + CLOSING);
        let end = self.end.get().map(String::as_str);
        end.unwrap_or("can't be reached").to_owned()
    }

    /// Has it close its handler and end, in a thread that sees to it that it does.
    pub(super) fn close(self: &Arc<Self>) {
        if self.closing.swap(true, Ordering::AcqRel) {
            return;
        }
        self.link.refuse();
        let process = Arc::clone(self);
        let closer = std::thread::Builder::new().name(format!("c-{}", self.pid));
        let closer = closer.spawn(move || {
            // Whatever comes of it: the host's services are there for as long as it lasts.
            let _ = process.call::<()>(&Task::Close, CLOSING);
            process.link.hang_up();
            if !process.has_ended_within(CLOSING) {
                process.kill();
            }
        });
        if closer.is_err() {
            self.kill();
        }
    }

    /// The same, and waits until it has.
    pub(super) fn close_and_wait(self: &Arc<Self>) {
        self.close();
        // To close, to end, and to be killed.
        self.has_ended_within(CLOSING + CLOSING + ENDING);
    }

    fn has_ended_within(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while self.end.get().is_none() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.end.get().is_some()
    }

    /// Whether it has been told to end.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// No more calls are made. Once nobody waits for it, it is made to end: by [`close`](Self::close) or
    /// [`kill`](Self::kill).
    pub(super) fn retire(self: &Arc<Self>, end: fn(&Arc<Self>)) {
        // Before anybody can find it idle: a call must not come after the one that closes it.
        self.link.refuse();
        // The first word holds: one that is closed and does not end is killed.
        let _ = self.retired.set(end);
        self.end_if_idle();
    }

    fn end_if_idle(self: &Arc<Self>) {
        if let Some(end) = self.retired.get()
            && self.link.is_idle()
        {
            end(self);
        }
    }

    pub(super) fn kill(&self) {
        self.doomed.store(true, Ordering::Release);
        self.link.cut();
    }
}

type Starter = SyncSender<std::io::Result<(Arc<Process>, Sent)>>;

/// The life of a worker.
fn live(launch: &Launch, starter: &Starter, on_end: impl FnOnce(&str)) {
    let begun = launch::spawn(&launch.code).and_then(|spawned| begin(launch, spawned));
    let (process, mut child, sent) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            // Whoever started it waits.
            let _ = starter.send(Err(error));
            return;
        }
    };
    let _ = starter.send(Ok((Arc::clone(&process), sent)));
    attend(&process, &mut child, on_end);
}

/// Takes what it sends until its end.
fn attend(process: &Process, child: &mut Child, on_end: impl FnOnce(&str)) {
    process.listen();
    let unread = process.link.is_unread();
    if unread {
        let _ = process.wrong.set(Bad::Unread);
    }
    let patience = match unread || process.doomed.load(Ordering::Acquire) {
        true => Duration::ZERO,
        false if process.is_closing() => CLOSING,
        false => ENDING,
    };
    let (status, killed) = end::reap(child, patience);
    let why = match (process.wrong.get(), status) {
        (Some(bad), _) => format!("was killed, for {bad}"),
        (None, _) if killed => "was killed".to_owned(),
        (None, Ok(status)) => end::tell(status),
        (None, Err(error)) => format!("ended, and nobody knows how: {error}"),
    };
    let why = process.end.get_or_init(|| why);
    process.link.close();
    on_end(why);
}

type Begun = (Arc<Process>, Child, Sent);

fn begin(launch: &Launch, spawned: Spawned) -> std::io::Result<Begun> {
    let Spawned {
        mut child,
        stream,
        output,
    } = spawned;
    let prepare = || {
        let name = launch.name.clone();
        std::thread::Builder::new()
            .name(format!("o-{name}"))
            .spawn(move || output::forward(output, &name))?;
        let sending = launch.limits.overdue.max(SENDING);
        let process = Arc::new(Process {
            pid: child.id(),
            link: Link::new(stream.try_clone()?, Some(sending)),
            sending,
            inbox: Inbox::new(stream)?,
            services: launch.services.clone(),
            errands: OnceLock::new(),
            wrong: OnceLock::new(),
            doomed: AtomicBool::new(false),
            retired: OnceLock::new(),
            closing: AtomicBool::new(false),
            end: OnceLock::new(),
        });
        if let Some(services) = &launch.services {
            let errands = Errands::start(&launch.name, launch.threads, &process, services)?;
            let _ = process.errands.set(errands);
        }
        let start = Start {
            server: rustix::process::getpid().as_raw_nonzero().get(),
            group: group::own()?,
            plugin: launch.plugin.clone(),
            threads: launch.threads,
            limits: launch.limits.clone(),
            paths: launch.paths.clone(),
            base_dir: launch.base_dir.clone(),
        };
        let sent = process.link.call(&start).map_err(std::io::Error::other)?;
        Ok((process, sent))
    };
    match prepare() {
        Ok((process, sent)) => Ok((process, child, sent)),
        Err(error) => {
            // Nobody else will.
            let _ = child.kill();
            let _ = child.wait();
            Err(error)
        }
    }
}

/// What the system lacks is told once, not with every worker. There is not much that it can lack: what
/// goes on and on is a plugin's invention.
fn tell_once(lacks: &[String]) {
    static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    for lack in lacks {
        let is_new = {
            let mut told = TOLD.lock();
            told.len() < MOST_LACKS && told.insert(lack.clone())
        };
        if is_new {
            tracing::warn!("worker processes are less confined than they could be: {lack}");
        }
    }
}

#[cfg(test)]
mod tests;
