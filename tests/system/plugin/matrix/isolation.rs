//! Every bad plugin, in a process of its own and, where one can live with that, inside the server:
//! whoever gets certificates from another handler meanwhile never notices.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use certdock_tests::World;
use certdock_tests::acme::{AccountKey, Client, b64};
use certdock_tests::faults::{FAULTS, FaultPlugin, Harm, Library, named};
use certdock_tests::http::Connection;
use certdock_tests::issue::issue;
use http::Method;
use serde_json::{Value, json};

use super::answers::assert_answered;
use super::bystander::keep_getting_certificates;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Isolation {
    Process,
    InProcess,
}

use Isolation::{InProcess, Process};

impl Isolation {
    fn lines(self) -> &'static str {
        match self {
            Process => {
                "isolation = \"process\"\nlimits.memory = \"512MiB\"\nlimits.overdue = \"1s\""
            }
            InProcess => "isolation = \"in-process\"",
        }
    }

    /// Whether the server can live with it.
    fn allows(self, fault: &FaultPlugin) -> bool {
        self == Process || fault.harm != Harm::Process
    }
}

/// The rows that a bad plugin belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    Panics,
    Deaths,
    Hangs,
    Leaks,
    Answers,
    /// Its file is another: it is the only one of its server.
    Alone,
}

impl Row {
    /// What a call may take. Where none goes on for ever, a busy machine gets all the time it needs.
    fn deadline(self) -> Duration {
        match self {
            Self::Hangs => Duration::from_secs(2),
            _ => Duration::from_secs(30),
        }
    }

    /// How long an order is waited for: until it ends, where each does.
    fn patience(self) -> Duration {
        match self {
            Self::Panics | Self::Deaths | Self::Hangs => Duration::from_secs(6),
            Self::Leaks | Self::Answers | Self::Alone => Duration::from_secs(60),
        }
    }
}

fn row(fault: &FaultPlugin) -> Row {
    if !matches!(fault.library, Library::Built("libcertdock_faulty.so")) {
        return Row::Alone;
    }
    match fault.fault {
        "panic" | "panic-payload" | "panic-thread" => Row::Panics,
        "abort" | "exit" | "stack-overflow" | "segfault" | "out-of-memory" => Row::Deaths,
        "hang" | "spin" | "chatter" | "slow" => Row::Hangs,
        "leak-memory" | "leak-descriptors" | "threads" | "stdout" => Row::Leaks,
        _ => Row::Answers,
    }
}

/// How an order ends that is filled, and its certificate can be revoked.
pub(super) const ISSUED: &str = "issued";

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A server with a handler and an endpoint for each fault, named after it.
async fn serve(faults: &[&FaultPlugin], isolation: Isolation) -> World {
    serve_with(faults, isolation.lines()).await
}

async fn serve_with(faults: &[&FaultPlugin], lines: &str) -> World {
    let tables = |fault: &&FaultPlugin| {
        fault.tables(&format!(
            "{lines}\ndeadline = \"{}s\"\nthreads = 2\nqueue = 4\n\
             push_secret = {{ file = \"push-secret\" }}",
            row(fault).deadline().as_secs()
        ))
    };
    let more = faults.iter().map(tables).collect();
    let mut world = World::prepare(|settings| settings.more = more).await;
    fs::write(world.server.dir().join("push-secret"), SECRET).unwrap();
    for fault in faults {
        fs::create_dir(world.server.dir().join(format!("ca-{}", fault.name))).unwrap();
    }
    let file = world.server.plugins().join("libcertdock_faulty.so");
    faults.first().unwrap().write(&file);
    world.server.restart();
    world
}

/// Does with a bad handler all that clients and operators do. How the orders ended.
async fn use_it(world: &World, fault: &FaultPlugin) -> Vec<String> {
    let mut ends = Vec::new();
    for nth in 0..2 {
        let order = order(world, fault, nth);
        ends.push(
            match tokio::time::timeout(row(fault).patience(), order).await {
                Ok(Ok(())) => ISSUED.to_owned(),
                Ok(Err(error)) => format!("{error:#}"),
                Err(_) => "nothing came of it".to_owned(),
            },
        );
    }
    let server = &world.server;
    let url = format!("{}/push/{}", server.settings.base_url(), fault.name);
    let bearer = format!("Bearer {SECRET}");
    let mut connection = Connection::new(world.tls.clone());
    let headers = [("authorization", bearer.as_str())];
    let push = connection.send(Method::POST, &url, &headers, b"nobody".to_vec());
    let _ = tokio::time::timeout(Duration::from_secs(6), push).await;
    let mut connection = Connection::new(world.tls.clone());
    let url = format!("{}/crl/{}", server.settings.base_url(), fault.name);
    let crl = connection.send(Method::GET, &url, &[], Vec::new());
    let _ = tokio::time::timeout(Duration::from_secs(6), crl).await;
    ends
}

async fn order(world: &World, fault: &FaultPlugin, nth: usize) -> anyhow::Result<()> {
    let directory = world.server.directory_of(fault.name);
    let mut client = Client::new(&directory, world.tls.clone()).await?;
    let account = client.new_account(AccountKey::es256()).await?;
    let name = format!("{}-{nth}.test", fault.name);
    let issued = issue(&mut client, &account, &[&name], &world.http01).await?;
    let certificate = pem::parse(issued.chain)?;
    let url = client.directory.url("revokeCert").to_owned();
    let body = json!({ "certificate": b64(certificate.contents()) });
    client.post(&account, &url, &body).await?.expect(200)?;
    Ok(())
}

async fn ready(world: &World) -> Value {
    let (status, body) = world.server.admin("/readyz").unwrap();
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// How the orders of each bad handler ended.
pub(super) type Ends = BTreeMap<&'static str, Vec<String>>;

async fn run(row_of: Row, isolation: Isolation) -> (World, Ends) {
    run_these(&faults(row_of, isolation), isolation).await
}

fn faults(row_of: Row, isolation: Isolation) -> Vec<&'static FaultPlugin> {
    let faults = FAULTS.iter().filter(|fault| row(fault) == row_of);
    faults.filter(|fault| isolation.allows(fault)).collect()
}

async fn run_these(faults: &[&FaultPlugin], isolation: Isolation) -> (World, Ends) {
    let world = serve(faults, isolation).await;
    let ends = use_all(&world, faults).await;
    (world, ends)
}

async fn use_all(world: &World, faults: &[&FaultPlugin]) -> Ends {
    let pid = world.server.pid();
    let ends = Mutex::new(Ends::new());
    keep_getting_certificates(world, async {
        for some in faults.chunks(3) {
            let all = some.iter().map(|fault| {
                Box::pin(async {
                    let these = use_it(world, fault).await;
                    ends.lock().unwrap().insert(fault.name, these);
                })
            });
            all_of(all).await;
        }
    })
    .await;
    assert_eq!(world.server.pid(), pid);
    ready(world).await;
    ends.into_inner().unwrap()
}

async fn all_of(all: impl Iterator<Item = impl Future<Output = ()> + Unpin>) {
    let mut running: Vec<_> = all.collect();
    std::future::poll_fn(|context| {
        running.retain_mut(|future| std::pin::Pin::new(future).poll(context).is_pending());
        match running.is_empty() {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
}

/// Row 9.
#[tokio::test(flavor = "multi_thread")]
async fn row_09_panics_in_every_function() {
    panics(Process).await;
}

/// Row 9.
#[tokio::test(flavor = "multi_thread")]
async fn row_09_panics_in_every_function_inside_the_server() {
    panics(InProcess).await;
}

/// Each is told as what it is, and who panics again and again is taken out of service.
async fn panics(isolation: Isolation) {
    let (world, _) = run(Row::Panics, isolation).await;
    let handlers = ready(&world).await["handlers"].take();
    for fault in FAULTS.iter().filter(|fault| row(fault) == Row::Panics) {
        let (name, method) = (fault.name, fault.at.replace('-', "_"));
        match (fault.fault, fault.at) {
            (_, "open") => {
                let status = &handlers[name];
                assert_eq!(status["state"], "down", "{name}: {status}");
                let reason = status["reason"].as_str().unwrap();
                assert!(reason.contains("panic"), "{name}: {status}");
            }
            // It opens all the same.
            (_, "validate-config") => assert_eq!(handlers[name]["state"], "serving", "{name}"),
            // Nobody waits for an answer there; and that one is asked after a cut-off call only, or by
            // `plugin check`.
            ("panic-thread", _) | (_, "drop" | "recover") => {}
            _ => assert_told(&world, name, &method, "panicked"),
        }
    }
    let end = Instant::now() + Duration::from_secs(60);
    for nth in 10.. {
        let status = &ready(&world).await["handlers"]["panic-in-enroll"];
        if status["reason"]
            .as_str()
            .unwrap_or_default()
            .starts_with("in quarantine: ")
        {
            break;
        }
        assert!(Instant::now() < end, "{status}");
        let _ = order(&world, &named("panic-in-enroll"), nth).await;
    }
}

/// Calls of a handler have ended like this.
pub(super) fn assert_told(world: &World, handler: &str, method: &str, outcome: &str) {
    let (_, metrics) = world.server.admin("/metrics").unwrap();
    let series = format!("{{handler=\"{handler}\",method=\"{method}\",outcome=\"{outcome}\"}} ");
    assert!(
        metrics.contains(&format!("certdock_handler_call_seconds_count{series}")),
        "{series} in {metrics}"
    );
}

/// Row 10.
#[tokio::test(flavor = "multi_thread")]
async fn row_10_a_worker_that_dies() {
    let (world, _) = run(Row::Deaths, Process).await;
    assert_dies_in_open(&world).await;
    let (_, metrics) = world.server.admin("/metrics").unwrap();
    for fault in [
        "abort",
        "exit",
        "stack-overflow",
        "segfault",
        "out-of-memory",
    ] {
        let died = metrics.lines().any(|line| {
            line.starts_with("certdock_worker_deaths_total")
                && line.contains(&format!("\"{fault}\""))
                && !line.ends_with(" 0")
        });
        assert!(died, "{fault}: {metrics}");
    }
}

/// Row 10: whoever dies as soon as it is opened has been tried in a process of its own, and is not
/// opened in the server.
#[tokio::test(flavor = "multi_thread")]
async fn row_10_one_that_dies_in_open_never_runs_inside_the_server() {
    let (world, _) = run(Row::Deaths, InProcess).await;
    assert_dies_in_open(&world).await;
}

async fn assert_dies_in_open(world: &World) {
    assert_down(world, "abort-in-open", "was ended by signal 6 (SIGABRT)").await;
}

/// The handler is out of service, for this reason.
async fn assert_down(world: &World, handler: &str, reason: &str) {
    let status = ready(world).await["handlers"][handler].take();
    assert_eq!(status["state"], "down", "{handler}: {status}");
    let said = status["reason"].as_str().unwrap();
    assert!(
        said.contains(reason),
        "{handler}: no {reason:?} in {status}"
    );
}

/// Row 11: and the server ends in time.
#[tokio::test(flavor = "multi_thread")]
async fn row_11_hangs_and_spins() {
    let (mut world, ends) = run(Row::Hangs, Process).await;
    assert_cut_off(&world, &ends).await;
    // Each is killed when a call has gone on for too long.
    let end = Instant::now() + Duration::from_secs(30);
    for handler in HANGS {
        while deaths(&world, handler) == 0 {
            assert!(Instant::now() < end, "{handler}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    assert_eq!(world.server.terminate(), Some(0));
}

/// Row 11: and the server ends in time.
#[tokio::test(flavor = "multi_thread")]
async fn row_11_hangs_and_spins_inside_the_server() {
    let (mut world, ends) = run(Row::Hangs, InProcess).await;
    assert_cut_off(&world, &ends).await;
    assert_eq!(world.server.terminate(), Some(0));
}

/// Those whose calls go on beyond the deadline.
const HANGS: [&str; 4] = ["hang", "spin", "chatter", "slow"];

async fn assert_cut_off(world: &World, ends: &Ends) {
    for handler in HANGS {
        assert_told(world, handler, "enroll", "timed-out");
    }
    assert_down(
        world,
        "hang-in-open",
        "opening it took longer than its deadline",
    )
    .await;
    // That is not noticed before it is closed.
    assert_eq!(ends["hang-in-drop"], [ISSUED; 2]);
}

/// Row 12: and whoever reads the metrics sees who leaks.
#[tokio::test(flavor = "multi_thread")]
async fn row_12_leaks() {
    let (world, ends) = run(Row::Leaks, Process).await;
    assert_all_issued(&ends);
    let leaks = [
        ("certdock_worker_open_files", "leak-descriptors", 150),
        ("certdock_worker_threads", "threads", 20),
        ("certdock_worker_resident_bytes", "leak-memory", 1 << 20),
    ];
    // They are looked at every five seconds.
    let end = Instant::now() + Duration::from_secs(20);
    for (metric, handler, at_least) in leaks {
        while value(&world, metric, handler) <= value(&world, metric, "stdout") + at_least {
            assert!(Instant::now() < end, "{metric} of {handler}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

fn deaths(world: &World, handler: &str) -> u64 {
    find(world, "certdock_worker_deaths_total", handler).unwrap_or_default()
}

fn value(world: &World, metric: &str, handler: &str) -> u64 {
    find(world, metric, handler).unwrap_or_else(|| panic!("no {metric} of {handler}"))
}

fn find(world: &World, metric: &str, handler: &str) -> Option<u64> {
    let (_, metrics) = world.server.admin("/metrics").unwrap();
    let begins = format!("{metric}{{handler=\"{handler}\"}} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&begins));
    value.map(|value| value.parse().unwrap())
}

/// Row 12: one that comes near its limit is replaced before it must die.
#[tokio::test(flavor = "multi_thread")]
async fn row_12_whoever_leaks_a_little_is_replaced() {
    let leaks = FAULTS.iter().find(|fault| fault.name == "leak-descriptors");
    let world = serve_with(&[leaks.unwrap()], "limits.files = 350").await;
    let open = || value(&world, "certdock_worker_open_files", "leak-descriptors");
    let mut seen = BTreeSet::new();
    let end = Instant::now() + Duration::from_secs(60);
    for nth in 0.. {
        // It leaks a hundred each time, and what it had at its first look is not held against it.
        order(&world, leaks.unwrap(), nth).await.unwrap();
        let many = Instant::now() + Duration::from_secs(6);
        while Instant::now() < many {
            seen.insert(open());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let (least, most) = (*seen.first().unwrap(), *seen.last().unwrap());
        if most > 200 && open() < 100 {
            break;
        }
        assert!(Instant::now() < end, "{least} to {most}");
    }
    assert_eq!(deaths(&world, "leak-descriptors"), 0);
}

/// Row 12: one that uses up its memory again and again gets no more of it.
#[tokio::test(flavor = "multi_thread")]
async fn row_12_whoever_leaks_without_end_is_in_quarantine() {
    let leaks = FAULTS.iter().find(|fault| fault.name == "leak-memory");
    let (leaks, lines) = (leaks.unwrap(), "limits.memory = \"32MiB\"");
    let world = serve_with(&[leaks], lines).await;
    // An order that comes upon it waits for as long as it lasts.
    let ordering = async {
        for nth in 0.. {
            let _ = order(&world, leaks, nth).await;
        }
    };
    let quarantine = async {
        let end = Instant::now() + Duration::from_secs(120);
        loop {
            let status = &ready(&world).await["handlers"]["leak-memory"];
            let reason = status["reason"].as_str().unwrap_or_default();
            if reason.contains("the 20th time within 10 minutes") {
                assert!(reason.starts_with("in quarantine: "), "{status}");
                return;
            }
            assert!(Instant::now() < end, "{status}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    keep_getting_certificates(&world, async {
        tokio::select! {
            () = ordering => {}
            () = quarantine => {}
        }
    })
    .await;
}

/// Row 12: there too whoever reads the metrics sees that somebody leaks.
#[tokio::test(flavor = "multi_thread")]
async fn row_12_leaks_inside_the_server() {
    let faults = faults(Row::Leaks, InProcess);
    let world = serve(&faults, InProcess).await;
    let ends = use_all(&world, &faults).await;
    assert_all_issued(&ends);
    // Two orders leave twice sixteen behind, and the server's own come and go.
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let (said, is) = (threads(&world), thread_names(&world));
        let left_behind = is.iter().filter(|name| *name == "left-behind").count();
        assert_eq!(left_behind, 2 * 16, "{is:?}");
        if said == is.len() {
            return;
        }
        assert!(Instant::now() < end, "{said} are told of {is:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn threads(world: &World) -> usize {
    let (_, metrics) = world.server.admin("/metrics").unwrap();
    let mut lines = metrics.lines();
    let value = lines.find_map(|line| line.strip_prefix("certdock_process_threads "));
    value
        .unwrap_or_else(|| panic!("{metrics}"))
        .parse()
        .unwrap()
}

/// Those of the server's threads, as the system knows them.
fn thread_names(world: &World) -> Vec<String> {
    let threads = format!("/proc/{}/task", world.server.pid().as_raw_nonzero());
    let threads = fs::read_dir(threads).unwrap().map(Result::unwrap);
    // One may have ended in between.
    let name = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("comm")).ok();
    let names = threads.filter_map(name);
    names.map(|name| name.trim_end().to_owned()).collect()
}

/// It goes unnoticed at first.
fn assert_all_issued(ends: &Ends) {
    for (fault, ends) in ends {
        assert_eq!(*ends, [ISSUED; 2], "{fault}");
    }
}

/// Row 15 and lying certificates, endless texts, broken promises.
#[tokio::test(flavor = "multi_thread")]
async fn row_15_its_own_runtime_and_every_wrong_answer() {
    answers(Process).await;
}

/// Row 15 and lying certificates, endless texts, broken promises.
#[tokio::test(flavor = "multi_thread")]
async fn row_15_its_own_runtime_and_every_wrong_answer_inside_the_server() {
    answers(InProcess).await;
}

async fn answers(isolation: Isolation) {
    let (world, ends) = run(Row::Answers, isolation).await;
    let handlers = ready(&world).await["handlers"].take();
    for fault in faults(Row::Answers, isolation) {
        assert_answered(&world, &ends, fault.name);
        let status = &handlers[fault.name];
        assert_eq!(status["state"], "serving", "{}: {status}", fault.name);
    }
}

/// Rows 7, 9, 14, 16: files that differ, each in a server of its own.
async fn alone(isolation: Isolation) {
    for fault in faults(Row::Alone, isolation) {
        let (world, ends) = run_these(&[fault], isolation).await;
        let refused = match (fault.name, isolation) {
            // An allocator of its own hurts nobody.
            ("other-allocator", _) | ("panic-abort", Process) => {
                assert_all_issued(&ends);
                continue;
            }
            ("invalid-utf8", _) => {
                assert_answered(&world, &ends, fault.name);
                continue;
            }
            ("panic-abort", InProcess) => {
                assert_down(&world, fault.name, "built with panic = \"abort\"").await;
                continue;
            }
            // That is found out before the plugin has any business.
            ("constructor-aborts", _) => "was ended by signal 6 (SIGABRT)",
            ("wrong-layout", _) => "its types are laid out differently",
            ("old-api", _) => "it was built with plugin-api 0.",
            ("future-api", _) => "it was built with plugin-api 2.",
            _ => panic!("what becomes of {}?", fault.name),
        };
        assert_down(&world, fault.name, "no usable plugin 'faulty'").await;
        let files = ready(&world).await["refused_plugins"].take();
        let reason = files[0]["reason"].as_str().unwrap();
        assert!(reason.contains(refused), "{}: {reason}", fault.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_14_and_16_other_allocators_and_other_files() {
    alone(Process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_14_and_16_other_allocators_and_other_files_inside_the_server() {
    alone(InProcess).await;
}
