use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Barrier;

use rusqlite::Connection;

use super::*;
use crate::store::sqlite::migrations::known_version;
use crate::store::{Error, HandlerState as _};

fn beside(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

/// The database and its log.
fn content(path: &Path) -> (Vec<u8>, Vec<u8>) {
    let log = fs::read(beside(path, "-wal")).unwrap_or_default();
    (fs::read(path).unwrap(), log)
}

#[tokio::test]
async fn a_new_file_is_its_owners_alone_and_keeps_what_is_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new.db");
    let store = SqliteStore::open(&path).unwrap();
    store.create_account(account(1)).await.unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let mode = fs::metadata(beside(&path, suffix))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{suffix}");
    }
    drop(store);
    assert!(content(&path).1.is_empty(), "the log was not copied back");
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.accounts(None, 10).await.unwrap().len(), 1);
}

#[test]
fn a_start_that_died_at_once_can_be_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.db");
    fs::write(&empty, "").unwrap();
    SqliteStore::open(&empty).unwrap();
    let bare = directory.path().join("bare.db");
    let connection = Connection::open(&bare).unwrap();
    connection
        .pragma_update(None, "journal_mode", "wal")
        .unwrap();
    drop(connection);
    SqliteStore::open(&bare).unwrap();
}

#[test]
fn several_may_open_a_new_file_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new.db");
    let start = Barrier::new(4);
    std::thread::scope(|scope| {
        let open = || {
            start.wait();
            SqliteStore::open(&path).map(drop)
        };
        let all: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
        for one in all {
            one.join().unwrap().unwrap();
        }
    });
}

#[test]
fn a_newer_database_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("certdock.db");
    SqliteStore::open(&path).unwrap();
    let newer = Connection::open(&path).unwrap();
    newer
        .pragma_update(None, "user_version", known_version() + 1)
        .unwrap();
    // As the newer program leaves it when it is killed, and when it ends.
    let killed = directory.path().join("killed.db");
    fs::copy(&path, &killed).unwrap();
    fs::copy(beside(&path, "-wal"), beside(&killed, "-wal")).unwrap();
    drop(newer);
    for path in [&path, &killed] {
        let before = content(path);
        match SqliteStore::open(path).err() {
            Some(Error::Newer { found, known, .. }) => {
                assert_eq!((found, known), (known_version() + 1, known_version()));
            }
            other => panic!("{other:?}"),
        }
        assert!(content(path) == before, "it was changed");
    }
}

#[test]
fn what_is_not_ours_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("text");
    fs::write(&text, "Dear diary, ".repeat(500)).unwrap();
    let foreign = directory.path().join("foreign.db");
    let connection = Connection::open(&foreign).unwrap();
    connection.execute_batch("CREATE TABLE t (a)").unwrap();
    drop(connection);
    for path in [&text, &foreign] {
        let before = content(path);
        let error = SqliteStore::open(path).err().unwrap();
        assert!(matches!(error, Error::Open(_)), "{error:?}");
        assert!(error.to_string().contains("name a new file"), "{error}");
        assert!(content(path) == before, "it was changed");
    }
    for path in [
        directory.path().to_owned(),
        directory.path().join("none/a.db"),
    ] {
        let error = SqliteStore::open(&path).err().unwrap();
        assert!(matches!(error, Error::Open(_)), "{error:?}");
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_damaged_row_is_an_error_of_its_own() {
    let store = scratch();
    let (order, _) = open_order(&store).await;
    let id = order.id;
    store
        .writer
        .write(move |on| {
            let sql = "UPDATE orders SET identifiers = '[\"a b\"]' WHERE id = ?1";
            Ok(on.execute(sql, [id.as_bytes()])?)
        })
        .await
        .unwrap();
    let error = store.order(id).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt(_)), "{error:?}");
}

#[test]
fn the_log_does_not_grow_without_end() {
    let store = scratch();
    let handler = "local".parse().unwrap();
    let log = beside(&store.directory.path().join("certdock.db"), "-wal");
    let mut longest = 0;
    for round in 0..150 {
        let key = (round % 3).to_string();
        store.state_put(&handler, &key, &[7; 400_000]).unwrap();
        longest = longest.max(fs::metadata(&log).unwrap().len());
    }
    // Sixty megabytes went through it.
    assert!(longest < 18 << 20, "{longest}");
}
