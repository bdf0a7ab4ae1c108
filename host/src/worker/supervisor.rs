//! [`open`]: a handler in a worker that is replaced when it dies or hangs.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use certdock_plugin_api::{Fault, HostServices};
use parking_lot::{Condvar, Mutex};

use super::instance::Instance;
use super::losses::Losses;
use super::message::{Loaded, Task};
use super::process::{LOADING, Launch, NotStarted, Process, Unanswered};
use super::{Paths, Setup, system};
use crate::handlers::{Abilities, HandlerInstance};
use crate::observe::metrics;
use crate::plugins::Code;

/// How long after a death the next worker is started; twice as long after each further one in a row.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);

/// How long a call waits for the next worker, at most.
const WAIT: Duration = Duration::from_secs(2);

/// How often the system's files are looked at, and what the worker uses.
const LOOK: Duration = Duration::from_secs(5);

/// How long after one could not be replaced that is tried again.
const ANEW: Duration = Duration::from_secs(60);

/// Opens a handler in a worker process. Blocks.
///
/// # Errors
/// What the plugin says, or what became of the worker.
pub fn open(
    plugin: &str,
    code: &Arc<Code>,
    setup: Setup,
    services: &Arc<dyn HostServices>,
) -> Result<Arc<dyn HandlerInstance>, Fault> {
    let launch = Launch {
        // Filled in at each start.
        paths: Paths::default(),
        name: setup.name.clone(),
        plugin: plugin.to_owned(),
        code: Arc::clone(code),
        threads: setup.threads,
        limits: setup.limits.clone(),
        base_dir: setup.base_dir.clone(),
        services: Some(Arc::clone(services)),
    };
    let (events, happened) = channel();
    let shared = Arc::new(Shared {
        launch,
        setup,
        state: Mutex::new(State::Starting),
        changed: Condvar::new(),
        deaths: AtomicU32::new(0),
        events,
    });
    let (first, opened) = sync_channel(1);
    let supervised = Arc::clone(&shared);
    let supervisor = std::thread::Builder::new()
        .name(format!("s-{}", shared.setup.name))
        .spawn(move || supervise(&supervised, &happened, &first))
        .map_err(|error| {
            Fault::internal("no thread could be started").private(error.to_string())
        })?;
    let abilities = opened
        .recv()
        .unwrap_or_else(|_| Err(Fault::internal("its worker can't be looked after")))?;
    Ok(Arc::new(Instance {
        shared,
        abilities,
        supervisor: Some(supervisor),
    }))
}

/// What the instance and its supervisor share.
pub(super) struct Shared {
    launch: Launch,
    pub(super) setup: Setup,
    state: Mutex<State>,
    changed: Condvar,
    /// In a row.
    deaths: AtomicU32,
    events: Sender<Event>,
}

enum State {
    Starting,
    Serving(Arc<Process>),
    /// There is no worker, and there will be none.
    Broken(String),
}

/// The files that there are when a worker starts: its rights are bound to these.
#[derive(PartialEq)]
struct Seen {
    system: system::Fingerprint,
    paths: Paths,
    /// A right to a file is none to one that takes its place.
    files: Vec<Option<(u64, u64)>>,
}

impl Seen {
    fn by(setup: &Setup) -> Self {
        let paths = Paths::of(setup);
        let identity = |path: &PathBuf| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.dev(), metadata.ino()))
        };
        Self {
            system: system::fingerprint(),
            files: paths
                .read
                .iter()
                .chain(&paths.write)
                .map(identity)
                .collect(),
            paths,
        }
    }
}

/// What a supervisor waits for.
enum Event {
    /// A worker is no longer good, and why.
    Over(Arc<Process>, String),
    Close,
}

impl Shared {
    /// The worker, or the next one if that is there soon.
    pub(super) fn process(&self) -> Result<Arc<Process>, Fault> {
        let until = Instant::now() + WAIT.min(self.setup.deadline / 2);
        let mut state = self.state.lock();
        loop {
            match &*state {
                State::Serving(process) => return Ok(Arc::clone(process)),
                State::Broken(_) => break,
                State::Starting => {
                    if self.changed.wait_until(&mut state, until).timed_out() {
                        break;
                    }
                }
            }
        }
        Err(Fault::busy("the CA handler is being started again").retry_after(WAIT))
    }

    /// Why there is no worker and will be none.
    pub(super) fn broken(&self) -> Option<String> {
        match &*self.state.lock() {
            State::Broken(reason) => Some(reason.clone()),
            State::Starting | State::Serving(_) => None,
        }
    }

    /// An answer shows that the plugin works.
    pub(super) fn answered(&self) {
        if self.deaths.load(Ordering::Relaxed) != 0 {
            self.deaths.store(0, Ordering::Relaxed);
        }
    }

    /// A call went on for too long: the worker gets no more, and another takes its place.
    pub(super) fn stuck(&self, process: &Arc<Process>) {
        if self.leave(process) {
            let why = "hangs: a call went on long after its deadline".to_owned();
            let _ = self.events.send(Event::Over(Arc::clone(process), why));
        }
        process.retire(|process| process.kill());
    }

    pub(super) fn close(&self) {
        let _ = self.events.send(Event::Close);
    }

    /// Takes a worker out of service; whether it was in it.
    pub(super) fn leave(&self, process: &Arc<Process>) -> bool {
        let mut state = self.state.lock();
        match &*state {
            State::Serving(serving) if Arc::ptr_eq(serving, process) => {
                *state = State::Starting;
                true
            }
            _ => false,
        }
    }

    /// There will be no further worker.
    fn give_up(&self, reason: String) {
        let handler = self.setup.name.as_str();
        tracing::error!(
            handler,
            reason,
            "worker process lost, and not started again"
        );
        self.set(State::Broken(reason));
    }

    fn set(&self, new: State) {
        *self.state.lock() = new;
        self.changed.notify_all();
    }

    /// A worker with an open handler.
    fn start(&self, seen: &Seen) -> Result<(Arc<Process>, Abilities), Fault> {
        let events = self.events.clone();
        let (own, itself) = sync_channel::<Arc<Process>>(1);
        let on_end = move |why: &str| {
            // One that never served is not missed.
            if let Ok(process) = itself.recv() {
                let _ = events.send(Event::Over(process, why.to_owned()));
            }
        };
        let mut launch = self.launch.clone();
        launch.paths = seen.paths.clone();
        let started = Process::start(launch, LOADING, on_end);
        let (process, Loaded { abilities, .. }) = started.map_err(|error| not_started(&error))?;
        let task = Task::Open(self.setup.config.as_str().into());
        match process.call::<Result<(), Fault>>(&task, self.setup.deadline) {
            Ok(Ok(())) => {
                let _ = own.send(Arc::clone(&process));
                Ok((process, abilities))
            }
            Ok(Err(fault)) => {
                process.close();
                Err(fault)
            }
            Err(Unanswered::Unsent) => Err(died(&process.end_soon())),
            Err(Unanswered::Lost(why) | Unanswered::Unfit(why)) => Err(died(&why)),
            Err(Unanswered::Overdue) => {
                process.kill();
                Err(Fault::internal("opening it took longer than its deadline"))
            }
        }
    }
}

/// The fault of a handler whose worker ended while it was opened.
pub(super) fn died(why: &str) -> Fault {
    Fault::internal("the CA handler failed").private(format!("its worker process {why}"))
}

pub(super) fn not_started(error: &NotStarted) -> Fault {
    match error {
        NotStarted::Refused(refused) => Fault::misconfigured(refused.reason.clone()),
        NotStarted::Failed(why) | NotStarted::NoProcess(why) => died(why),
    }
}

/// Keeps a worker running until the handler is closed or no worker lives.
fn supervise(
    shared: &Shared,
    happened: &Receiver<Event>,
    first: &SyncSender<Result<Abilities, Fault>>,
) {
    let mut first = Some(first);
    let mut losses = Losses::default();
    // One that serves and is to be replaced, with what it was started by, and why if it is to blame.
    let mut former: Option<(Arc<Process>, Seen, Option<String>)> = None;
    tell_withheld(&shared.setup);
    loop {
        Paths::of(&shared.setup).make_folders(&shared.setup.name);
        let seen = Seen::by(&shared.setup);
        let (process, seen, stays) = match (shared.start(&seen), former.take()) {
            (Ok((process, abilities)), former) => {
                shared.set(State::Serving(Arc::clone(&process)));
                match first.take() {
                    Some(first) => drop(first.send(Ok(abilities))),
                    None => tracing::info!(handler = shared.setup.name, "new worker process"),
                }
                if let Some((former, _, blamed)) = former {
                    former.retire(Process::close);
                    // It is no death, and no good answer makes up for it.
                    let too_often = blamed.and_then(|what| {
                        let too_often = losses.count(Instant::now(), 0)?;
                        Some(format!("its worker process {what}, {too_often}"))
                    });
                    if let Some(reason) = too_often {
                        shared.give_up(reason);
                        return process.retire(Process::close);
                    }
                }
                (process, seen, Duration::ZERO)
            }
            (Err(fault), Some((former, seen, _))) => {
                let handler = shared.setup.name.as_str();
                tracing::warn!(handler, %fault, "no new worker process: the present one goes on");
                (former, seen, ANEW)
            }
            (Err(fault), None) => {
                if let Some(first) = first {
                    let _ = first.send(Err(fault));
                    return;
                }
                let why = format!("it can't be opened again: {fault}");
                match after_death(shared, happened, &mut losses, &why) {
                    true => continue,
                    false => return,
                }
            }
        };
        let served = serve(shared, happened, &process, &seen, stays);
        metrics::worker_usage(&shared.setup.name, None);
        match served {
            Served::Over(why) => {
                shared.leave(&process);
                let why = format!("its worker process {why}");
                if !after_death(shared, happened, &mut losses, &why) {
                    return;
                }
            }
            Served::Greedy(what) => {
                let handler = &shared.setup.name;
                tracing::warn!(handler, "its worker process {what}, and is replaced");
                former = Some((process, seen, Some(what)));
            }
            Served::Stale => former = Some((process, seen, None)),
            Served::Closed => return process.close_and_wait(),
        }
    }
}

fn tell_withheld(setup: &Setup) {
    for path in Paths::of(setup).withheld {
        tracing::warn!(
            handler = setup.name,
            path = %path.display(),
            "its configuration names what it may not touch, for the server's own files, or the \
             system's, are in that folder; name one in a folder of its own, or allow the folder with \
             limits.write"
        );
    }
}

/// Why a worker serves no more.
enum Served {
    /// It is no longer good: why.
    Over(String),
    /// Files have come or gone, so that its rights are no longer the right ones.
    Stale,
    /// It will soon have used up what it may use: what it does.
    Greedy(String),
    /// Its handler is closed.
    Closed,
}

/// Looks after a worker, which stays so long at least, unless it dies.
fn serve(
    shared: &Shared,
    happened: &Receiver<Event>,
    process: &Arc<Process>,
    seen: &Seen,
    stays: Duration,
) -> Served {
    let until = Instant::now() + stays;
    let look = || metrics::worker_usage(&shared.setup.name, Some(process.pid));
    look();
    let mut first_usage = None;
    loop {
        match happened.recv_timeout(LOOK) {
            Ok(Event::Over(over, why)) if Arc::ptr_eq(&over, process) => return Served::Over(why),
            // One that was replaced has ended at last.
            Ok(Event::Over(..)) => {}
            Ok(Event::Close) | Err(RecvTimeoutError::Disconnected) => return Served::Closed,
            Err(RecvTimeoutError::Timeout) => {
                let usage = look();
                let first = first_usage.get_or_insert_with(|| usage.clone());
                if Instant::now() < until {
                    continue;
                }
                if Seen::by(&shared.setup) != *seen {
                    return Served::Stale;
                }
                if let Some(what) = shared.setup.limits.nearly_reached(first, &usage) {
                    return Served::Greedy(what);
                }
            }
        }
    }
}

/// Counts a death and waits for the time to start anew; whether to do so.
fn after_death(
    shared: &Shared,
    happened: &Receiver<Event>,
    losses: &mut Losses,
    why: &str,
) -> bool {
    let handler = shared.setup.name.as_str();
    let deaths = shared.deaths.fetch_add(1, Ordering::Relaxed) + 1;
    metrics::worker_death(handler);
    if let Some(too_often) = losses.count(Instant::now(), deaths) {
        shared.give_up(format!("{why}, {too_often}"));
        return false;
    }
    let backoff = FIRST_BACKOFF * 2_u32.pow(deaths - 1);
    tracing::error!(
        handler,
        reason = why,
        ?backoff,
        "worker process lost: it is started again"
    );
    let until = Instant::now() + backoff;
    loop {
        match happened.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Event::Over(..)) => {}
            Ok(Event::Close) | Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => return true,
        }
    }
}
