//! RFC 7030 §4.2.3: a CA that takes its time.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certdock_tests::certificate::dns_names;
use certdock_tests::est::{Caller, Csr, EstWorld, certificates, post_bound};
use certdock_tests::http::Answer;
use rusqlite::Connection;

use super::{check_refusal, is_for};

const BOUND: &str = r#"
[est.bound]
handler = "slow"
names = ["*.est.test"]
channel_binding = "required"
"#;

async fn ask(world: &EstWorld, caller: &Caller, csr: &Csr) -> Answer {
    ask_at(world, "slow", caller, csr).await
}

async fn ask_at(world: &EstWorld, label: &str, caller: &Caller, csr: &Csr) -> Answer {
    // A new connection each time.
    let mut client = world.client_of(label, caller);
    client.enroll(&csr.der).await.unwrap()
}

fn check_pending(answer: &Answer) -> u64 {
    assert_eq!(answer.status, 202, "{}", answer.text());
    let wait = answer.header("retry-after").expect("Retry-After");
    wait.parse().expect("seconds")
}

/// Asks until there is something else than 202.
async fn ask_until_decided(world: &EstWorld, caller: &Caller, csr: &Csr) -> Answer {
    ask_at_until_decided(world, "slow", caller, csr).await
}

async fn ask_at_until_decided(world: &EstWorld, label: &str, caller: &Caller, csr: &Csr) -> Answer {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = ask_at(world, label, caller, csr).await;
        if answer.status != 202 || Instant::now() > end {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_request_survives_kill_9_and_is_delivered_to_who_asked() {
    let mut world = EstWorld::start().await;
    let user = world.user("device").await;
    let other = world.user("other").await;
    let csr = Csr::new("slow.est.test");
    let wait = check_pending(&ask(&world, &user, &csr).await);
    assert!((1..=60).contains(&wait), "{wait}");
    check_pending(&ask(&world, &user, &csr).await);
    assert_eq!(
        world.officer_enrollments(),
        1,
        "{:?}",
        world.officer_calls()
    );

    world.server.kill();
    world.server.restart();
    check_pending(&ask(&world, &user, &csr).await);

    // Approved while the server is down.
    world.server.kill();
    world.officer("approved", "slow.est.test", "");
    world.server.restart();
    let answer = ask_until_decided(&world, &user, &csr).await;
    let answer = answer.expect(200).unwrap();
    let certificate = certificates(&answer.body).remove(0);
    assert!(is_for(&certificate, &csr.key));
    assert_eq!(dns_names(&certificate), ["slow.est.test"]);
    assert_eq!(
        world.officer_enrollments(),
        1,
        "{:?}",
        world.officer_calls()
    );

    // The officer knows nothing of the other one.
    world.forget("approved", "slow.est.test");
    check_pending(&ask(&world, &other, &csr).await);
    assert_eq!(
        world.officer_enrollments(),
        2,
        "{:?}",
        world.officer_calls()
    );
    assert_eq!(world.issued().await.len(), 1);
}

/// The binding (RFC 7030 §3.5) is that of the connection over which the request was accepted.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_bound_to_its_connection_is_delivered_over_another() {
    let mut world = EstWorld::with(|settings| settings.more.push_str(BOUND)).await;
    let user = world.user("device").await;
    let other = world.user("other").await;
    let mut asked = Vec::new();
    for label in ["slow", "bound"] {
        let name = format!("{label}.est.test");
        let mut made = None;
        let bound = |binding: [u8; 32]| {
            let csr = Csr::with_challenge(&name, &STANDARD.encode(binding));
            made.insert(csr).der.clone()
        };
        let path = format!("{label}/simpleenroll");
        let answer = post_bound(world.port(), &path, &user, bound).await;
        assert_eq!(answer.unwrap().status(), 202, "{label}");
        asked.push((label, name, made.unwrap()));
    }
    for (label, _, csr) in &asked {
        check_pending(&ask_at(&world, label, &user, csr).await);
        // What somebody else passes on is as unbound as ever.
        check_refusal(label, &ask_at(&world, label, &other, csr).await, 403);
    }
    world.server.kill();
    world.server.restart();
    for (label, name, csr) in &asked {
        check_pending(&ask_at(&world, label, &user, csr).await);
        check_refusal(label, &ask_at(&world, label, &other, csr).await, 403);
        world.officer("approved", name, "");
        let answer = ask_at_until_decided(&world, label, &user, csr).await;
        let certificate = certificates(&answer.expect(200).unwrap().body).remove(0);
        assert!(is_for(&certificate, &csr.key), "{label}");
        // It has been answered, so the same would begin something.
        check_refusal(label, &ask_at(&world, label, &user, csr).await, 403);
    }
    assert_eq!(
        world.officer_enrollments(),
        2,
        "{:?}",
        world.officer_calls()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_officer_is_told() {
    let world = EstWorld::start().await;
    let user = world.user("device").await;
    let csr = Csr::new("refused.est.test");
    check_pending(&ask(&world, &user, &csr).await);
    world.officer("rejected", "refused.est.test", "no such device");
    let answer = ask_until_decided(&world, &user, &csr).await;
    check_refusal("rejected", &answer, 403);
    assert!(
        answer.text().contains("no such device"),
        "{}",
        answer.text()
    );
    assert_eq!(world.issued().await.len(), 0);
}

/// Each poll carries what the handler answered last.
#[tokio::test(flavor = "multi_thread")]
async fn polls_follow_the_handler() {
    let world = EstWorld::start().await;
    let user = world.user("device").await;
    let csr = Csr::new("polled.est.test");
    check_pending(&ask(&world, &user, &csr).await);
    let end = Instant::now() + Duration::from_secs(20);
    let polls = loop {
        check_pending(&ask(&world, &user, &csr).await);
        let calls = world.officer_calls();
        let polls: Vec<_> = calls
            .iter()
            .filter(|call| call.starts_with("poll"))
            .filter_map(|call| call.rsplit(' ').next().map(str::to_owned))
            .collect();
        if polls.len() >= 3 {
            break polls;
        }
        assert!(Instant::now() < end, "{calls:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(polls[..3], ["1", "2", "3"]);
}

/// A handler that is out of order is no reason to lose a request, or to say more than it must.
#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_is_down_is_told_with_retry_after() {
    let world = EstWorld::start().await;
    let user = world.user("device").await;
    let csr = Csr::new("down.est.test");
    world.officer_is_down(true);
    let answer = ask(&world, &user, &csr).await;
    assert!([202, 503].contains(&answer.status), "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    world.officer_is_down(false);
    world.officer("approved", "down.est.test", "");
    let end = Instant::now() + Duration::from_secs(40);
    loop {
        let answer = ask(&world, &user, &csr).await;
        if answer.status == 200 {
            break;
        }
        assert!(Instant::now() < end, "{} {}", answer.status, answer.text());
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Its folder is a file, so that it can't be opened.
const DOWN: &str = r#"
[handlers.down]
plugin = "pending"

[handlers.down.config]
directory = "occupied"

[est.down]
handler = "down"
names = ["*.est.test"]
"#;

/// Nothing is asked of a handler that is out of service, so nothing is kept of what its clients ask.
#[tokio::test(flavor = "multi_thread")]
async fn a_label_whose_handler_is_down_answers_503() {
    let mut world = EstWorld::prepare(|settings| settings.more.push_str(DOWN));
    std::fs::write(world.server.dir().join("occupied"), "").unwrap();
    world.server.restart();
    let user = world.user("device").await;
    let once = world.user_with("once", &["--once"]).await;
    for operation in ["cacerts", "simpleenroll", "serverkeygen"] {
        for caller in [&user, &once] {
            let mut client = world.client_of("down", caller);
            let answer = if operation == "cacerts" {
                client.cacerts().await
            } else {
                let body = STANDARD.encode(Csr::new("down.est.test").der).into_bytes();
                client.post(operation, "application/pkcs10", body).await
            };
            let answer = answer.unwrap();
            check_refusal(operation, &answer, 503);
            let wait = answer.header("retry-after").expect("Retry-After");
            assert!(wait.parse::<u64>().unwrap() > 0, "{operation}: {wait}");
        }
    }
    let database = Connection::open(world.server.dir().join("certdock.db")).unwrap();
    let count = |table: &str| {
        let count = format!("SELECT count(*) FROM {table}");
        database.query_row(&count, [], |row| row.get::<_, u32>(0))
    };
    for table in ["enrollments", "est_requests", "certificates"] {
        assert_eq!(count(table), Ok(0), "{table}");
    }
    // The password is still good.
    let mut client = world.client(&once);
    let answer = client.enroll(&Csr::new("up.est.test").der).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}
