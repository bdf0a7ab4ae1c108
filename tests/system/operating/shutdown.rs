//! Stopping, and starting on data that is not ours.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use certdock_tests::World;
use certdock_tests::acme::Client;
use certdock_tests::issue::{challenge, issue, new_order};
use certdock_tests::server::binary;
use certdock_tests::tls::client_config;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_with_status_0_and_nothing_is_lost() {
    let mut world = World::start().await;
    let (mut client, account) = world.account().await;
    let issued = issue(&mut client, &account, &["kept.test"], &world.http01)
        .await
        .unwrap();
    let open = new_order(&mut client, &account, &["open.test"])
        .await
        .unwrap();
    assert_eq!(world.server.terminate(), Some(0), "{}", world.server.log());
    world.server.restart();
    client.forget_nonces();
    let again = client
        .post_as_get(&account, &issued.certificate)
        .await
        .unwrap();
    assert_eq!(again.text(), issued.chain);
    let url = open.header("location").unwrap();
    assert_eq!(
        client.post_as_get(&account, url).await.unwrap().json(),
        open.json()
    );
}

/// sd_notify(3)
#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told_when_it_serves_and_when_it_stops() {
    let mut world = World::prepare(|settings| settings.own_certificate = true).await;
    let path = world.server.dir().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let told = || {
        let mut text = [0; 100];
        let length = socket.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    let mut command = Command::new(binary());
    command.env("NOTIFY_SOCKET", &path);
    world.server.spawn_by(command);
    assert_eq!(told(), "READY=1\n");
    // It has its certificate by then.
    let root = fs::read_to_string(world.server.dir().join("ca/root.pem")).unwrap();
    let directory = world.server.directory();
    Client::new(&directory, client_config(&root)).await.unwrap();
    assert_eq!(world.server.terminate(), Some(0));
    assert_eq!(told(), "STOPPING=1\n");
}

/// Requests that are under way are answered before the end.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_waits_for_requests() {
    let mut world = World::start().await;
    let (mut client, account) = world.account().await;
    let made = new_order(&mut client, &account, &["slow.test"])
        .await
        .unwrap()
        .json();
    let url = made["authorizations"][0].as_str().unwrap();
    let authorization = client.post_as_get(&account, url).await.unwrap().json();
    let url = challenge(&authorization, "http-01").unwrap()["url"]
        .as_str()
        .unwrap()
        .to_owned();
    let answer = tokio::spawn(async move { client.post(&account, &url, &json!({})).await });
    tokio::time::sleep(Duration::from_millis(2)).await;
    let status = tokio::task::block_in_place(|| world.server.terminate());
    assert_eq!(status, Some(0), "{}", world.server.log());
    // Either it came in before the end, and is answered, or after, and finds nobody.
    if let Ok(answer) = answer.await.unwrap() {
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_database_is_refused_and_untouched() {
    let mut world = World::start().await;
    world.account().await;
    assert_eq!(world.server.terminate(), Some(0));
    let path = world.server.dir().join("certdock.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database
        .pragma_update(None, "user_version", 100_000)
        .unwrap();
    drop(database);
    let before = fs::read(&path).unwrap();
    world.server.spawn();
    let status = world.server.wait(Duration::from_secs(20));
    assert!(matches!(status, Some(1 | 2)), "{status:?}");
    let log = world.server.log();
    assert!(log.contains("newer"), "{log}");
    assert!(log.contains("certdock.db"), "{log}");
    assert_eq!(fs::read(&path).unwrap(), before);
}
