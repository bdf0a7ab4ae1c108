//! Workers with the skeleton's real library. The worker is this test program.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use certdock_plugin_api::testing::FakeHost;
use certdock_plugin_api::{EnrollRequest, Fault, FaultClass, HostServices, Level};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, PidfdGetfdFlags, Signal, kill_process, pidfd_getfd, pidfd_open,
};

use super::Limits;
use crate::handlers::HandlerInstance;
use crate::plugins::{Inspection, Isolation, Ownership, Plugin, Trust};
use crate::worker::Setup;

/// Set for the test below where it is to be a worker.
pub(super) const IS_WORKER: &str = "CERTDOCK_TEST_WORKER";

#[test]
fn is_a_worker() {
    if std::env::var_os(IS_WORKER).is_some() {
        super::main().unwrap();
    }
}

fn skeleton() -> Plugin {
    let tests = std::env::current_exe().unwrap();
    let file = tests.with_file_name("libcertdock_skeleton.so");
    let trust = Trust {
        ownership: Ownership::Unchecked,
        ..Trust::default()
    };
    Inspection::of(&file).unwrap().admit(&trust).unwrap()
}

fn setup(name: &str) -> Setup {
    Setup {
        name: name.to_owned(),
        config: "{}".to_owned(),
        base_dir: PathBuf::from("/nowhere"),
        keep_out: Vec::new(),
        apart: Vec::new(),
        deadline: Duration::from_secs(20),
        threads: 4,
        limits: Limits::default(),
    }
}

fn open(setup: &Setup, host: &FakeHost) -> Result<Arc<dyn HandlerInstance>, Fault> {
    let host: Arc<dyn HostServices> = host.services();
    skeleton().open(Isolation::Process, setup, &host)
}

fn request(id: &str) -> EnrollRequest {
    EnrollRequest::new(id, [0x30, 0], Vec::new())
}

/// The worker of a handler: the child of the thread that looks after it.
fn pid(name: &str) -> Option<Pid> {
    let comm = format!("w-{name}");
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let read = |file| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        if read("comm").trim() == comm {
            let children = read("children");
            let child = children.split_whitespace().next()?;
            return Pid::from_raw(child.parse().unwrap());
        }
    }
    None
}

fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "it never came");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn status_of(pid: Pid, key: &str) -> String {
    let file = format!("/proc/{}/status", pid.as_raw_nonzero());
    let status = std::fs::read_to_string(file).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.unwrap().trim_start_matches(':').trim().to_owned()
}

fn thread_of(pid: Pid, comm: &str) -> Option<Pid> {
    let tasks = format!("/proc/{}/task", pid.as_raw_nonzero());
    let tasks = std::fs::read_dir(tasks).unwrap().flatten();
    let mut named = tasks.filter(|task| {
        std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() == comm)
    });
    let name = named.next()?.file_name();
    Pid::from_raw(name.to_str().unwrap().parse().unwrap())
}

#[test]
fn calls_and_services_cross() {
    let host = FakeHost::new();
    let mut setup = setup("crossing");
    let handler = open(&setup, &host).unwrap();
    assert!(handler.abilities().poll && handler.abilities().revoke);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let handler = &handler;
            scope.spawn(move || {
                for call in 0..500 {
                    let fault = handler
                        .enroll(&request(&format!("{thread}-{call}")))
                        .unwrap_err();
                    assert_eq!(fault.class, FaultClass::Unsupported);
                    assert!(fault.public.contains("not implemented"), "{fault}");
                }
            });
        }
    });
    let longest = setup.deadline;
    assert!(started.elapsed() < longest, "a reply lay about unread");
    let asked = || {
        let lines = host.lines();
        let asked = lines
            .iter()
            .filter(|line| line.message == "asked to enroll");
        asked.count()
    };
    eventually(|| (asked() == 2_000).then_some(()));
    assert!(
        host.lines()
            .iter()
            .any(|line| line.level == Level::Info && line.message == "opened")
    );
    setup.config = r#"{"nonsense": 1}"#.to_owned();
    let fault = open(&setup, &host).err().unwrap();
    assert_eq!(fault.class, FaultClass::Misconfigured);
    assert!(fault.public.contains("nonsense"), "{fault}");
    setup.config = r#"{"password": {"env": "NOT_SET_ANYWHERE"}}"#.to_owned();
    let fault = open(&setup, &host).err().unwrap();
    assert!(fault.public.contains("NOT_SET_ANYWHERE"), "{fault}");
}

#[test]
fn a_worker_is_confined() {
    let handler = open(&setup("confined"), &FakeHost::new()).unwrap();
    let pid = pid("confined").unwrap();
    // The first thread of this program is the test runner's.
    let called = eventually(|| thread_of(pid, "call-0"));
    assert_eq!(status_of(called, "NoNewPrivs"), "1");
    assert_eq!(status_of(called, "Seccomp"), "2");
    // No more than the powers over files, programs, ports and memory.
    let powers = u64::from_str_radix(&status_of(called, "CapPrm"), 16).unwrap();
    assert_eq!(powers & !0x44ff, 0, "{powers:x}");
    let proc = format!("/proc/{}", pid.as_raw_nonzero());
    let limits = std::fs::read_to_string(format!("{proc}/limits")).unwrap();
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..]
            .split_whitespace()
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(limit("Max core file size"), "0");
    assert_eq!(limit("Max data size"), (1_u64 << 30).to_string());
    assert_eq!(limit("Max open files"), "1024");
    let environment = std::fs::read_to_string(format!("{proc}/environ")).unwrap();
    assert!(!environment.contains("CARGO"), "{environment}");
    let stat = std::fs::read_to_string(format!("{proc}/stat")).unwrap();
    let after_name = stat.rsplit_once(") ").unwrap().1;
    let session = after_name.split(' ').nth(3).unwrap();
    assert_eq!(session, pid.as_raw_nonzero().to_string());
    drop(handler);
    eventually(|| (!std::path::Path::new(&proc).exists()).then_some(()));
}

#[test]
fn a_worker_that_dies_is_replaced() {
    let handler = open(&setup("dying"), &FakeHost::new()).unwrap();
    let first = pid("dying").unwrap();
    kill_process(first, Signal::KILL).unwrap();
    // Whoever asks meanwhile waits for the next one.
    let faults = eventually(|| {
        let fault = handler.enroll(&request("e")).unwrap_err();
        (fault.class == FaultClass::Unsupported).then_some(fault)
    });
    assert!(faults.public.contains("not implemented"));
    assert!(eventually(|| pid("dying").filter(|pid| *pid != first)) != first);
    assert_eq!(handler.broken(), None);
}

#[test]
fn one_that_dies_again_and_again_is_given_up() {
    let begun = Instant::now();
    let handler = open(&setup("hopeless"), &FakeHost::new()).unwrap();
    let why = eventually(|| {
        if let Some(pid) = pid("hopeless") {
            let _ = kill_process(pid, Signal::SEGV);
        }
        handler.broken()
    });
    assert!(
        why.contains("worker process") && why.contains("5th time"),
        "{why}"
    );
    // It was waited longer after each: 0.1, 0.2, 0.4 and 0.8 seconds.
    assert!(
        begun.elapsed() >= Duration::from_millis(1500),
        "{:?}",
        begun.elapsed()
    );
    let fault = handler.enroll(&request("e")).unwrap_err();
    assert_eq!(fault.class, FaultClass::Busy);
}

#[test]
fn one_that_hangs_is_replaced_and_killed() {
    let mut setup = setup("hanging");
    setup.deadline = Duration::from_millis(200);
    setup.limits.overdue = Duration::from_millis(200);
    let handler = open(&setup, &FakeHost::new()).unwrap();
    let first = pid("hanging").unwrap();
    kill_process(first, Signal::STOP).unwrap();
    eventually(|| status_of(first, "State").starts_with('T').then_some(()));
    let fault = handler.enroll(&request("e")).unwrap_err();
    assert_eq!(fault.class, FaultClass::UnknownOutcome, "{fault}");
    assert!(fault.private.contains("hangs"), "{fault}");
    let fault = eventually(|| {
        let fault = handler.enroll(&request("e")).unwrap_err();
        (fault.class != FaultClass::Busy).then_some(fault)
    });
    assert_eq!(fault.class, FaultClass::Unsupported, "{fault}");
    let file = format!("/proc/{}", first.as_raw_nonzero());
    eventually(|| (!std::path::Path::new(&file).exists()).then_some(()));
}

/// With more on the way to it than the socket takes, so that some of it can't be sent.
#[test]
fn one_that_does_not_read_is_killed_and_replaced() {
    let mut setup = setup("deaf");
    setup.threads = 16;
    setup.limits.overdue = Duration::from_millis(200);
    let handler = open(&setup, &FakeHost::new()).unwrap();
    let first = pid("deaf").unwrap();
    kill_process(first, Signal::STOP).unwrap();
    eventually(|| status_of(first, "State").starts_with('T').then_some(()));
    let (sender, faults) = std::sync::mpsc::channel();
    for call in 0..setup.threads {
        let (handler, sender) = (Arc::clone(&handler), sender.clone());
        std::thread::spawn(move || {
            let request = EnrollRequest::new(format!("{call}"), [0x30; 64 << 10], Vec::new());
            let _ = sender.send(handler.enroll(&request).unwrap_err());
        });
    }
    drop(sender);
    let mut classes = Vec::new();
    for _ in 0..setup.threads {
        // Long before the calls' deadline.
        let fault = faults.recv_timeout(setup.deadline / 2).unwrap();
        if fault.class == FaultClass::UnknownOutcome {
            let why = "was killed, for it did not read what it was sent";
            assert!(fault.private.contains(why), "{fault}");
        }
        classes.push(fault.class);
    }
    // What was sent may have been begun, what was not went to the next worker.
    for class in [FaultClass::UnknownOutcome, FaultClass::Unsupported] {
        assert!(classes.contains(&class), "{classes:?}");
    }
    let file = format!("/proc/{}", first.as_raw_nonzero());
    eventually(|| (!std::path::Path::new(&file).exists()).then_some(()));
}

#[test]
fn one_that_does_not_close_is_killed() {
    let handler = open(&setup("stubborn"), &FakeHost::new()).unwrap();
    let process = pid("stubborn").unwrap();
    kill_process(process, Signal::STOP).unwrap();
    drop(handler);
    let file = format!("/proc/{}", process.as_raw_nonzero());
    eventually(|| (!std::path::Path::new(&file).exists()).then_some(()));
}

/// The worker's end of its connection.
fn socket_of(pid: Pid) -> Option<UnixStream> {
    let entries = std::fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())).ok()?;
    let sockets = entries.flatten().filter(|entry| {
        let target = std::fs::read_link(entry.path());
        target.is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
    });
    let number = sockets.last()?.file_name().to_str()?.parse().ok()?;
    let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    match pidfd_getfd(process, number, PidfdGetfdFlags::empty()) {
        Ok(socket) => Some(socket.into()),
        // It ends at this moment.
        Err(Errno::BADF | Errno::SRCH) => None,
        Err(error) => panic!("nobody may look into a child: {error}"),
    }
}

/// A plugin can write where its worker does.
#[test]
fn one_that_sends_what_it_must_not_is_killed_for_it() {
    let cases: [(&str, &[u8], &str); 5] = [
        (
            "vast",
            &[0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0],
            "a message is larger than 16 MiB",
        ),
        (
            "odd",
            &[0, 0, 0, 0, 9, 0, 0, 0, 0],
            "what came is no message: kind 9",
        ),
        (
            "note",
            &[1, 0, 0, 0, 2, 0, 0, 0, 0, 0xff],
            "what came is no message",
        ),
        (
            "call",
            &[1, 0, 0, 0, 0, 7, 0, 0, 0, 0xff],
            "what came is no message",
        ),
        // A whole errand, and more.
        (
            "rest",
            &[4, 0, 0, 0, 0, 7, 0, 0, 0, 1, 1, b'k', 0],
            "what came is no message: bytes are left over",
        ),
    ];
    std::thread::scope(|scope| {
        for (name, bytes, expected) in cases {
            scope.spawn(move || {
                let handler = open(&setup(name), &FakeHost::new()).unwrap();
                let why = eventually(|| {
                    if let Some(mut socket) = pid(name).and_then(socket_of) {
                        let _ = socket.write_all(bytes);
                    }
                    handler.broken()
                });
                let expected = format!("its worker process was killed, for {expected}");
                assert!(why.contains(&expected), "{name}: {why}");
            });
        }
    });
}

/// A reply to a question that nobody asked does no harm.
#[test]
fn a_reply_that_nobody_waits_for_is_dropped() {
    let handler = open(&setup("eager"), &FakeHost::new()).unwrap();
    let first = pid("eager").unwrap();
    let mut socket = socket_of(first).unwrap();
    for number in [0_u32, 1, 500, u32::MAX] {
        let frame = [&[0, 0, 0, 0, 1], &number.to_le_bytes()[..]].concat();
        socket.write_all(&frame).unwrap();
    }
    let fault = handler.enroll(&request("e")).unwrap_err();
    assert_eq!(fault.class, FaultClass::Unsupported, "{fault}");
    assert_eq!(pid("eager"), Some(first));
}
