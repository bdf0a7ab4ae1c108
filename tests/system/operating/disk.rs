//! A disk that is full.

use std::fs;
use std::process::Command;

use certdock_tests::World;
use certdock_tests::issue::{issue, new_order};
use certdock_tests::server::binary;
use rustix::process::{Resource, Rlimit, prlimit};

/// A limit on the size of files stands for a full disk: writing fails, reading goes on.
#[tokio::test(flavor = "multi_thread")]
async fn requests_fail_and_what_was_acknowledged_stays() {
    let mut world = World::prepare(|_| {}).await;
    // An ignored signal stays so over exec: a write fails instead of the process.
    let mut ignoring = Command::new("sh");
    ignoring
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(binary());
    world.server.spawn_by(ignoring);
    world.server.wait_until_ready();
    let (mut client, account) = world.account().await;
    let issued = issue(&mut client, &account, &["before.test"], &world.http01)
        .await
        .unwrap();
    let files = ["certdock.db", "certdock.db-wal"];
    let sizes = files
        .iter()
        .filter_map(|file| fs::metadata(world.server.dir().join(file)).ok());
    let full = sizes.map(|file| file.len()).max().unwrap() + 50_000;
    let limit = Rlimit {
        current: Some(full),
        maximum: None,
    };
    prlimit(Some(world.server.pid()), Resource::Fsize, limit).unwrap();

    let mut acknowledged = Vec::new();
    let mut failed = None;
    for number in 0..2000 {
        let name = format!("full{number}.test");
        let answer = new_order(&mut client, &account, &[&name]).await.unwrap();
        if answer.status != 201 {
            failed = Some(answer);
            break;
        }
        acknowledged.push(answer.header("location").unwrap().to_owned());
    }
    let failed = failed.expect("the disk never was full");
    assert_eq!(
        (failed.status, failed.problem().as_str()),
        (500, "serverInternal"),
        "{}",
        failed.text()
    );
    let read = client
        .post_as_get(&account, &issued.certificate)
        .await
        .unwrap();
    assert_eq!(read.text(), issued.chain, "reading goes on");

    world.server.kill();
    world.server.restart();
    client.forget_nonces();
    for url in &acknowledged {
        let answer = client.post_as_get(&account, url).await.unwrap();
        assert_eq!(answer.status, 200, "{url}: {}", answer.text());
    }
    issue(&mut client, &account, &["after.test"], &world.http01)
        .await
        .unwrap();
}
