//! What an operator sees and does.

use std::fs;
use std::time::Duration;

use certdock_tests::acme::{Account, Client, b64};
use certdock_tests::issue::{authorize_http01, csr, issue, new_order};
use certdock_tests::{World, certificate::ders};
use rcgen::KeyPair;
use serde_json::{Value, json};

use super::{account, command, eventually, id_of, start};

/// An order that has been finalized; its URL and the last answer.
async fn finalized(
    world: &World,
    client: &mut Client,
    account: &Account,
    name: &str,
) -> (String, Value) {
    let answer = new_order(client, account, &[name]).await.unwrap();
    let url = answer.header("location").unwrap().to_owned();
    let order = answer.json();
    let authorization = order["authorizations"][0].as_str().unwrap();
    authorize_http01(client, account, authorization, &world.http01)
        .await
        .unwrap();
    let request = csr(&KeyPair::generate().unwrap(), &[name]);
    let finalize = order["finalize"].as_str().unwrap();
    let answer = client
        .post(account, finalize, &json!({ "csr": b64(&request) }))
        .await
        .unwrap();
    (url, answer.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn sees_why_an_order_waits_and_decides() {
    let world = start(|_| {}).await;
    let (mut client, account) = account(&world, "wayward").await;

    let (pending, _) = finalized(&world, &mut client, &account, "poll-never.test").await;
    let shown = command(&world, &["order", "show", id_of(&pending)]).await;
    let enrollment = &shown["enrollment"];
    assert_eq!(enrollment["state"], "pending", "{shown}");
    assert_eq!(enrollment["waiting_for"], "the CA takes its time");
    for fact in ["waiting_since", "next_attempt", "poll_id"] {
        assert!(enrollment[fact].is_string(), "{fact}: {shown}");
    }
    let text = world.server.command(&["order", "show", id_of(&pending)]);
    let text = text.run().await.success().stdout;
    assert!(text.contains("next attempt"), "{text}");

    let cancel = ["order", "cancel", id_of(&pending)];
    let shown = command(&world, &cancel).await;
    assert_eq!(shown["status"], "invalid");
    let answer = client.post_as_get(&account, &pending).await.unwrap().json();
    let detail = answer["error"]["detail"].as_str().unwrap();
    assert!(detail.contains("cancelled"), "{answer}");
    let twice = world.server.command(&cancel).run().await;
    assert_eq!(twice.status, Some(1));
    assert!(
        twice.stderr.contains("the order is invalid"),
        "{}",
        twice.stderr
    );

    // Held, asked for again, and held once more: the CA loses the answer each time.
    let (held, answer) = finalized(&world, &mut client, &account, "cut.test").await;
    assert_eq!(answer["status"], "processing");
    let shown = command(&world, &["order", "show", id_of(&held)]).await;
    assert_eq!(shown["enrollment"]["state"], "held", "{shown}");
    command(&world, &["order", "retry", id_of(&held)]).await;
    let calls = world.server.dir().join("wayward/calls");
    eventually("asked again", Duration::from_secs(10), async || {
        let calls = fs::read_to_string(&calls).unwrap();
        calls.matches("enroll cut").count() == 2
    })
    .await;
    let log = world.server.log();
    for act in [
        "enrollment-held",
        "enrollment-retried",
        "enrollment-cancelled",
    ] {
        assert!(log.contains(act), "{act}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_that_is_queued_is_shown_until_it_is_done() {
    let mut world = start(|_| {}).await;
    let (mut client, account) = account(&world, "wayward").await;
    let issued = issue(&mut client, &account, &["fine.test"], &world.http01).await;
    let chain = issued.unwrap().chain;
    let down = world.server.dir().join("wayward/down");
    fs::write(&down, "").unwrap();

    let url = client.directory.url("revokeCert").to_owned();
    let body = json!({ "certificate": b64(&ders(&chain)[0]), "reason": 1 });
    let answer = client.post(&account, &url, &body).await.unwrap();
    answer.expect(200).unwrap();
    let list = command(&world, &["cert", "list"]).await;
    assert_eq!(list["items"][0]["status"], "revocation-pending", "{list}");
    let id = list["items"][0]["id"].as_str().unwrap().to_owned();
    let shown = command(&world, &["cert", "show", &id]).await;
    assert_eq!(shown["open_revocation"]["state"], "accepted", "{shown}");
    let problem = shown["open_revocation"]["problem"].as_str().unwrap();
    assert!(problem.contains("the CA is down"), "{shown}");

    // It survives the server.
    world.server.kill();
    world.server.restart();
    fs::remove_file(&down).unwrap();
    eventually("revoked", Duration::from_secs(30), async || {
        let shown = command(&world, &["cert", "show", &id]).await;
        shown["status"] == "revoked"
    })
    .await;
}
