//! Handlers in processes of their own: killed, orphaned, and kept from what is not theirs.

use std::fs;
use std::path::Path;
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

/// A call that is cut off is made again under the same id, and the next one waits for the next worker.
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
    let (_, metrics) = world.server.admin("/metrics").unwrap();
    let deaths = metrics
        .lines()
        .find_map(|line| line.strip_prefix("certdock_worker_deaths_total{handler=\"local\"} "));
    assert!(
        deaths.unwrap().parse::<u32>().unwrap() >= 6,
        "too few deaths"
    );
    let log = world.server.log();
    assert!(log.contains("was ended by signal 9 (SIGKILL)"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_dies_with_its_server() {
    let mut world = World::start().await;
    let workers = workers(&world.server);
    assert!(!workers.is_empty());
    world.server.kill();
    for pid in workers {
        let file = format!("/proc/{}/exe", pid.as_raw_nonzero());
        // A dead process that nobody has asked for yet has no program any more.
        eventually("the worker's end", || fs::read_link(&file).is_err());
    }
}

/// A handler gets the secrets that its configuration names, wherever it runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_handler_gets_its_own_secrets_and_no_others() {
    let isolations = ["process", "in-process"];
    let mut world = World::prepare(|settings| {
        settings.more = isolations
            .map(|isolation| {
                format!(
                    "[handlers.{isolation}]\nplugin = \"faulty\"\nisolation = \"{isolation}\"\n\
                     [handlers.{isolation}.config]\ndirectory = \"{isolation}\"\n\
                     fault = \"pry\"\nat = \"open\"\nsecret = {{ file = \"{isolation}/secret\" }}\n"
                )
            })
            .concat();
    })
    .await;
    world.server.add_plugin("libcertdock_faulty.so");
    for isolation in isolations {
        let directory = world.server.dir().join(isolation);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("secret"), "hush").unwrap();
    }
    world.server.restart();
    let (_, ready) = world.server.admin("/readyz").unwrap();
    let ready: Value = serde_json::from_str(&ready).unwrap();
    let log = world.server.log();
    for isolation in isolations {
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
    let isolations = ["process", "in-process"];
    let mut world = World::prepare(|settings| {
        settings.more = isolations
            .map(|isolation| {
                format!(
                    "[handlers.{isolation}]\nplugin = \"faulty\"\nisolation = \"{isolation}\"\n\
                     [handlers.{isolation}.config]\ndirectory = \"{isolation}\"\n\
                     fault = \"hoard\"\nat = \"open\"\n"
                )
            })
            .concat();
    })
    .await;
    world.server.add_plugin("libcertdock_faulty.so");
    world.server.restart();
    let (_, ready) = world.server.admin("/readyz").unwrap();
    let ready: Value = serde_json::from_str(&ready).unwrap();
    let (_, metrics) = world.server.admin("/metrics").unwrap();
    let log = world.server.log();
    for isolation in isolations {
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
        assert_eq!(count(&log, "plugin: hoarded"), 1000);
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
