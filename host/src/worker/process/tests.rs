//! Workers that a test plays: it writes by hand what a plugin could, and what no worker does.

use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::mpsc::Receiver;

use certdock_plugin_api::abi::answer::UpTo;
use certdock_plugin_api::abi::types::{MAX_CHAIN, MAX_PAIRS, MAX_PUBLIC};
use certdock_plugin_api::testing::FakeHost;
use certdock_plugin_api::{
    CaCerts, Chain, Enrollment, Fault, FaultClass, Level, Poll, PollRequest,
};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use serde::Serialize;

use super::*;
use crate::observe::captured::{Captured, subscribe};
use crate::worker::frame;
use crate::worker::message::Note;

const PATIENCE: Duration = Duration::from_secs(20);

/// A process that does nothing, with the test at the other end of its connection.
struct Played {
    process: Arc<Process>,
    link: Link,
    inbox: Inbox,
    ended: Receiver<String>,
}

fn play(host: &FakeHost) -> Played {
    let code = memfd_create("played", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW;
    fcntl_add_seals(&code, seals).unwrap();
    let launch = Launch {
        name: "played".to_owned(),
        plugin: "played".to_owned(),
        code: Arc::new(Code::received(code).unwrap()),
        threads: 2,
        limits: Limits::default(),
        paths: Paths::default(),
        base_dir: PathBuf::from("/nowhere"),
        services: Some(host.services()),
    };
    let (stream, theirs) = UnixStream::pair().unwrap();
    let (output, printed) = std::io::pipe().unwrap();
    let child = Command::new("sleep")
        .arg("60")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(printed)
        .spawn()
        .unwrap();
    let spawned = Spawned {
        child,
        stream,
        output,
    };
    let (process, mut child, started) = begin(&launch, spawned).unwrap();
    process.link.forget(started.number);
    let (told, ended) = std::sync::mpsc::channel();
    let attended = Arc::clone(&process);
    std::thread::spawn(move || {
        attend(&attended, &mut child, |why| drop(told.send(why.to_owned())));
    });
    let played = Played {
        process,
        link: Link::new(theirs.try_clone().unwrap(), Some(PATIENCE)),
        inbox: Inbox::new(theirs).unwrap(),
        ended,
    };
    // What it is started with.
    assert_eq!(played.receive().kind, Kind::Call);
    played
}

impl Played {
    fn receive(&self) -> Frame {
        self.inbox.receive().unwrap().unwrap()
    }

    /// What comes of a call that is answered so.
    fn answered_with<T>(&self, answer: &impl Serialize) -> Result<T, Unanswered>
    where
        T: DeserializeOwned + Answer + Send,
    {
        let process = &self.process;
        std::thread::scope(|scope| {
            let call = scope.spawn(|| process.call::<T>(&Task::Health, PATIENCE));
            let number = self.receive().number;
            self.link.reply(number, answer).unwrap();
            call.join().unwrap()
        })
    }

    fn dies_for(self, what: &str) {
        let why = self.ended.recv_timeout(PATIENCE).unwrap();
        assert!(
            why.contains("was killed, for") && why.contains(what),
            "{why}"
        );
    }
}

/// That a worker which answers so is killed, and nobody gets to see it.
fn is_no_answer<T: DeserializeOwned + Answer + Send>(answer: &impl Serialize) {
    let played = play(&FakeHost::new());
    let Err(Unanswered::Lost(why)) = played.answered_with::<T>(answer) else {
        panic!("it was taken");
    };
    assert!(why.contains("answered what is no answer"), "{why}");
    played.dies_for("no message");
}

#[test]
fn answers_have_bounds_whoever_writes_them() {
    type Answered<T> = Result<T, Fault>;
    let played = play(&FakeHost::new());
    let good = Err::<(), _>(Fault::denied("x".repeat(MAX_PUBLIC)));
    let answer = played.answered_with::<Answered<()>>(&good);
    assert!(matches!(answer, Ok(found) if found == good));

    is_no_answer::<Answered<()>>(&Err::<(), _>(Fault::denied("x".repeat(MAX_PUBLIC + 1))));
    is_no_answer::<Answered<()>>(&Err::<(), _>(Fault::busy("").private("two\nlines")));
    is_no_answer::<Answered<()>>(&Err::<(), _>(Fault::new(FaultClass::TimedOut, "")));
    let chain = || Chain::new(vec![vec![0x30]; MAX_CHAIN + 1]);
    is_no_answer::<Answered<Enrollment>>(&Ok::<_, Fault>(Enrollment::Issued(chain())));
    let certificates = chain().certificates;
    is_no_answer::<Answered<CaCerts>>(&Ok::<_, Fault>(CaCerts { certificates }));
    is_no_answer::<Answered<Poll>>(&Ok::<_, Fault>(Poll::Pending {
        poll_id: "x".repeat(1 << 20),
        retry_after: None,
    }));
    let lacks: Vec<String> = (0..=MAX_PAIRS).map(|number| number.to_string()).collect();
    let refused = NotLoaded {
        reason: String::new(),
        detail: None,
    };
    is_no_answer::<Started>(&(lacks, Err::<Loaded, _>(refused)));
    // Each of these millions takes two bytes here, and many more once it is read.
    let empty = vec![("", ""); 1 << 20];
    is_no_answer::<Answered<CaCerts>>(&Ok::<_, Fault>(empty));
}

#[test]
fn notes_have_bounds_whoever_writes_them() {
    let label = |name: &str| vec![(name.to_owned().into(), "v".into()); MAX_PAIRS];
    let count = |name: &str, labels| Note::MetricAdd {
        name: name.to_owned().into(),
        labels: UpTo(labels),
        value: 1,
    };
    let host = FakeHost::new();
    let played = play(&host);
    played.link.note(&count("fine", label("l"))).unwrap();
    played
        .link
        .note(&count("long", label(&"l".repeat(257))))
        .unwrap();
    played.dies_for("bounds");
    assert_eq!((host.counter("fine"), host.counter("long")), (1, 0));

    let played = play(&host);
    let mut many = label("l");
    many.push(("l".into(), "v".into()));
    played.link.note(&count("many", many)).unwrap();
    played.dies_for("no message");
    assert_eq!(host.counter("many"), 0);

    let played = play(&host);
    let line = Note::Log {
        level: Level::Info,
        message: "x".repeat(1 << 20).into(),
        fields: UpTo(Vec::new()),
    };
    played.link.note(&line).unwrap();
    played.dies_for("bounds");
    assert!(host.lines().is_empty());
}

#[test]
fn an_errand_that_is_none_is_what_it_dies_for() {
    let played = play(&FakeHost::new());
    played.link.call(&"no errand").unwrap();
    played.dies_for("no message");
}

#[test]
fn one_that_takes_no_more_calls_gets_none() {
    let host = FakeHost::new();
    let played = play(&host);
    // Somebody still waits for it, so that it is not closed yet.
    let waits = played.process.link().call(&Task::Health).unwrap();
    assert_eq!(played.receive().number, waits.number);
    played.process.retire(Process::close);
    let task = PollRequest::new("e", "p", [0x30]);
    let task = Task::Poll(std::borrow::Cow::Borrowed(&task));
    let refused = played.process.call::<Result<Poll, Fault>>(&task, PATIENCE);
    assert!(matches!(refused, Err(Unanswered::Unsent)));
    // What comes next is the end: not the call.
    played.process.link().forget(waits.number);
    played.process.retire(Process::close);
    let last = played.receive();
    assert!(matches!(frame::decode(&last.body), Ok(Task::Close)));
    played.link.reply(last.number, &()).unwrap();
    assert!(played.inbox.receive().unwrap().is_none());
    played.process.kill();
    played.ended.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn what_the_system_lacks_is_told_once() {
    let log = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(log.writer())
        .finish();
    let guard = subscribe(subscriber);
    let lacks = ["a test has no locks", "a test has no walls"].map(str::to_owned);
    tell_once(&lacks[..1]);
    tell_once(&lacks);
    drop(guard);
    let log = log.text();
    for lack in &lacks {
        let told = log.lines().filter(|line| line.contains(lack.as_str()));
        let told: Vec<_> = told.collect();
        assert_eq!(told.len(), 1, "{log}");
        assert!(
            told[0].contains("WARN") && told[0].contains("less confined"),
            "{log}"
        );
    }
}
