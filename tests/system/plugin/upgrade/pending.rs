//! Certificates that take their time, over upgrades: row 18 of the matrix.

use std::fs;
use std::time::Duration;

use certdock_tests::World;
use certdock_tests::acme::{AccountKey, Client, b64};
use certdock_tests::certificate::check_chain;
use certdock_tests::issue::{authorize_http01, csr, new_order, poll};
use certdock_tests::server::plugin_version;
use rcgen::KeyPair;
use serde_json::json;

use super::{eventually, ready};

const PENDING: &str = "libcertdock_pending.so";

#[tokio::test(flavor = "multi_thread")]
async fn pending_enrollments_go_on_with_the_next_generation() {
    let mut world = World::prepare(|settings| {
        settings.more = "[handlers.officer]\nplugin = \"pending\"\nisolation = \"in-process\"\n\
            [handlers.officer.config]\ndirectory = \"officer\"\nretry_after = \"1s\"\n\
            [acme.officer]\nhandler = \"officer\"\n"
            .to_owned();
    })
    .await;
    world.server.add_plugin(PENDING);
    world.server.restart();
    let directory = world.server.directory_of("officer");
    let mut client = Client::new(&directory, world.tls.clone()).await.unwrap();
    let account = client.new_account(AccountKey::es256()).await.unwrap();
    let answer = new_order(&mut client, &account, &["p.test"]).await.unwrap();
    let order_url = answer.header("location").unwrap().to_owned();
    let order = answer.json();
    let url = order["authorizations"][0].as_str().unwrap();
    authorize_http01(&mut client, &account, url, &world.http01)
        .await
        .unwrap();
    let csr = b64(csr(&KeyPair::generate().unwrap(), &["p.test"]));
    let finalize = order["finalize"].as_str().unwrap();
    let answer = client
        .post(&account, finalize, &json!({ "csr": csr }))
        .await
        .unwrap();
    assert_eq!(answer.json()["status"], "processing", "{}", answer.text());
    let calls = || fs::read_to_string(world.server.dir().join("officer/calls")).unwrap();
    eventually("it is polled", async || calls().contains("poll")).await;

    let next = plugin_version(PENDING, "2.0.0");
    world.server.exchange_plugin(PENDING, &next);
    eventually("the next generation serves", async || {
        ready(&world)["handlers"]["officer"]["generation"] == 2
    })
    .await;
    // And while it is not there at all.
    fs::remove_file(world.server.plugins().join(PENDING)).unwrap();
    let polls = calls().matches("poll").count();
    eventually("the next generation polls", async || {
        calls().matches("poll").count() > polls + 1
    })
    .await;
    fs::write(world.server.dir().join("officer/approved/all"), "").unwrap();
    let order = tokio::time::timeout(
        Duration::from_secs(60),
        poll(&mut client, &account, &order_url, &["processing"]),
    );
    let order = order.await.unwrap().unwrap().json();
    let url = order["certificate"].as_str().unwrap();
    let chain = client.post_as_get(&account, url).await.unwrap().text();
    check_chain(&chain, &["p.test"]);
    assert_eq!(calls().matches("enroll").count(), 1, "{}", calls());
}
