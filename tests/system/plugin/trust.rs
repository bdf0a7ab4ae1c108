//! Which of the files in the plugins directory may run.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use certdock_tests::World;
use certdock_tests::issue::issue;
use minisign::KeyPair;
use serde_json::Value;

const PLUGIN: &str = "libcertdock_openssl_local.so";

/// What a handler says whose plugin was refused, what `plugin list` says of the file, and the log.
async fn assert_down(world: &World, reason: &str) {
    let status = status(world);
    assert_eq!(status["state"], "down", "{status}");
    let said = status["reason"].as_str().unwrap();
    assert!(
        said.contains("no usable plugin 'openssl-local'"),
        "{status}"
    );
    let list = world.server.command(&["plugin", "list"]).run().await;
    let row = list.stdout.lines().find(|row| row.contains(PLUGIN));
    let row = row.unwrap_or_else(|| panic!("{list:?}"));
    assert!(row.contains(reason), "{row}");
    let log = world.server.log();
    let mut lines = log.lines();
    let said = lines.any(|line| line.contains(PLUGIN) && line.contains(reason));
    assert!(said, "{log}");
}

/// What `/readyz` says of the handler.
fn status(world: &World) -> Value {
    let (_, ready) = world.server.admin("/readyz").unwrap();
    let mut ready: Value = serde_json::from_str(&ready).unwrap();
    ready["handlers"]["local"].take()
}

fn restart(world: &mut World) {
    world.server.terminate();
    world.server.restart();
}

async fn assert_issues(world: &World, name: &str) {
    let status = status(world);
    assert_eq!(status["state"], "serving", "{status}");
    let (mut client, account) = world.account().await;
    issue(&mut client, &account, &[name], &world.http01)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_anybody_may_write_to_never_runs() {
    let mut world = World::prepare(|_| {}).await;
    let file = world.server.plugins().join(PLUGIN);
    let set_mode = |path: &PathBuf, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    };
    set_mode(&file, 0o666);
    world.server.restart();
    assert_down(&world, "chmod go-w").await;

    set_mode(&file, 0o644);
    set_mode(&world.server.plugins(), 0o777);
    restart(&mut world);
    assert_down(&world, "chmod go-w").await;

    set_mode(&world.server.plugins(), 0o755);
    restart(&mut world);
    assert_issues(&world, "safe.test").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_vendor_signed_runs() {
    let vendor = KeyPair::generate_unencrypted_keypair().unwrap();
    let key = vendor.pk.to_base64();
    let mut world = World::prepare(|settings| {
        settings.plugins = format!("require = \"signature\"\nkeys = [\"{key}\"]");
    })
    .await;
    let file = world.server.plugins().join(PLUGIN);
    let mut bytes = fs::read(&file).unwrap();
    world.server.restart();
    assert_down(&world, "it is not signed").await;

    let signature = minisign::sign(
        Some(&vendor.pk),
        &vendor.sk,
        &bytes[..],
        Some("release 1"),
        None,
    );
    fs::write(
        world.server.plugins().join(format!("{PLUGIN}.minisig")),
        signature.unwrap().into_string(),
    )
    .unwrap();
    restart(&mut world);
    assert_issues(&world, "signed.test").await;
    let list = world.server.command(&["plugin", "list"]).run().await;
    let row = list.stdout.lines().find(|row| row.contains(PLUGIN));
    assert!(row.is_some_and(|row| row.contains("signed")), "{list:?}");

    // A byte more is another file.
    bytes.push(0);
    fs::write(&file, &bytes).unwrap();
    restart(&mut world);
    assert_down(&world, "is refused: it is not of this file").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_pinned_runs() {
    let mut world = World::prepare(|settings| {
        settings.plugins = "require = \"pin\"".to_owned();
    })
    .await;
    world.server.restart();
    assert_down(&world, "it is not pinned").await;

    // The sentence says what to write.
    let list = world.server.command(&["plugin", "list"]).run().await;
    let row = list
        .stdout
        .lines()
        .find(|row| row.contains(PLUGIN))
        .unwrap();
    let pin = row.split("write ").nth(1).unwrap();
    let pin = pin.split(" under [plugins.pins]").next().unwrap();
    let config = fs::read_to_string(world.server.config()).unwrap();
    let config = format!("{config}\n[plugins.pins]\n{pin}\n");
    world.server.write_config(&config);
    restart(&mut world);
    assert_issues(&world, "pinned.test").await;
}
