//! `certdock plugin new`: from nothing to a plugin in service.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use certdock_tests::World;
use certdock_tests::acme::Client;
use certdock_tests::program::{Outcome, Program, build_dir};
use certdock_tests::server::binary;
use serde_json::Value;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

async fn cargo(dir: &Path, args: &[&str]) -> Outcome {
    let target = build_dir().parent().unwrap().join("variants/new");
    Program::new("cargo")
        .args(args.iter().copied())
        .env("CARGO_TARGET_DIR", target)
        .dir(dir)
        .run_within(Duration::from_secs(900))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_crate_builds_and_serves() {
    let world = World::start().await;
    let dir = world.server.dir().join("out-of-tree/my-ca");
    let made = world
        .server
        .command(&["plugin", "new"])
        .arg(&dir)
        .args(["--vendor", "Example Ltd", "--plugin-api"])
        .arg(PathBuf::from(ROOT).join("plugin-api"))
        .run()
        .await
        .success();
    assert!(made.stdout.contains("cargo build --release"), "{made:?}");

    // The versions that are tested here, whatever has been published since.
    fs::copy(
        PathBuf::from(ROOT).join("Cargo.lock"),
        dir.join("Cargo.lock"),
    )
    .unwrap();
    cargo(&dir, &["fmt", "--check"]).await.success();
    let tested = cargo(&dir, &["test"]).await.success();
    assert!(
        tested.stdout.contains("test result: ok. 4 passed"),
        "{tested:?}"
    );
    cargo(&dir, &["build", "--release"]).await.success();

    let library = build_dir()
        .parent()
        .unwrap()
        .join("variants/new/release/libcertdock_my_ca.so");
    let checked = Program::new(binary())
        .args(["plugin", "check"])
        .arg(&library)
        .arg("--config")
        .arg(dir.join("my-ca.toml"));
    let checked = checked.run_within(Duration::from_secs(600)).await.success();
    assert!(
        checked.stdout.contains(" 0 failed, 0 crashed"),
        "{checked:?}"
    );

    // Dropped in while the server runs.
    fs::copy(library, world.server.plugins().join("libcertdock_my_ca.so")).unwrap();
    let fragments = world.server.dir().join("conf.d");
    fs::create_dir(&fragments).unwrap();
    fs::copy(dir.join("my-ca.toml"), fragments.join("my-ca.toml")).unwrap();
    serves(&world).await;
    world.server.command(&["check"]).run().await.success();
    let list = world.server.command(&["plugin", "list"]).run().await;
    let row = list.stdout.lines().find(|row| row.starts_with("my-ca "));
    let row = row.unwrap_or_else(|| panic!("{list:?}"));
    assert!(row.contains("Example Ltd"), "{row}");
}

/// There is a directory, and a handler behind it that is not down.
async fn serves(world: &World) {
    let directory = world.server.directory_of("my-ca");
    for _ in 0..300 {
        let (_, ready) = world.server.admin("/readyz").unwrap();
        let ready: Value = serde_json::from_str(&ready).unwrap();
        if ready["handlers"]["my-ca"]["state"] == "serving"
            && Client::new(&directory, world.tls.clone()).await.is_ok()
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{directory} is not served:\n{}", world.server.log());
}
