//! `POST /push/HANDLER`

use std::time::{Duration, Instant};

use certdock_tests::certificate::check_chain;
use certdock_tests::certifier::{Mode, Publish};
use certdock_tests::http::{Answer, Connection};
use http::Method;

use super::{PUSH_SECRET, Setup, start};

/// Polling alone would take an hour.
const LINES: &str = "poll_interval = \"1h\"\nslowest_poll = \"1h\"\n\
                     push_secret = { file = \"push-secret\" }";

async fn send(setup: &Setup, handler: &str, secret: Option<&str>, body: &[u8]) -> Answer {
    let url = format!("{}/push/{handler}", setup.world.server.settings.base_url());
    let bearer = secret.map(|secret| format!("Bearer {secret}"));
    let headers: Vec<_> = bearer
        .iter()
        .map(|b| ("authorization", b.as_str()))
        .collect();
    let mut connection = Connection::new(setup.world.tls.clone());
    let sent = connection.send(Method::POST, &url, &headers, body.to_vec());
    sent.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_ca_publishes_is_delivered_at_once() {
    let setup = start(LINES, |world, options| {
        options.mode = Mode::Manual;
        options.publish = Some(Publish {
            url: format!("{}/push/certifier", world.server.settings.base_url()),
            secret: PUSH_SECRET.to_owned(),
            roots: world.server.root_pem(),
            delay: Duration::ZERO,
        });
    })
    .await;
    let mut order = setup.finalize("pushed.test").await;
    assert_eq!(order.answer.json()["status"], "processing");
    let approved = Instant::now();
    setup.simulator.approve(&setup.simulator.pending()[0]);
    check_chain(&order.chain().await, &["pushed.test"]);
    assert!(approved.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_knows_the_secret_is_listened_to() {
    let setup = start(LINES, |_, options| options.mode = Mode::Manual).await;
    let mut order = setup.finalize("waits.test").await;
    setup.simulator.approve(&setup.simulator.pending()[0]);
    let certificate = setup.simulator.certificates().remove(0);
    let body = certificate.as_bytes();
    let longer = format!("{PUSH_SECRET}0");
    let strangers = [
        ("certifier", None),
        ("certifier", Some("")),
        ("certifier", Some("0123456789abcdeF")),
        ("certifier", Some(longer.as_str())),
        // A handler that takes no pushes, and one that is not there.
        ("local", Some(PUSH_SECRET)),
        ("nobody", Some(PUSH_SECRET)),
        ("%ff", Some(PUSH_SECRET)),
    ];
    for (handler, secret) in strangers {
        let answer = send(&setup, handler, secret, body).await;
        assert_eq!(answer.status, 401, "{handler} {secret:?}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        assert!(answer.body.is_empty());
    }
    let garbage = send(&setup, "certifier", Some(PUSH_SECRET), b"garbage").await;
    assert_eq!(garbage.status, 400, "{}", garbage.text());
    let foreign = setup.world.server.identity.certificate.clone();
    let foreign = send(&setup, "certifier", Some(PUSH_SECRET), foreign.as_bytes()).await;
    assert_eq!(foreign.status, 422, "{}", foreign.text());

    let taken = send(&setup, "certifier", Some(PUSH_SECRET), body).await;
    assert_eq!(taken.status, 200, "{}", taken.text());
    assert_eq!(taken.json()["enrollments"].as_array().unwrap().len(), 1);
    check_chain(&order.chain().await, &["waits.test"]);
    // A second time, it is no news.
    let again = send(&setup, "certifier", Some(PUSH_SECRET), body).await;
    assert_eq!(again.status, 200, "{}", again.text());
    let counts = setup.simulator.counts();
    assert_eq!((counts.issued, counts.revoked), (1, 0));
    assert!(!setup.world.server.log().contains(PUSH_SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_off_by_default() {
    let setup = start("", |_, _| {}).await;
    let answer = send(&setup, "certifier", Some(PUSH_SECRET), b"x").await;
    assert_eq!(answer.status, 404);
}
