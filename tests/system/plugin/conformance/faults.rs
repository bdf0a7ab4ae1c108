//! Every bad plugin fails the check that its fault is about, and no other.

use std::path::PathBuf;
use std::sync::Arc;

use certdock_tests::faults::{FAULTS, FaultPlugin, LAPSES, Library, named};
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{check, config};

/// The checks that find each fault; `None` for what is odd and harmless.
#[rustfmt::skip]
const FOUND_BY: &[(&str, Option<&str>)] = &[
    ("panic-in-validate-config", Some("config.good")),
    ("panic-in-open", Some("life.opens")),
    ("panic-in-enroll", Some("enroll.answers")),
    ("panic-in-poll", Some("poll.unknown-ids")),
    ("panic-in-recover", Some("recover.unknown")),
    ("panic-in-revoke", Some("revoke.foreign")),
    ("panic-in-ca-certs-get", Some("ca.answers")),
    ("panic-in-push", Some("push.garbage")),
    ("panic-in-health", Some("ca.health")),
    ("panic-in-crl", Some("crl.readable")),
    ("panic-in-drop", Some("life.closes")),
    ("panic-payload", Some("enroll.answers")),
    ("panic-thread", Some("enroll.answers")),
    ("abort", Some("enroll.answers")),
    ("abort-in-open", Some("life.opens")),
    ("exit", Some("enroll.answers")),
    ("stack-overflow", Some("enroll.answers")),
    ("segfault", Some("enroll.answers")),
    ("out-of-memory", Some("enroll.answers")),
    ("hang", Some("enroll.answers")),
    ("hang-in-open", Some("life.opens")),
    ("hang-in-drop", Some("life.closes")),
    ("spin", Some("enroll.answers")),
    ("chatter", Some("enroll.answers")),
    ("slow", Some("enroll.answers")),
    ("leak-memory", Some("leak.memory")),
    ("leak-descriptors", Some("leak.descriptors")),
    ("threads", Some("leak.threads")),
    ("stdout", Some("output.stdout")),
    ("stdout", Some("output.stderr")),
    ("scribbles", Some("enroll.answers")),
    ("detail", Some("output.faults")),
    ("own-runtime", None),
    ("other-key", Some("certificate.key")),
    ("other-names", Some("certificate.names")),
    ("expired", Some("certificate.valid")),
    ("broken-chain", Some("certificate.chain")),
    ("no-certificate", Some("enroll.issues")),
    ("garbage", Some("certificate.readable")),
    ("huge-poll-id", Some("poll.short-id")),
    ("forgetful", Some("repeat.same-id")),
    ("forgets-polls", Some("poll.restarted")),
    ("forgets-recoveries", Some("recover.restarted")),
    ("invalid-utf8", Some("output.faults")),
    ("other-allocator", None),
    ("constructor-aborts", Some("load.links")),
    ("wrong-layout", Some("load.links")),
    ("old-api", Some("file.api")),
    ("future-api", Some("file.api")),
    ("panic-abort", Some("file.unwinds")),
    ("refuses-what-opens", Some("config.good")),
    ("threads-in-validate-config", Some("config.looks-only")),
    ("threads-in-open", Some("life.leaves-threads-alone")),
    ("leaks-a-little", Some("life.thousand")),
    ("credulous-enroll", Some("enroll.garbage")),
    ("credulous-poll", Some("poll.unknown-ids")),
    ("credulous-poll", Some("fuzz.poll")),
    ("credulous-recover", Some("recover.unknown")),
    ("credulous-revoke", Some("revoke.foreign")),
    ("credulous-push", Some("push.garbage")),
    ("credulous-push", Some("push.foreign")),
    ("evasive", Some("enroll.garbage")),
    ("evasive", Some("revoke.twice")),
    ("panics-at-large", Some("enroll.large")),
    ("panics-at-no-names", Some("enroll.no-names")),
    ("panics-at-odd-names", Some("enroll.odd-names")),
    ("after-deadline", Some("enroll.deadline")),
    ("long-chain", Some("certificate.size")),
    ("other-alternate", Some("certificate.alternates")),
    ("is-ca", Some("certificate.no-ca")),
    ("short-serial", Some("certificate.serial")),
    ("forgets-enrollments", Some("repeat.reopened")),
    ("forgets-at-restart", Some("repeat.restarted")),
    ("other-key-later", Some("poll.round-trip")),
    ("unreadable-ca", Some("ca.readable")),
    ("unordered-ca", Some("ca.order")),
    ("changes-folder", Some("life.leaves-process-alone")),
    ("finds-nothing", Some("recover.finds")),
    ("one-for-all", Some("repeat.other-id")),
    ("evasive", Some("request.profile")),
    ("denies-extras", Some("request.extras")),
    ("denies-requesters", Some("request.requesters")),
    ("denies-long-ids", Some("request.ids")),
    ("ignores-validity", Some("request.validity")),
    ("denies-revocation", Some("revoke.works")),
    ("forgets-revocations", Some("crl.lists")),
    ("other-next-update", Some("crl.current")),
    ("bad-signature", Some("crl.signed")),
    ("revokes-again", Some("revoke.twice")),
    ("needs-state-to-open", Some("host.none")),
    ("needs-state", Some("host.no-state")),
    ("needs-secret", Some("host.no-secrets")),
    ("needs-clock", Some("host.odd-clock")),
    ("tells-secret", Some("host.keeps-secrets")),
    ("chatty", Some("host.modest-log")),
    ("odd-metric", Some("host.metrics")),
    ("mixes-up", Some("parallel.enroll")),
    ("one-at-a-time", Some("parallel.everything")),
    ("fragile-validate-config", Some("fuzz.config")),
    ("fragile-enroll", Some("fuzz.enroll")),
    ("fragile-poll", Some("fuzz.poll")),
    ("fragile-recover", Some("fuzz.recover")),
    ("fragile-revoke", Some("fuzz.revoke")),
    ("fragile-push", Some("fuzz.push")),
    ("takes-anything", Some("config.no-table")),
    ("takes-anything", Some("config.unknown-key")),
    ("takes-anything", Some("config.wrong-types")),
    ("takes-anything", Some("config.missing-keys")),
    ("takes-anything", Some("config.huge")),
    ("takes-anything", Some("config.notes")),
    ("vague", Some("config.unknown-key")),
    ("vague", Some("config.missing-keys")),
    ("silent", Some("config.sentences")),
    ("verbose", Some("config.sentences")),
    ("other-class", Some("config.no-table")),
    ("no-schema", Some("schema.published")),
    ("open-schema", Some("schema.closed")),
    ("bare-schema", Some("schema.described")),
    ("other-schema", Some("schema.fits")),
    ("other-extension", Some("load.unknown-extensions")),
];

/// One of each kind gets the whole suite, of which nothing else may fail. The others get the check that
/// finds them with those that it needs, since a whole suite takes seconds.
const WHOLE: &[&str] = &[
    "panic-in-enroll",
    "abort",
    "hang",
    "leak-memory",
    "other-key",
    "forgets-recoveries",
    "wrong-layout",
    "old-api",
];

/// Those that end the process.
const CRASHES: &[&str] = &[
    "abort",
    "abort-in-open",
    "exit",
    "stack-overflow",
    "segfault",
    "out-of-memory",
    "constructor-aborts",
];

/// Long enough to be hit by damage.
const DIRECTORY: &str = "its-key-and-all-of-its-certificates";

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_fails_the_right_check() {
    let known: Vec<_> = FOUND_BY.iter().map(|(name, _)| *name).collect();
    for fault in FAULTS.iter().chain(LAPSES) {
        assert!(
            known.contains(&fault.name),
            "which check finds {}?",
            fault.name
        );
    }
    // They wait more than they work.
    let places = Arc::new(Semaphore::new(3));
    let mut runs = JoinSet::new();
    for (name, found_by) in FOUND_BY {
        let Some(found_by) = found_by else { continue };
        let places = Arc::clone(&places);
        runs.spawn(async move {
            let _place = places.acquire().await.unwrap();
            fails(named(name), found_by).await
        });
    }
    let wrong: Vec<_> = runs.join_all().await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is not as it should be.
async fn fails(fault: FaultPlugin, found_by: &str) -> Option<String> {
    let (folder, library) = prepared(fault);
    let file = config(&folder, &fault.config(DIRECTORY));
    let crashes = CRASHES.contains(&fault.name);
    // Nobody waits for one that hangs, and one that crashes does so when it gets to it.
    let deadline = if crashes { "60s" } else { "3s" };
    let mut args = vec!["--deadline", deadline, "--rounds", "30", "--seed", "7"];
    if !WHOLE.contains(&fault.name) {
        args.extend(["--only", found_by]);
    }
    let run = check(&library, Some(&file), &args).await;
    let (expected, other) = if crashes {
        ("crashed", "failed")
    } else {
        ("failed", "crashed")
    };
    let (found, others) = (run.ended(expected), run.ended(other));
    let right = matches!(found.as_slice(), [(name, _)] if *name == found_by);
    if right && others.is_empty() && run.outcome.status == Some(1) {
        return None;
    }
    Some(format!(
        "{} in {found_by}: {expected}: {found:?}, {other}: {others:?}",
        fault.name
    ))
}

fn prepared(fault: FaultPlugin) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let library = folder.path().join("libfaulty.so");
    fault.write(&library);
    (folder, library)
}

/// Another allocator and a runtime of its own are nobody's business.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_odd_and_harmless_passes() {
    for (name, _) in FOUND_BY.iter().filter(|(_, found_by)| found_by.is_none()) {
        let fault = named(name);
        let (folder, library) = prepared(fault);
        let file = config(&folder, &fault.config(DIRECTORY));
        let run = check(
            &library,
            Some(&file),
            &["--skip", "life.thousand", "--rounds", "30"],
        )
        .await;
        assert!(run.all_well() >= 90, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_is_told_with_what_was_said_last() {
    let fault = named("stack-overflow");
    let (folder, library) = prepared(fault);
    let file = config(&folder, &fault.config(DIRECTORY));
    let run = check(&library, Some(&file), &["--only", "enroll.answers"]).await;
    let crashed = run.ended("crashed");
    let [(_, detail)] = crashed.as_slice() else {
        panic!("{crashed:?}");
    };
    assert!(
        detail.contains("SIGABRT") && detail.contains("stack"),
        "{detail}"
    );
}

/// Whoever runs this in a pipeline must not take it for a plugin that was found good.
/// It never comes to a call whose end anybody waits for.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_does_not_end_is_ended() {
    let constructor = named("constructor-aborts");
    let slow = FaultPlugin {
        library: Library::Patched(
            "libcertdock_faulty_constructor.so",
            b"constructor=quick",
            b"constructor=slow.",
        ),
        ..constructor
    };
    let (_folder, library) = prepared(slow);
    let args = ["--only", "load.links", "--timeout", "1s"];
    let run = check(&library, None, &args).await;
    let failed = run.ended("failed");
    assert!(
        matches!(failed.as_slice(), [("load.links", why)] if *why == "it did not end within 1 seconds"),
        "{failed:?}"
    );
}

/// What was found once is found again with the seed that was printed.
#[tokio::test(flavor = "multi_thread")]
async fn a_seed_finds_the_same_again() {
    let fault = named("fragile-enroll");
    let (folder, library) = prepared(fault);
    let file = config(&folder, &fault.config(DIRECTORY));
    let args = ["--only", "fuzz.enroll", "--seed"];
    let found = async |seed: &str| {
        let run = check(&library, Some(&file), &[&args[..], &[seed]].concat()).await;
        let failed = run.ended("failed");
        let [("fuzz.enroll", why)] = failed.as_slice() else {
            panic!("{failed:?}");
        };
        // The id under which it asked stands there, too.
        assert!(why.contains("at input ") && why.contains("check-"), "{why}");
        (*why).to_owned()
    };
    let run = check(&library, Some(&file), &args[..2]).await;
    let seed = run.report["seed"].to_string();
    let first = run
        .ended("failed")
        .iter()
        .map(|(_, why)| (*why).to_owned())
        .next();
    assert_eq!(first, Some(found(&seed).await));
    assert_ne!(found("7").await, found("8").await);
}

/// A CA that can't be asked at the moment will be asked again.
#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_is_busy_is_made_again() {
    let fault = FaultPlugin {
        name: "busy-once",
        fault: "busy-once",
        ..named("other-key-later")
    };
    let (folder, library) = prepared(fault);
    let file = config(&folder, &fault.config(DIRECTORY));
    let run = check(&library, Some(&file), &["--only", "poll"]).await;
    run.all_well();
    for check in ["poll.round-trip", "poll.restarted"] {
        assert_eq!(run.status(check), "passed", "{check}");
    }
}
