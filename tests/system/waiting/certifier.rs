//! Against the simulator of Certifier: what is pending survives anything, and what goes wrong on the
//! way to the CA loses no certificate, doubles none, and holds up nobody else.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use certdock_tests::acme::{Account, Client, b64};
use certdock_tests::certificate::check_chain;
use certdock_tests::certifier::{Call, Fault, FaultKind, Mode, Options, Publish, Simulator};
use certdock_tests::issue::{csr, issue, new_order};
use certdock_tests::program::{Program, python_tool};
use certdock_tests::settings::Settings;
use certdock_tests::{World, ports};
use rcgen::KeyPair;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{account, command, eventually};

const PUSH_SECRET: &str = "a secret that the CA was told";

/// A handler and an endpoint of one name.
fn handler(settings: &mut Settings, name: &str, lines: &str, simulator: &Simulator) {
    settings.more.push_str(&format!(
        "[handlers.{name}]\nplugin = \"certifier\"\n{lines}\n[handlers.{name}.config]\n\
         request_timeout = \"2s\"\n{}\n[acme.{name}]\nhandler = \"{name}\"\n",
        simulator.config()
    ));
}

fn ready(world: &mut World, simulator: &Simulator) {
    let dir = world.server.dir();
    fs::write(dir.join("certifier-password"), simulator.password()).unwrap();
    fs::write(dir.join("push-secret"), PUSH_SECRET).unwrap();
    world.server.add_plugin("libcertdock_certifier.so");
    world.server.restart();
}

/// Orders of one account for one name, which is proved once.
struct Orders {
    client: Client,
    account: Account,
    name: String,
}

impl Orders {
    async fn of(world: &World, endpoint: &str, name: &str) -> Self {
        let (mut client, account) = account(world, endpoint).await;
        let answer = new_order(&mut client, &account, &[name]).await.unwrap();
        let order = answer.expect(201).unwrap().json();
        let authorization = order["authorizations"][0].as_str().unwrap();
        let proved = certdock_tests::issue::authorize_http01(
            &mut client,
            &account,
            authorization,
            &world.http01,
        );
        proved.await.unwrap();
        Self {
            client,
            account,
            name: name.to_owned(),
        }
    }

    /// Asks for one more certificate; the order's URL and how it stands then.
    async fn finalize(&mut self) -> Result<(String, Value)> {
        let names = [self.name.as_str()];
        let answer = new_order(&mut self.client, &self.account, &names).await?;
        let answer = answer.expect(201)?;
        let url = answer.header("location").context("no URL")?.to_owned();
        let finalize = answer.json()["finalize"]
            .as_str()
            .context("no finalize")?
            .to_owned();
        let request = csr(&KeyPair::generate()?, &names);
        let body = json!({ "csr": b64(&request) });
        let answer = self.client.post(&self.account, &finalize, &body).await?;
        Ok((url, answer.expect(200)?.json()))
    }

    /// Waits until it is no longer processing; how it stands then.
    async fn end(&mut self, url: &str, limit: Duration) -> Result<Value> {
        let end = Instant::now() + limit;
        loop {
            let answer = self.client.post_as_get(&self.account, url).await?;
            let order = answer.expect(200)?.json();
            if order["status"] != "processing" {
                return Ok(order);
            }
            anyhow::ensure!(Instant::now() < end, "still processing: {url}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

fn count(world: &World, sql: &str) -> u64 {
    let database = Connection::open(world.server.dir().join("certdock.db")).unwrap();
    let count: i64 = database.query_row(sql, [], |row| row.get(0)).unwrap();
    count.unsigned_abs()
}

async fn certbot(world: &World, endpoint: &str, name: &str, dir: &Path) -> String {
    let port = world.server.settings.http01_port.to_string();
    let outcome = Program::new(python_tool("certbot"))
        .args(["certonly", "--server", &world.server.directory_of(endpoint)])
        .args(["--non-interactive", "--agree-tos", "--no-eff-email"])
        .args(["--email", "operator@example.com", "--domain", name])
        .args(["--standalone", "--http-01-address", "127.0.0.1"])
        .args(["--http-01-port", &port])
        .arg("--config-dir")
        .arg(dir)
        .arg("--work-dir")
        .arg(dir.join("work"))
        .arg("--logs-dir")
        .arg(dir.join("logs"))
        .env("REQUESTS_CA_BUNDLE", world.server.root_pem())
        .run();
    outcome.await.success();
    fs::read_to_string(dir.join("live").join(name).join("fullchain.pem")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_gets_its_certificate_though_the_server_is_killed() {
    let simulator = Simulator::start(Options::default());
    let lines = "poll_interval = \"1s\"\nslowest_poll = \"1s\"";
    let mut world = World::prepare(|settings| {
        settings.http01_port = ports::free();
        settings.tls_alpn01_port = ports::free();
        handler(settings, "certifier", lines, &simulator);
    })
    .await;
    ready(&mut world, &simulator);
    let dir = TempDir::new().unwrap();
    let chain = certbot(&world, "certifier", "at-once.test", dir.path()).await;
    check_chain(&chain, &["at-once.test"]);

    simulator.set_mode(Mode::Manual);
    let dir = TempDir::new().unwrap();
    let port = format!("127.0.0.1:{}", world.server.settings.tls_alpn01_port);
    let server = world.server.directory_of("certifier");
    let roots = world.server.root_pem();
    let lego = |name: &str, patience: &str| {
        let program = Program::new("lego")
            .args(["--server", &server, "--accept-tos"])
            .args(["--email", "operator@example.com", "--domains", name])
            .args(["--cert.timeout", patience, "--path"])
            .arg(dir.path())
            .args(["--tls", "--tls.port", &port, "run"])
            .env("LEGO_CA_CERTIFICATES", &roots);
        tokio::spawn(program.run())
    };
    let waiting_client = lego("manual.test", "100");
    let asked = async || simulator.pending().len() == 1;
    eventually("the CA is asked", Duration::from_secs(30), asked).await;
    let list = command(&world, &["order", "list"]).await;
    let orders = list["items"].as_array().unwrap();
    let waiting = orders.iter().find(|order| order["status"] == "processing");
    let id = waiting.unwrap()["id"].as_str().unwrap().to_owned();
    let shown = command(&world, &["order", "show", &id]).await;
    assert_eq!(shown["enrollment"]["state"], "pending", "{shown}");

    world.server.kill();
    world.server.restart();
    simulator.approve(&simulator.pending()[0]);
    waiting_client.await.unwrap().success();
    let chain = fs::read_to_string(dir.path().join("certificates/manual.test.crt")).unwrap();
    check_chain(&chain, &["manual.test"]);
    assert_eq!(simulator.counts().issued, 2);

    // What the operator says no to, the client hears of.
    let refused = lego("rejected.test", "15");
    eventually("the CA is asked", Duration::from_secs(30), asked).await;
    simulator.reject(&simulator.pending()[0], "no such device in the inventory");
    let refused = refused.await.unwrap();
    assert_ne!(refused.status, Some(0));
    assert!(
        refused.stderr.contains("no such device in the inventory"),
        "{}",
        refused.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_five_thousand_that_are_pending_each_is_delivered_once_over_ten_kills() {
    const COUNT: usize = 5_000;
    const CLIENTS: usize = 8;
    let started = Instant::now();
    let simulator = Simulator::start(Options {
        mode: Mode::Manual,
        ..Options::default()
    });
    let lines = "threads = 16\ndeadline = \"10s\"\npoll_interval = \"5s\"\nslowest_poll = \"5s\"";
    let mut world =
        World::prepare(|settings| handler(settings, "certifier", lines, &simulator)).await;
    ready(&mut world, &simulator);
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let mut orders = Orders::of(&world, "certifier", &format!("c{number}.test")).await;
        clients.push(tokio::spawn(async move {
            let mut urls = Vec::new();
            for _ in 0..COUNT / CLIENTS {
                let (url, order) = orders.finalize().await.unwrap();
                assert_eq!(order["status"], "processing");
                urls.push(url);
            }
            (orders, urls)
        }));
    }
    let mut waiting = Vec::new();
    for client in clients {
        waiting.push(client.await.unwrap());
    }
    println!("{COUNT} orders wait after {:?}", started.elapsed());
    assert_eq!(simulator.counts().pending, COUNT as u64);

    let mut requests = simulator.pending();
    let mut random: u64 = 0x9e37_79b9_7f4a_7c15;
    for kill in 0..10 {
        for _ in 0..COUNT / 10 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let place = usize::try_from(random >> 33).unwrap() % requests.len();
            simulator.approve(&requests.swap_remove(place));
        }
        tokio::time::sleep(Duration::from_millis(random >> 40 & 0x3ff)).await;
        world.server.kill();
        world.server.restart();
        let done = count(&world, "SELECT count(*) FROM certificates");
        println!(
            "kill {kill}: {done} delivered after {:?}",
            started.elapsed()
        );
    }
    let all = COUNT as u64;
    eventually("all are delivered", Duration::from_secs(120), async || {
        count(
            &world,
            "SELECT count(*) FROM orders WHERE progress = 'valid'",
        ) == all
    })
    .await;
    println!("all delivered after {:?}", started.elapsed());
    assert_eq!(count(&world, "SELECT count(*) FROM certificates"), all);
    assert_eq!(
        count(
            &world,
            "SELECT count(DISTINCT fingerprint) FROM certificates"
        ),
        all
    );
    let counts = simulator.counts();
    assert_eq!(
        (counts.requests, counts.issued, counts.doubled),
        (all, all, 0)
    );
    // The clients get them.
    for (orders, urls) in &mut waiting {
        // They were another server's.
        orders.client.forget_nonces();
        for url in urls.iter().step_by(50) {
            let order = orders.end(url, Duration::from_secs(5)).await.unwrap();
            let certificate = order["certificate"].as_str().unwrap();
            let answer = orders
                .client
                .post_as_get(&orders.account, certificate)
                .await;
            check_chain(
                &answer.unwrap().expect(200).unwrap().text(),
                &[&orders.name],
            );
        }
    }
}

/// One thing that goes wrong: the mode, and faults: on every how many calls, how often, what.
type Trouble = (&'static str, Mode, &'static [(u64, u64, FaultKind)]);

const HANG: Duration = Duration::from_secs(20);

const TROUBLES: &[Trouble] = &[
    ("none", Mode::Automatic, &[]),
    ("slow", Mode::Slow(Duration::from_millis(1_500)), &[]),
    ("5xx", Mode::Automatic, &[(2, 60, FaultKind::Status(503))]),
    (
        "cut",
        Mode::Automatic,
        &[(5, 40, FaultKind::CutAfter), (7, 20, FaultKind::CutBefore)],
    ),
    (
        "hang",
        Mode::Automatic,
        &[
            (9, 20, FaultKind::HangAfter(HANG)),
            (17, 10, FaultKind::HangBefore(HANG)),
        ],
    ),
    (
        "non-JSON",
        Mode::Automatic,
        &[
            (6, 30, FaultKind::HtmlAfter),
            (11, 15, FaultKind::HtmlBefore),
        ],
    ),
];

const POLICIES: [&str; 2] = ["hold", "retry"];

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_in_trouble_loses_nothing_doubles_nothing_and_holds_up_nobody() {
    let port = ports::free();
    let mut world = World::prepare(|settings| settings.port = port).await;
    let roots = world.server.root_pem();
    let simulators: BTreeMap<&str, Simulator> = POLICIES
        .into_iter()
        .map(|policy| {
            let publish = Publish {
                url: format!("https://localhost:{port}/push/{policy}"),
                secret: PUSH_SECRET.to_owned(),
                roots: roots.clone(),
                // So that what is asked for again is there before the first certificate turns up.
                delay: match policy {
                    "retry" => Duration::from_secs(4),
                    _ => Duration::ZERO,
                },
            };
            let options = Options {
                publish: Some(publish),
                ..Options::default()
            };
            (policy, Simulator::start(options))
        })
        .collect();
    for (policy, simulator) in &simulators {
        let lines = format!(
            "threads = 32\ndeadline = \"8s\"\non_unknown = \"{policy}\"\n\
             push_secret = {{ file = \"push-secret\" }}"
        );
        handler(&mut world.server.settings, policy, &lines, simulator);
    }
    world.server.write_config(&world.server.settings.toml());
    ready(&mut world, &simulators["hold"]);

    let mut undisturbed = None;
    for (trouble, mode, faults) in TROUBLES {
        let started = Instant::now();
        for simulator in simulators.values() {
            simulator.set_mode(*mode);
            for &(every, times, kind) in *faults {
                let fault = Fault::every(every, Call::Enroll, kind);
                simulator.add_fault(Fault { times, ..fault });
            }
        }
        let (p99, (), ()) = {
            let done = Arc::new(AtomicUsize::new(0));
            tokio::join!(
                other_handler(&world, Arc::clone(&done)),
                two_hundred(&world, "hold", Arc::clone(&done)),
                two_hundred(&world, "retry", Arc::clone(&done)),
            )
        };
        for (policy, simulator) in &simulators {
            simulator.clear_faults();
            let report = no_certificate_is_doubled(&world, policy, simulator).await;
            println!("{report}");
        }
        let usual = *undisturbed.get_or_insert(p99);
        let ratio = p99.as_secs_f64() / usual.as_secs_f64();
        println!(
            "{trouble}: {:?}, p99 elsewhere {p99:?}, {ratio:.2} of the usual",
            started.elapsed()
        );
        assert!(
            p99 < usual * 3 + Duration::from_millis(250),
            "{trouble}: {p99:?}, usually {usual:?}"
        );
    }
    let revoked = simulators["retry"].counts().revoked;
    assert!(
        revoked > 0,
        "no certificate was one too many: nothing was tried"
    );
}

/// 200 certificates for 32 clients, however long it takes the CA.
async fn two_hundred(world: &World, policy: &str, done: Arc<AtomicUsize>) {
    const CLIENTS: usize = 32;
    let left = Arc::new(AtomicUsize::new(200));
    let mut running = Vec::new();
    for number in 0..CLIENTS {
        let mut orders = Orders::of(world, policy, &format!("c{number}.{policy}.test")).await;
        let left = Arc::clone(&left);
        running.push(tokio::spawn(async move {
            let mut urls = Vec::new();
            while left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                    left.checked_sub(1)
                })
                .is_ok()
            {
                urls.push(orders.finalize().await.unwrap().0);
            }
            (orders, urls)
        }));
    }
    let mut all = Vec::new();
    for client in running {
        all.push(client.await.unwrap());
    }
    // What was issued has been pushed by now; the operator has the rest asked for again.
    let held = "SELECT count(*) FROM enrollments WHERE state = 'requested' AND situation = 'held'";
    let patience = Instant::now() + Duration::from_secs(90);
    while policy == "hold" && count(world, held) > 0 {
        assert!(Instant::now() < patience, "orders stay held");
        tokio::time::sleep(Duration::from_millis(700)).await;
        let list = command(world, &["order", "list", "--limit", "10000"]).await;
        for order in list["items"].as_array().unwrap() {
            if order["status"] != "processing" {
                continue;
            }
            let id = order["id"].as_str().unwrap();
            let shown = command(world, &["order", "show", id]).await;
            if shown["enrollment"]["state"] == "held" {
                let _ = world.server.command(&["order", "retry", id]).run().await;
            }
        }
    }
    for (mut orders, urls) in all {
        for url in urls {
            let order = orders.end(&url, Duration::from_secs(60)).await.unwrap();
            assert_eq!(order["status"], "valid", "{policy}: {order}");
        }
    }
    done.fetch_add(1, Ordering::SeqCst);
}

/// A key with two certificates that are good is one too many; those found out are revoked.
async fn no_certificate_is_doubled(world: &World, policy: &str, simulator: &Simulator) -> String {
    eventually(
        "surplus certificates are revoked",
        Duration::from_secs(20),
        async || simulator.counts().doubled == 0,
    )
    .await;
    let counts = simulator.counts();
    let sql =
        format!("SELECT count(*) FROM certificates WHERE handler = '{policy}' AND withheld = 1");
    let surplus = count(world, &sql);
    assert_eq!(counts.revoked, surplus, "{policy}: {counts:?}");
    // Each is reported once, after it has been written down.
    let reported = || {
        let log = world.server.log();
        let reports = log.lines().filter(|line| {
            line.contains("certificate-surplus") && line.contains(&format!(" handler={policy} "))
        });
        reports.count() as u64
    };
    eventually(
        "surplus certificates are reported",
        Duration::from_secs(10),
        async || reported() >= surplus,
    )
    .await;
    assert_eq!(reported(), surplus, "{policy}: {counts:?}");
    format!("{policy}: {counts:?}, {surplus} surplus, all reported")
}

/// Complete orders at another handler until both runs are done; the 99th of a hundred.
async fn other_handler(world: &World, done: Arc<AtomicUsize>) -> Duration {
    let (mut client, account) = account(world, "default").await;
    let mut spans = Vec::new();
    while done.load(Ordering::SeqCst) < POLICIES.len() || spans.len() < 100 {
        let started = Instant::now();
        let issued = issue(&mut client, &account, &["elsewhere.test"], &world.http01).await;
        issued.unwrap();
        spans.push(started.elapsed());
    }
    spans.sort();
    spans[spans.len() * 99 / 100]
}
