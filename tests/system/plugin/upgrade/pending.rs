//! Certificates that take their time, over upgrades: row 18 of the matrix.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use certdock_tests::World;
use certdock_tests::acme::{Account, AccountKey, Client, b64};
use certdock_tests::certificate::check_chain;
use certdock_tests::faults::replaced;
use certdock_tests::issue::{authorize_http01, csr, issue, new_order};
use certdock_tests::load::Load;
use certdock_tests::server::plugin_version;
use rcgen::KeyPair;
use serde_json::json;
use tokio::task::JoinHandle;

use super::{eventually, ready};

const PENDING: &str = "libcertdock_pending.so";
const ORDERS: usize = 6;

/// Clients of the other handler, and of this one for a name that its officer grants at once.
const OTHERS: usize = 4;

/// Certificates that the others get between two things that happen.
const MEANWHILE: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn pending_enrollments_go_on_with_the_next_generation() {
    go_on("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_enrollments_go_on_with_the_next_generation_inside_the_server() {
    go_on("isolation = \"in-process\"\n").await;
}

async fn go_on(isolation: &str) {
    let mut world = World::prepare(|settings| {
        settings.more = format!(
            "[handlers.officer]\nplugin = \"pending\"\n{isolation}\
             [handlers.officer.config]\ndirectory = \"officer\"\nretry_after = \"1s\"\n\
             [acme.officer]\nhandler = \"officer\"\n"
        );
    })
    .await;
    world.server.add_plugin(PENDING);
    world.server.restart();
    let world = &world;
    let officer = world.server.dir().join("officer");
    fs::write(officer.join("approved/quick.test"), "").unwrap();

    let mut pending = Vec::new();
    for number in 0..ORDERS {
        pending.push(order(world, format!("p{number}.test")).await);
    }
    let load = Load::start(world, "default", OTHERS).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut quick = Vec::new();
    for _ in 0..OTHERS {
        quick.push(quick_orders(world, Arc::clone(&stop)).await);
    }

    let calls = || fs::read_to_string(officer.join("calls")).unwrap();
    // The ids that each pending enrollment is polled by: how often each has been.
    let polls = |at_least: usize| {
        let text = calls();
        let polls = text.lines().filter_map(|line| line.strip_prefix("poll "));
        let mut count = std::collections::BTreeMap::new();
        for poll in polls {
            *count.entry(poll.split(' ').next()).or_insert(0) += 1;
        }
        count.len() == ORDERS && count.values().all(|&polls| polls >= at_least)
    };
    eventually("each is polled", async || polls(1)).await;

    for number in [2, 3] {
        world.server.exchange_plugin(PENDING, &version(number));
        eventually("the next generation serves", async || {
            ready(world)["handlers"]["officer"]["generation"] == number
        })
        .await;
        let enroll = enroll(number);
        eventually("it is the next one's code", async || {
            calls().lines().any(|line| line.starts_with(&enroll))
        })
        .await;
        load.goes_on(MEANWHILE).await;
    }
    // And while it is not there at all.
    fs::remove_file(world.server.plugins().join(PENDING)).unwrap();
    let polled = calls().matches("poll ").count();
    eventually("the next generation polls", async || {
        calls().matches("poll ").count() > polled + ORDERS
    })
    .await;
    load.goes_on(MEANWHILE).await;

    fs::write(officer.join("approved/all"), "").unwrap();
    for order in pending {
        order.await.unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    let mut issued = ORDERS;
    for client in quick {
        let orders = client.await.unwrap();
        assert!(orders > 0, "a client got nothing");
        issued += orders;
    }
    load.finish().await;
    // Each was asked for once.
    let calls = calls();
    let begins = [1, 2, 3].map(enroll);
    let enrolls: Vec<_> = calls
        .lines()
        .filter_map(|line| begins.iter().find_map(|begins| line.strip_prefix(begins)))
        .collect();
    assert_eq!(enrolls.len(), issued, "{calls}");
    assert_eq!(enrolls.iter().collect::<BTreeSet<_>>().len(), issued);
    let log = world.server.log();
    assert!(!log.contains("handler is down"), "{log}");
}

/// The plugin as another version of itself, whose code differs in what it writes of an enrollment.
fn version(number: usize) -> Vec<u8> {
    let next = plugin_version(PENDING, &format!("{number}.0.0"));
    replaced(&next, enroll(1).as_bytes(), enroll(number).as_bytes())
}

/// How a line of `calls` begins.
fn enroll(version: usize) -> String {
    match version {
        1 => "enroll ".to_owned(),
        number => format!("enrol{number} "),
    }
}

async fn client(world: &World) -> (Client, Account) {
    let directory = world.server.directory_of("officer");
    let mut client = Client::new(&directory, world.tls.clone()).await.unwrap();
    let account = client.new_account(AccountKey::es256()).await.unwrap();
    (client, account)
}

/// An order that is processed; the task asks for it until it is there, and panics if any request
/// fails.
async fn order(world: &World, name: String) -> JoinHandle<()> {
    let (mut client, account) = client(world).await;
    let answer = new_order(&mut client, &account, &[&name]).await.unwrap();
    let order_url = answer.header("location").unwrap().to_owned();
    let order = answer.json();
    let url = order["authorizations"][0].as_str().unwrap();
    authorize_http01(&mut client, &account, url, &world.http01)
        .await
        .unwrap();
    let csr = b64(csr(&KeyPair::generate().unwrap(), &[&name]));
    let finalize = order["finalize"].as_str().unwrap();
    let answer = client
        .post(&account, finalize, &json!({ "csr": csr }))
        .await
        .unwrap();
    assert_eq!(answer.json()["status"], "processing", "{}", answer.text());
    tokio::spawn(async move {
        let end = Instant::now() + Duration::from_secs(180);
        let order = loop {
            let answer = client.post_as_get(&account, &order_url).await.unwrap();
            let order = answer.expect(200).unwrap().json();
            if order["status"] != "processing" {
                break order;
            }
            assert!(Instant::now() < end, "{name} never came: {order}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        assert_eq!(order["status"], "valid", "{order}");
        let url = order["certificate"].as_str().unwrap();
        let answer = client.post_as_get(&account, url).await.unwrap();
        check_chain(&answer.expect(200).unwrap().text(), &[&name]);
    })
}

/// One order after the other, each of which must be filled; how many there were.
async fn quick_orders(world: &World, stop: Arc<AtomicBool>) -> JoinHandle<usize> {
    let (mut client, account) = client(world).await;
    let http01 = Arc::clone(&world.http01);
    tokio::spawn(async move {
        let mut orders = 0;
        while !stop.load(Ordering::SeqCst) {
            let issued = issue(&mut client, &account, &["quick.test"], &http01).await;
            issued.unwrap();
            orders += 1;
        }
        orders
    })
}
