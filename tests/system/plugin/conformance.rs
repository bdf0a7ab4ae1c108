//! `certdock plugin check`: good plugins pass, and every bad one fails the check that its fault is
//! about (`faults`).

mod faults;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use certdock_tests::certifier::{Mode, Options, Simulator};
use certdock_tests::program::{Outcome, Program, build_dir};
use certdock_tests::server::binary;
use minisign::KeyPair;
use serde_json::Value;
use tempfile::TempDir;

/// A run of the checks.
struct Run {
    outcome: Outcome,
    report: Value,
}

async fn check(file: &Path, config: Option<&Path>, args: &[&str]) -> Run {
    let mut program = Program::new(binary())
        .args(["plugin", "check", "--json"])
        .arg(file)
        .args(args);
    if let Some(config) = config {
        program = program.arg("--config").arg(config);
    }
    let outcome = program.run_within(Duration::from_secs(600)).await;
    let report = serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    Run { outcome, report }
}

impl Run {
    /// The checks that ended like this, each with what it says.
    fn ended(&self, status: &str) -> Vec<(&str, &str)> {
        let checks = self.report["checks"].as_array().unwrap();
        checks
            .iter()
            .filter(|check| check["status"] == status)
            .map(|check| {
                (
                    check["name"].as_str().unwrap(),
                    check["detail"].as_str().unwrap(),
                )
            })
            .collect()
    }

    /// Those that did not pass: none; and how many did.
    fn all_well(&self) -> usize {
        let bad = [self.ended("failed"), self.ended("crashed")].concat();
        assert!(bad.is_empty(), "{bad:?}");
        assert_eq!(self.outcome.status, Some(0), "{}", self.outcome.stderr);
        self.ended("passed").len()
    }

    fn status(&self, name: &str) -> &str {
        let checks = self.report["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == name);
        check.unwrap_or_else(|| panic!("no {name}"))["status"]
            .as_str()
            .unwrap()
    }
}

fn built(name: &str) -> PathBuf {
    build_dir().join(name)
}

fn config(folder: &TempDir, text: &str) -> PathBuf {
    let file = folder.path().join("handler.toml");
    fs::write(&file, text).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn the_skeleton_passes_as_far_as_it_goes() {
    let run = check(&built("libcertdock_skeleton.so"), None, &[]).await;
    assert!(run.all_well() >= 40);
    assert_eq!(run.status("enroll.issues"), "skipped");
    let checks = run.report["checks"].as_array().unwrap().len();
    let list = Program::new(binary())
        .args(["plugin", "check", "--list"])
        .run()
        .await
        .success();
    assert_eq!(list.stdout.lines().count(), checks + 1, "{}", list.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_local_passes() {
    let folder = TempDir::new().unwrap();
    let file = config(
        &folder,
        "create = true\nca_certificate = 'ca.pem'\nca_key = 'ca.key'\n\
         ca_key_passphrase = { file = 'secret' }\n",
    );
    fs::write(folder.path().join("secret"), "correct horse battery\n").unwrap();
    let run = check(&built("libcertdock_openssl_local.so"), Some(&file), &[]).await;
    assert!(run.all_well() >= 85);
    for check in [
        "repeat.restarted",
        "host.keeps-secrets",
        "crl.lists",
        "life.thousand",
    ] {
        assert_eq!(run.status(check), "passed", "{check}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certifier_passes_at_once_and_later() {
    let folder = TempDir::new().unwrap();
    let simulator = Simulator::start(Options::default());
    fs::write(
        folder.path().join("certifier-password"),
        simulator.password(),
    )
    .unwrap();
    let text = simulator.config();
    let text = format!(
        "[handlers.one]\nplugin = 'certifier'\n[handlers.one.config]\n{text}\n\
         [handlers.two]\nplugin = 'certifier'\n[handlers.two.config]\n{text}\n"
    );
    let file = config(&folder, &text);
    let library = built("libcertdock_certifier.so");
    let run = check(&library, Some(&file), &["--handler", "one"]).await;
    assert!(run.all_well() >= 80);
    assert_eq!(run.status("host.keeps-secrets"), "passed");
    assert_eq!(run.status("poll.round-trip"), "skipped");

    simulator.set_mode(Mode::Later(Duration::from_secs(1)));
    let run = check(
        &library,
        Some(&file),
        &["--handler", "one", "--only", "poll,certificate"],
    )
    .await;
    run.all_well();
    for check in [
        "poll.short-id",
        "poll.round-trip",
        "poll.restarted",
        "certificate.chain",
    ] {
        assert_eq!(run.status(check), "passed", "{check}");
    }
}

/// For a CA that is live.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_for_where_that_is_not_wanted() {
    let folder = TempDir::new().unwrap();
    let simulator = Simulator::start(Options::default());
    fs::write(
        folder.path().join("certifier-password"),
        simulator.password(),
    )
    .unwrap();
    let file = config(&folder, &simulator.config());
    let library = built("libcertdock_certifier.so");
    let run = check(&library, Some(&file), &["--no-issue", "--rounds", "20"]).await;
    assert!(run.all_well() >= 50);
    assert_eq!(simulator.counts().issued, 0);
    assert_eq!(run.status("enroll.answers"), "skipped");
    assert_eq!(run.status("leak.memory"), "passed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_in_which_nothing_can_be_checked_is_no_success() {
    // Enough descriptors to read the plugin, and too few to talk to a process.
    let starved = Program::new("sh")
        .args(["-c", "ulimit -n 4; exec \"$0\" \"$@\""])
        .arg(binary())
        .args(["plugin", "check"])
        .arg(built("libcertdock_skeleton.so"));
    let outcome = starved.run().await;
    assert_eq!(outcome.status, Some(1), "{outcome:?}");
    let why = "no process can be started";
    assert!(outcome.stdout.contains(why), "{outcome:?}");
    assert!(outcome.stderr.contains("nothing is known"), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_is_asked_for_must_be_there() {
    let folder = TempDir::new().unwrap();
    let library = folder.path().join("libskeleton.so");
    fs::copy(built("libcertdock_skeleton.so"), &library).unwrap();
    let pair = KeyPair::generate_unencrypted_keypair().unwrap();
    let key = pair.pk.to_base64();
    let args = ["--only", "file.signature", "--key", &key];
    let run = check(&library, None, &args).await;
    let failed = run.ended("failed");
    assert!(
        matches!(failed.as_slice(), [(_, why)] if why.contains("not signed")),
        "{failed:?}"
    );

    let bytes = fs::File::open(&library).unwrap();
    let signature = minisign::sign(Some(&pair.pk), &pair.sk, bytes, None, None).unwrap();
    let file = folder.path().join("libskeleton.so.minisig");
    fs::write(file, signature.to_string()).unwrap();
    check(&library, None, &args).await.all_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_is_told() {
    let folder = TempDir::new().unwrap();
    let skeleton = built("libcertdock_skeleton.so");
    let file = config(&folder, "[handlers.a]\nplugin = 'other'\n");
    let skeleton = skeleton.to_str().unwrap();
    let file = file.to_str().unwrap();
    for (args, says) in [
        (vec!["/nowhere.so"], "can't be read"),
        (vec![skeleton, "--only", "enrol"], "no check enrol"),
        (vec![skeleton, "--config", file], "add one"),
        (vec![skeleton, "--deadline", "soon"], "soon"),
        (vec![], "FILE"),
    ] {
        let program = Program::new(binary()).args(["plugin", "check"]).args(args);
        let outcome = program.run().await;
        assert_eq!(outcome.status, Some(2), "{outcome:?}");
        assert!(outcome.stderr.contains(says), "{outcome:?}");
    }
}
