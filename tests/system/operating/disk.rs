//! A disk that is full.

use std::fs;
use std::process::Command;

use certdock_tests::World;
use certdock_tests::issue::{issue, new_order};
use certdock_tests::server::binary;

/// A limit on the size of files stands for a full disk: writing fails, reading goes on.
#[tokio::test(flavor = "multi_thread")]
async fn requests_fail_and_what_was_acknowledged_stays() {
    let mut world = World::start().await;
    let (mut client, account) = world.account().await;
    let issued = issue(&mut client, &account, &["before.test"], &world.http01)
        .await
        .unwrap();
    assert_eq!(world.server.terminate(), Some(0));
    let size = fs::metadata(world.server.dir().join("certdock.db"))
        .unwrap()
        .len();
    let blocks = size / 512 + 200;
    let mut limited = Command::new("sh");
    // An ignored signal stays so over exec: the write fails instead of the process.
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    limited.args(["-c", &script]).arg(binary());
    world.server.spawn_by(limited);
    world.server.wait_until_ready();

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
    for url in &acknowledged {
        let answer = client.post_as_get(&account, url).await.unwrap();
        assert_eq!(answer.status, 200, "{url}: {}", answer.text());
    }
    issue(&mut client, &account, &["after.test"], &world.http01)
        .await
        .unwrap();
}
