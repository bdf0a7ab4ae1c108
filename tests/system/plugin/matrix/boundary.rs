//! plugin-api's own tests of the boundary, both sides in one process, under an interpreter that finds
//! undefined behaviour, and compiled so that they find what is read or written out of place.

use std::path::{Path, PathBuf};
use std::time::Duration;

use certdock_tests::program::{Program, build_dir};
use certdock_tests::skip;
use certdock_tests::versions::UNSTABLE;

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
        .env("CARGO_TARGET_DIR", target("miri"))
        .dir(&root())
        .run_within(Duration::from_secs(900))
        .await
        .success();
    }
}

/// Row 17, where there is no Miri too: memory that is used after it was freed, freed twice, or not
/// there. Whose pointer may do what, which only Miri knows, stays open. Leaks are by design.
#[tokio::test(flavor = "multi_thread")]
async fn row_17_no_memory_error_under_the_address_sanitizer() {
    let target_triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let tests = Program::new("cargo").args([
        "test",
        "--quiet",
        "--package",
        "certdock-plugin-api",
        "--lib",
        // With a target named, build scripts and macros are spared.
        "--target",
        &target_triple,
        // Compiled in less time than it would take to make it fast.
        "--config",
        "profile.dev.package.\"*\".opt-level=0",
        "--config",
        "profile.dev.debug=0",
        "--config",
        "profile.dev.incremental=false",
    ]);
    tests
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", "-Zsanitizer=address")
        .env("ASAN_OPTIONS", "detect_leaks=0")
        .env("CARGO_TARGET_DIR", target(UNSTABLE))
        .dir(&root())
        .run_within(Duration::from_secs(900))
        .await
        .success();
}

fn target(name: &str) -> PathBuf {
    build_dir().parent().unwrap().join("variants").join(name)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
