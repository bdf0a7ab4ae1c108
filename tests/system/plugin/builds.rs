//! Plugins that another compiler, or other options, might have made.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use certdock_tests::World;
use certdock_tests::certificate::check_chain;
use certdock_tests::issue::issue;
use certdock_tests::program::{Program, build_dir};

/// Builds openssl-local apart from everything else, without optimisation; the library.
async fn build(name: &str, env: &[(&str, &str)]) -> PathBuf {
    let target = build_dir().parent().unwrap().join("variants").join(name);
    let mut cargo = Program::new("cargo")
        .args([
            "build",
            "--locked",
            "--package",
            "certdock-openssl-local",
            "--lib",
        ])
        .args(["--config", "profile.dev.package.\"*\".opt-level=0"])
        .args([
            "--config",
            "profile.dev.opt-level=0",
            "--config",
            "profile.dev.debug=0",
        ])
        .arg("--target-dir")
        .arg(&target)
        .dir(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".."));
    for (name, value) in env {
        cargo = cargo.env(name, value);
    }
    cargo.run_within(Duration::from_secs(900)).await.success();
    target.join("debug/libcertdock_openssl_local.so")
}

async fn check(library: PathBuf) {
    let mut world = World::prepare(|_| {}).await;
    fs::copy(
        library,
        world.server.plugins().join("libcertdock_openssl_local.so"),
    )
    .unwrap();
    world.server.restart();
    let (mut client, account) = world.account().await;
    let issued = issue(&mut client, &account, &["variant.test"], &world.http01)
        .await
        .unwrap();
    check_chain(&issued.chain, &["variant.test"]);
}

/// A compiler is free to lay out types anew; this one does so on purpose.
#[tokio::test(flavor = "multi_thread")]
async fn with_other_type_layouts() {
    let env = [
        ("RUSTC_BOOTSTRAP", "1"),
        ("RUSTFLAGS", "-Zrandomize-layout"),
    ];
    check(build("layout", &env).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_optimisation() {
    check(build("plain", &[]).await).await;
}
