//! Handlers in processes of their own: killed, orphaned, and kept from what is not theirs.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use certdock_tests::certificate::check_chain;
use certdock_tests::issue::issue;
use certdock_tests::server::Server;
use certdock_tests::{World, skip};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The processes that a server has started.
fn workers(server: &Server) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.pid().as_raw_nonzero())).unwrap();
    let children = tasks.flatten().flat_map(|task| {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        let pids = children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok());
        pids.filter_map(Pid::from_raw).collect::<Vec<_>>()
    });
    children.collect()
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < until, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A call that is cut off is made again under the same id.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_cut_off_costs_no_certificate() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    for name in ["cut-1.test", "cut-2.test"] {
        // The others have looked at a plugin, and are about to end.
        eventually("one worker", || workers(&world.server).len() == 1);
        let pid = workers(&world.server)[0];
        kill_process(pid, Signal::STOP).unwrap();
        let cut_off = async {
            let end = Instant::now() + Duration::from_secs(20);
            while metric(&world, "certdock_handler_running{handler=\"local\"} ") != 1 {
                assert!(Instant::now() < end, "no call is under way");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            kill_process(pid, Signal::KILL).unwrap();
        };
        let names = [name];
        let issued = issue(&mut client, &account, &names, &world.http01);
        let (issued, ()) = tokio::join!(issued, cut_off);
        check_chain(&issued.unwrap().chain, &[name]);
    }
    let list = world.server.command(&["cert", "list", "--json"]).run();
    let list: Value = serde_json::from_str(&list.await.success().stdout).unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 2, "{list}");
    let database = rusqlite::Connection::open(world.server.dir().join("certdock.db")).unwrap();
    let enrollments = "SELECT count(*) FROM enrollments";
    let enrollments = database.query_row(enrollments, [], |row| row.get::<_, u32>(0));
    assert_eq!(enrollments, Ok(2));
}

/// The value behind the beginning of a line.
fn metric(world: &World, series: &str) -> u64 {
    let (_, metrics) = world.server.admin("/metrics").unwrap();
    let value = metrics.lines().find_map(|line| line.strip_prefix(series));
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// Nobody waits for a plugin that dies each time.
#[tokio::test(flavor = "multi_thread")]
async fn one_whose_worker_dies_again_and_again_is_in_quarantine() {
    let world = World::start().await;
    let state = || {
        let (_, ready) = world.server.admin("/readyz").unwrap();
        let mut ready: Value = serde_json::from_str(&ready).unwrap();
        ready["handlers"]["local"].take()
    };
    eventually("the quarantine", || {
        for pid in workers(&world.server) {
            let _ = kill_process(pid, Signal::KILL);
        }
        state()["state"] == "down"
    });
    let state = state();
    let reason = state["reason"].as_str().unwrap();
    assert!(reason.starts_with("in quarantine: "), "{reason}");
    // Some are killed before they have got as far as to serve.
    assert!(reason.contains("its worker process "), "{reason}");
    assert!(reason.ends_with(", the 5th time in a row"), "{reason}");
    let log = world.server.log();
    let told = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    assert_eq!(told("worker process lost: it is started again"), 4, "{log}");
    assert_eq!(
        told("worker process lost, and not started again"),
        1,
        "{log}"
    );
    assert!(log.contains("backoff=800ms"), "{log}");
}

/// The next call waits for the next worker.
#[tokio::test(flavor = "multi_thread")]
async fn killed_workers_cost_no_certificate() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    for round in 0..6 {
        for pid in workers(&world.server) {
            // It may just have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
        let name = format!("killed-{round}.test");
        let issued = issue(&mut client, &account, &[&name], &world.http01).await;
        check_chain(&issued.unwrap().chain, &[&name]);
    }
    let deaths = metric(&world, "certdock_worker_deaths_total{handler=\"local\"} ");
    assert!(deaths >= 6, "too few deaths: {deaths}");
    let log = world.server.log();
    assert!(log.contains("was ended by signal 9 (SIGKILL)"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_dies_with_its_server() {
    let mut world = World::start().await;
    let workers = workers(&world.server);
    assert!(!workers.is_empty());
    for pid in &workers {
        // One that is stuck does not see that nobody is at the other end.
        kill_process(*pid, Signal::STOP).unwrap();
    }
    world.server.kill();
    for pid in workers {
        let file = format!("/proc/{}/exe", pid.as_raw_nonzero());
        // A dead process that nobody has asked for yet has no program any more.
        eventually("the worker's end", || fs::read_link(&file).is_err());
    }
}

/// A plugin may have something to give back, or to write down, wherever it runs.
#[tokio::test(flavor = "multi_thread")]
async fn handlers_are_closed_when_the_server_stops() {
    let handler = |isolation| {
        format!(
            "[handlers.{isolation}]\nplugin = \"pending\"\nisolation = \"{isolation}\"\n\
             [handlers.{isolation}.config]\ndirectory = \"{isolation}\"\n"
        )
    };
    let more = ISOLATIONS.map(handler).concat();
    let mut world = World::prepare(|settings| settings.more = more).await;
    world.server.add_plugin("libcertdock_pending.so");
    world.server.restart();
    let closed = |isolation| world.server.dir().join(isolation).join("closed");
    // One that was opened to see whether it can be has been closed again.
    let _ = ISOLATIONS.map(|isolation| fs::remove_file(closed(isolation)));
    let files = ISOLATIONS.map(closed);
    assert_eq!(world.server.terminate(), Some(0));
    let database = rusqlite::Connection::open(world.server.dir().join("certdock.db")).unwrap();
    for (isolation, file) in ISOLATIONS.iter().zip(files) {
        assert!(file.exists(), "{isolation}\n{}", world.server.log());
        let keys = "SELECT count(*) FROM handler_state WHERE handler = ?1 AND key = 'closed'";
        let keys = database.query_row(keys, [isolation], |row| row.get::<_, u32>(0));
        assert_eq!(keys, Ok(1), "{isolation}");
    }
}

/// Where a handler may run, and what the handler that runs there is called.
const ISOLATIONS: [&str; 2] = ["process", "in-process"];

/// A server with a handler for each isolation that misbehaves when it is opened.
async fn prepare(fault: &str, more: impl Fn(&str) -> String) -> World {
    let handler = |isolation| {
        format!(
            "[handlers.{isolation}]\nplugin = \"faulty\"\nisolation = \"{isolation}\"\n\
             [handlers.{isolation}.config]\ndirectory = \"{isolation}\"\n\
             fault = \"{fault}\"\nat = \"open\"\n{}\n",
            more(isolation)
        )
    };
    let world = World::prepare(|settings| settings.more = ISOLATIONS.map(handler).concat()).await;
    world.server.add_plugin("libcertdock_faulty.so");
    world
}

/// A handler gets the secrets that its configuration names, wherever it runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_handler_gets_its_own_secrets_and_no_others() {
    let mut world = prepare("pry", |isolation| {
        format!("secret = {{ file = \"{isolation}/secret\" }}")
    })
    .await;
    for isolation in ISOLATIONS {
        let directory = world.server.dir().join(isolation);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("secret"), "hush").unwrap();
    }
    world.server.restart();
    let (_, ready) = world.server.admin("/readyz").unwrap();
    let ready: Value = serde_json::from_str(&ready).unwrap();
    let log = world.server.log();
    for isolation in ISOLATIONS {
        let handler = &ready["handlers"][isolation];
        assert_eq!(handler["state"], "serving", "{handler}");
        let told = format!("handler=\"{isolation}\" reference=Env(\"PATH\")");
        assert!(log.contains(&told), "{log}");
    }
    if !log.contains("has no Landlock") {
        assert!(!world.server.dir().join("process/link").is_symlink());
    }
}

/// What a handler logs, counts and stores without measure costs the server little, wherever it runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_hoards_is_kept_within_bounds() {
    let mut world = prepare("hoard", |_| String::new()).await;
    world.server.restart();
    let (_, ready) = world.server.admin("/readyz").unwrap();
    let ready: Value = serde_json::from_str(&ready).unwrap();
    let (_, metrics) = world.server.admin("/metrics").unwrap();
    let log = world.server.log();
    for isolation in ISOLATIONS {
        let handler = &ready["handlers"][isolation];
        assert_eq!(handler["state"], "serving", "{handler}");
        let own = format!("handler=\"{isolation}\"");
        let count = |text: &str, what: &str| {
            let lines = text.lines();
            lines
                .filter(|l| l.contains(what) && l.contains(&own))
                .count()
        };
        assert_eq!(count(&metrics, "certdock_plugin_hoarded_total{"), 1000);
        // So many in ten seconds, and on a slow machine it takes more than those, or a second try.
        let lines = count(&log, "plugin: hoarded");
        assert!((1_000..10_000).contains(&lines), "{lines}");
        assert_eq!(count(&log, "series of metrics"), 1);
    }
}

/// Where the kernel has Landlock.
#[tokio::test(flavor = "multi_thread")]
async fn a_handler_may_write_where_its_configuration_says_and_nowhere_else() {
    let mut world = World::prepare(|settings| {
        settings.more = "[handlers.inside]\nplugin = \"wayward\"\n\
                         [handlers.inside.config]\ndirectory = \"own\"\n\
                         [handlers.outside]\nplugin = \"wayward\"\n\
                         [handlers.outside.config]\ndirectory = \"/var\"\n"
            .to_owned();
    })
    .await;
    world.server.add_plugin("libcertdock_wayward.so");
    fs::create_dir(world.server.dir().join("own")).unwrap();
    world.server.restart();
    if world.server.log().contains("has no Landlock") {
        skip("this machine's kernel has no Landlock");
        return;
    }
    let (_, ready) = world.server.admin("/readyz").unwrap();
    let ready: Value = serde_json::from_str(&ready).unwrap();
    let handlers = &ready["handlers"];
    assert_eq!(handlers["inside"]["state"], "serving", "{handlers}");
    // A folder that many programs share is nobody's own.
    let reason = handlers["outside"]["reason"].as_str().unwrap();
    assert!(reason.contains("Permission denied"), "{reason}");
    assert!(!Path::new("/var/calls").exists());
}

/// What a plugin that is told to pry finds out: each deed, and what came of it.
fn pry(world: &mut World, deeds: &[String]) -> Vec<String> {
    world.server.add_plugin("libcertdock_prying.so");
    let own = world.server.dir().join("own");
    fs::create_dir_all(&own).unwrap();
    fs::create_dir_all(world.server.dir().join("ca")).unwrap();
    fs::write(own.join("deeds"), deeds.join("\n")).unwrap();
    world.server.restart();
    let outcome = fs::read_to_string(own.join("outcome"));
    let outcome = outcome.unwrap_or_else(|error| panic!("{error}\n{}", world.server.log()));
    outcome.lines().map(str::to_owned).collect()
}

const PRYING: &str = "[handlers.prying]\nplugin = \"prying\"\n\
                      [handlers.prying.config]\ndirectory = \"own\"\n";

/// A process that the server has nothing to do with.
struct Bystander(Child);

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// EPERM, as the kernel's filter answers; EACCES, as Landlock does.
const NOT_PERMITTED: &str = "(os error 1)";
const DENIED: &str = "(os error 13)";

/// Where the kernel has Landlock.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_reads_no_file_that_is_not_its_own() {
    let mut world = World::prepare(|settings| settings.more = PRYING.to_owned()).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = elsewhere.path().join("foreign");
    fs::write(&foreign, "secret").unwrap();
    let server = world.server.dir().to_owned();
    let file = |what: &str, name: &str| format!("{what} {}", server.join(name).display());
    let closed = [
        file("read", "tls.key"),
        // With it, it could do all that the commands can.
        file("read", "admin.sock.pass"),
        file("read", "certdock.toml"),
        file("write", "certdock.toml"),
        file("read", "certdock.db"),
        file("list", "ca"),
        file("write", "plugins/libcertdock_prying.so"),
        file("list", ""),
        format!("read {}", foreign.display()),
        format!("write {}", foreign.display()),
        // A program that it starts may do no more.
        format!("run cat {}", foreign.display()),
    ];
    let open = [
        file("read", "own/deeds"),
        file("write", "own/deeds"),
        "read /etc/hosts".to_owned(),
        "run cat /etc/hosts".to_owned(),
    ];
    let outcome = pry(&mut world, &[&closed[..], &open[..]].concat());
    if world.server.log().contains("has no Landlock") {
        skip("this machine's kernel has no Landlock");
        return;
    }
    for (deed, outcome) in closed.iter().zip(&outcome) {
        let denied = outcome.ends_with(DENIED) || outcome.contains("Permission denied");
        assert!(denied, "{deed}\n{outcome}");
    }
    let allowed: Vec<_> = open.iter().map(|deed| format!("{deed}: ok")).collect();
    assert_eq!(outcome[closed.len()..], allowed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_reaches_no_other_process_and_changes_no_system() {
    let mut world = World::prepare(|settings| settings.more = PRYING.to_owned()).await;
    let mut bystander = Bystander(Command::new("sleep").arg("60").spawn().unwrap());
    let own = world.server.dir().join("own");
    // What this system would allow to anybody, or refuse for another reason.
    let filtered = [
        "reach SERVER",
        "hold SERVER",
        "limit SERVER",
        // Limits are those of the whole process, whichever of its threads is named.
        "limit THREAD",
        "renice SERVER",
        "renice THREAD",
        "unshare",
        "enter",
        "steal",
        "raise",
    ];
    let mount = format!("run mount -t tmpfs none {}", own.display());
    let walled = ["read /proc/SERVER/environ", "read /proc/SERVER/mem"];
    let limit = format!("limit {}", bystander.0.id());
    let signal = format!("signal {}", bystander.0.id());
    let mut deeds: Vec<_> = filtered
        .iter()
        .map(|&deed| deed.to_owned())
        .chain([limit])
        .chain(walled.map(str::to_owned))
        .collect();
    let prod = "prod SERVER".to_owned();
    deeds.extend([mount, signal, prod, "run true".to_owned()]);
    let outcome = pry(&mut world, &deeds);
    let log = world.server.log();
    let (filtered, rest) = outcome.split_at(filtered.len() + 1);
    for outcome in filtered {
        assert!(outcome.ends_with(NOT_PERMITTED), "{outcome}");
    }
    let [environ, memory, mounted, signalled, prodded, control] = rest else {
        panic!("{outcome:?}");
    };
    // ENOSYS: there is no such call.
    assert!(prodded.ends_with("(os error 38)"), "{prodded}");
    assert!(!mounted.ends_with(": ok"), "{mounted}");
    let mounts = fs::read_to_string(format!(
        "/proc/{}/mountinfo",
        world.server.pid().as_raw_nonzero()
    ));
    assert!(!mounts.unwrap().contains(&*own.to_string_lossy()));
    assert_eq!(control, "run true: ok");
    if log.contains("has no Landlock") {
        skip("this machine's kernel has no Landlock, which keeps processes from another's memory");
    } else {
        assert!(
            environ.ends_with(DENIED) && memory.ends_with(DENIED),
            "{rest:?}"
        );
    }
    if log.contains("Landlock") {
        skip("this machine's kernel has no Landlock that keeps signals from other processes");
    } else {
        assert!(signalled.ends_with(NOT_PERMITTED), "{signalled}");
        assert!(bystander.0.try_wait().unwrap().is_none(), "it was killed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_uses_up_its_time_on_the_processor_is_killed() {
    let limited = PRYING.replace("\"prying\"\n", "\"prying\"\nlimits.cpu = \"1s\"\n");
    let mut world = World::prepare(|settings| settings.more = limited).await;
    world.server.add_plugin("libcertdock_prying.so");
    let own = world.server.dir().join("own");
    fs::create_dir(&own).unwrap();
    fs::write(own.join("deeds"), "spin\n").unwrap();
    world.server.restart();
    let why = "was ended by signal 24 (SIGXCPU: it used all the time that limits.cpu gives it)";
    eventually("the end of its time", || world.server.log().contains(why));
    assert!(!own.join("outcome").exists());
    let (mut client, account) = world.account().await;
    let issued = issue(&mut client, &account, &["beside.test"], &world.http01).await;
    check_chain(&issued.unwrap().chain, &["beside.test"]);
}
