//! What was acknowledged is there after SIGKILL: a child process writes and says what it was
//! answered, this one kills it and looks.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::store::{Certificates as _, Enrollments as _};

const ROUNDS: usize = 25;
const DATABASE: &str = "CERTDOCK_TEST_CRASH_DATABASE";

#[test]
fn what_was_acknowledged_survives_being_killed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("certdock.db");
    let mut acknowledged = Vec::new();
    for _ in 0..ROUNDS {
        acknowledged.extend(write_and_be_killed(&path));
        check(&path, &acknowledged);
    }
    assert!(acknowledged.len() > ROUNDS * 4);
}

/// Lets a child write for a moment, kills it, and returns what it said.
fn write_and_be_killed(path: &Path) -> Vec<String> {
    let mut child: Child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "store::sqlite::tests::crash::writes_until_killed",
        ])
        .args(["--ignored", "--nocapture"])
        .env(DATABASE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    for line in lines.by_ref() {
        said.extend(acknowledgement(&line.unwrap()));
        if !said.is_empty() {
            break;
        }
    }
    let [moment] = crate::random::bytes::<1>();
    std::thread::sleep(Duration::from_micros(u64::from(moment) * 300));
    child.kill().unwrap();
    child.wait().unwrap();
    // What is in the pipe was said before it died. The last line may be half of one.
    let rest = lines
        .map_while(Result::ok)
        .filter_map(|line| acknowledgement(&line));
    said.extend(rest);
    said
}

/// The test harness prints lines too, and one that is cut short does not end in a full stop.
fn acknowledgement(line: &str) -> Option<String> {
    let (_, what) = line.split_once("stored ")?;
    what.strip_suffix('.').map(str::to_owned)
}

fn check(path: &Path, acknowledged: &[String]) {
    let store = SqliteStore::open(path).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    for what in acknowledged {
        let (kind, id) = what.split_once(' ').unwrap();
        let there = runtime.block_on(async {
            match kind {
                "account" => store.account(id.parse().unwrap()).await.unwrap().is_some(),
                "order" => store.order(id.parse().unwrap()).await.unwrap().is_some(),
                "journal" => store
                    .enrollment(id.parse().unwrap())
                    .await
                    .unwrap()
                    .is_some(),
                "certificate" => {
                    let certificate = store.certificate(id.parse().unwrap()).await.unwrap();
                    let enrollment = store.enrollment(certificate.unwrap().enrollment);
                    let order = enrollment.await.unwrap().unwrap().order.unwrap();
                    let (order, _) = store.order(order).await.unwrap().unwrap();
                    matches!(order.progress, Progress::Valid { .. })
                }
                other => panic!("{other}"),
            }
        });
        assert!(there, "{what} is lost");
    }
    let sound: String = store
        .readers
        .read(|on| Ok(on.query_row("PRAGMA integrity_check", [], |row| row.get(0))?))
        .unwrap();
    assert_eq!(sound, "ok");
}

#[test]
#[ignore = "a part of what_was_acknowledged_survives_being_killed, run by it"]
fn writes_until_killed() {
    let Some(path) = std::env::var_os(DATABASE).map(PathBuf::from) else {
        return;
    };
    let store = Arc::new(SqliteStore::open(path).unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let writers: Vec<_> = (0..8)
            .map(|_| tokio::spawn(write(Arc::clone(&store))))
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

async fn write(store: Arc<SqliteStore>) {
    let say = |kind: &str, id: String| {
        let line = format!("stored {kind} {id}.\n");
        std::io::stdout().write_all(line.as_bytes()).unwrap();
    };
    // Bounded, should nobody kill it.
    for _ in 0..10_000 {
        let mut owner = account(0);
        owner.key.thumbprint = Thumbprint(crate::random::bytes());
        store.create_account(owner.clone()).await.unwrap();
        say("account", owner.id.to_string());
        let (order, authorization) = order_of(&store, owner.id).await;
        say("order", order.id.to_string());
        let kind = ChallengeType::Http01;
        let settled = store.settle_challenge(authorization.id, kind, Ok(()), NOW, at(10));
        settled.await.unwrap();
        let enrollment = enrollment(&order);
        assert!(store.begin_enrollment(enrollment.clone()).await.unwrap());
        say("journal", enrollment.id.to_string());
        let certificate = certificate(&enrollment);
        let id = certificate.id;
        assert!(
            store
                .complete_enrollment(enrollment.id, certificate)
                .await
                .unwrap()
        );
        say("certificate", id.to_string());
    }
}
