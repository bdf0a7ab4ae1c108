//! What happens while the server starts: that can take long, for each plugin is tried first.

use std::fs;
use std::time::Duration;

use certdock_tests::World;
use certdock_tests::faults::{built, named, replaced};
use rustix::process::Signal;

use super::configuration::{SECOND, status};
use super::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_while_the_server_starts_is_obeyed_when_it_serves() {
    let mut world = World::prepare(|_| {}).await;
    let slow = built("libcertdock_faulty_constructor.so");
    let slow = replaced(&slow, b"constructor=quick", b"constructor=slow.");
    fs::write(world.server.plugins().join("slow.so"), slow).unwrap();
    world.server.spawn();
    eventually("it reads its plugins", async || {
        world.server.log().contains("configuration")
    })
    .await;
    world.server.signal(Signal::HUP);
    assert!(!world.server.log().contains("handler in service"));
    world.server.wait_until_ready();
    eventually("all is read again", async || {
        world.server.log().contains("in force as it is on the disk")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_while_the_server_starts_is_taken_up() {
    let hangs = named("hang-in-open");
    let mut world = World::prepare(|settings| {
        settings.more = hangs.tables("deadline = \"5s\"");
    })
    .await;
    hangs.write(&world.server.plugins().join("faulty.so"));
    world.server.spawn();
    eventually("the configuration has been read", async || {
        world.server.log().contains("plugin found")
    })
    .await;
    world.server.add_config("second.toml", SECOND);
    world.server.wait_until_ready();
    eventually("the directory is there", async || {
        status(&world, "/acme/second/directory").await == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_waits_for_a_handler_to_open_can_be_stopped() {
    let hangs = named("hang-in-open");
    let mut world = World::prepare(|settings| {
        settings.more = hangs.tables("deadline = \"60s\"");
    })
    .await;
    hangs.write(&world.server.plugins().join("faulty.so"));
    world.server.spawn();
    eventually("the other handler is open", async || {
        world.server.log().contains("handler in service")
    })
    .await;
    world.server.signal(Signal::TERM);
    assert_eq!(world.server.wait(Duration::from_secs(10)), Some(0));
}
