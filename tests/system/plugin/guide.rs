//! `docs/vendors.md`: every command in it works as it stands, in its order.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use certdock_tests::ports;
use certdock_tests::program::{Program, build_dir};
use certdock_tests::server::binary;
use tempfile::TempDir;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const GUIDE: &str = include_str!("../../../docs/vendors.md");

/// The guide as one script: its commands, and its source file where it belongs.
fn script() -> String {
    let mut script = String::from("set -euo pipefail\n");
    for block in GUIDE.split("\n```").skip(1).step_by(2) {
        let (language, text) = block.split_once('\n').unwrap();
        match language {
            "sh" => script.push_str(text),
            "rust" => script.push_str(&format!("cat > src/lib.rs <<'RUST'\n{text}\nRUST")),
            other => panic!("what is a block of {other} for?"),
        }
        script.push('\n');
    }
    script
}

/// What differs from a reader's machine: the versions that are tested here, a build folder that is
/// shared with other tests, and free ports.
fn adapted(script: &str) -> String {
    let lock = PathBuf::from(ROOT).join("Cargo.lock");
    let target = build_dir().parent().unwrap().join("variants/new");
    fs::create_dir_all(&target).unwrap();
    let entered = format!(
        "cd hello-ca\ncp '{}' Cargo.lock\nln -s '{}' target\n",
        lock.display(),
        target.display()
    );
    script
        .replacen("cd hello-ca\n", &entered, 1)
        .replace("14000", &ports::free().to_string())
        .replace("14001", &ports::free().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_guide_works() {
    let folder = TempDir::new().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let own = binary();
    let path = format!("{}:{path}", own.parent().unwrap().display());
    let done = Program::new("bash")
        .args(["-c", &adapted(&script())])
        .env("PATH", path)
        .env(
            "PLUGIN_API",
            Path::new(ROOT).join("plugin-api").canonicalize().unwrap(),
        )
        .dir(folder.path())
        .run_within(Duration::from_secs(900))
        .await
        .success();
    for said in [
        "test result: ok. 4 passed",
        "test result: ok. 1 passed",
        " 0 failed, 0 crashed",
        "passed   file.signature",
        "The configuration is good",
        "/acme/hello-ca/new",
    ] {
        assert!(
            done.stdout.contains(said),
            "{said}: {}\n{}",
            done.stdout,
            done.stderr
        );
    }
    // `certdock plugin list`, of a server that takes signed plugins only.
    let mut rows = done.stdout.lines();
    let signed = |row: &str| row.starts_with("hello-ca ") && row.contains(" signed ");
    assert!(rows.any(signed), "{}\n{}", done.stdout, done.stderr);
    let crate_folder = folder.path().join("hello-ca");
    let formatted = Program::new("cargo")
        .args(["fmt", "--check"])
        .dir(&crate_folder);
    formatted.run().await.success();
}

/// A reader finds every group of checks explained.
#[tokio::test]
async fn the_guide_knows_every_group_of_checks() {
    let list = Program::new(binary())
        .args(["plugin", "check", "--list"])
        .run()
        .await
        .success();
    for line in list.stdout.lines().skip(1) {
        let group = line.split('.').next().unwrap();
        assert!(GUIDE.contains(&format!("`{group}`")), "{group}");
    }
}
