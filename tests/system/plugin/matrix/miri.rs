//! plugin-api's own tests of the boundary, both sides in one process, under an interpreter that finds
//! undefined behaviour.

use std::path::Path;
use std::time::Duration;

use certdock_tests::program::{Program, build_dir};
use certdock_tests::skip;

/// Row 17: with both models of what pointers may do. Leaks are by design.
#[tokio::test(flavor = "multi_thread")]
async fn row_17_no_undefined_behaviour_under_miri() {
    let rustup = |args: &[&str]| {
        let rustup = Program::new("rustup").args(["run", "nightly"]);
        rustup.args(args.iter().copied())
    };
    let version = rustup(&["cargo", "miri", "--version"]).run().await;
    if version.status != Some(0) {
        skip("this machine has no Miri (rustup component add miri --toolchain nightly)");
        return;
    }
    for model in ["", "-Zmiri-tree-borrows"] {
        let tests = [
            "abi::round_trip",
            "abi::host_round_trip",
            "abi::foreign",
            "abi::text",
            "guard",
        ];
        rustup(&[
            "cargo",
            "miri",
            "test",
            "--package",
            "certdock-plugin-api",
            "--lib",
            "--",
        ])
        .args(tests)
        .env(
            "MIRIFLAGS",
            format!("-Zmiri-ignore-leaks -Zmiri-disable-isolation {model}"),
        )
        .env(
            "CARGO_TARGET_DIR",
            build_dir().parent().unwrap().join("variants/miri"),
        )
        .dir(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .run_within(Duration::from_secs(900))
        .await
        .success();
    }
}
