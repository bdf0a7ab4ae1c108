//! How connections are opened: the file, its mode, and SQLite's settings.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::fault::Fault;
use super::migrations;
use super::sql::STATEMENT_CACHE;
use crate::store::Error;

/// How long to wait for another process that writes, a command of the administrator's say.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The writer's page cache in KiB: the ends of all tables and indexes, and what one batch changes.
const WRITER_CACHE: i64 = 2048;
/// Each reader's page cache in KiB. What is not in it is in the kernel's.
const READER_CACHE: i64 = 512;
/// Pages in the log before it is copied into the database: 16 MiB. That many frames also fit in one
/// block of the log's index, so a reader finds a page in one step.
const CHECKPOINT_PAGES: i64 = 4000;
/// What a log that grew beyond its measure is cut to. Not below what it normally has: writing over
/// blocks that the file already has spares the file system's journal.
const LOG_LIMIT: i64 = 24 * 1024 * 1024;

/// Opens the database for writing, makes it if there is none, and brings its schema up to date.
pub(super) fn open_writer(path: &Path) -> Result<Connection, Error> {
    create(path)?;
    // By a connection that can't write, not even a checkpoint when it closes: a file that is refused
    // stays as it is.
    let origin = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .and_then(|connection| {
            // At one moment: another process may be making the file.
            let moment = connection.unchecked_transaction()?;
            migrations::origin(&moment)
        })
        .map_err(|fault| fault.opening(path))?;
    migrations::check(&origin, path)?;

    let mut connection =
        open(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|fault| fault.opening(path))?;
    tune_writer(&connection).map_err(|fault| fault.opening(path))?;
    migrations::migrate(&mut connection, path)?;
    Ok(connection)
}

/// Opens a connection that only reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, Error> {
    let tuned = || {
        let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.pragma_update(None, "cache_size", -READER_CACHE)?;
        Ok(connection)
    };
    tuned().map_err(|fault: Fault| fault.opening(path))
}

/// A new file is its owner's alone, and SQLite gives the files beside it the same mode: there are
/// secrets in it.
fn create(path: &Path) -> Result<(), Error> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(Error::Open(format!("{}: {error}", path.display())))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

fn open(path: &Path, mode: OpenFlags) -> Result<Connection, Fault> {
    let connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    // A statement that a partial index might serve is otherwise compiled again for each new value,
    // lest another plan should suit that one better.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

fn tune_writer(connection: &Connection) -> Result<(), Fault> {
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        return Err(Fault::corrupt(
            "its file system can't hold a write-ahead log",
        ));
    }
    // A commit is on the disk before it is answered for.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE)?;
    for (pragma, value) in [
        ("wal_autocheckpoint", CHECKPOINT_PAGES),
        ("journal_size_limit", LOG_LIMIT),
    ] {
        let _: i64 = connection.pragma_update_and_check(None, pragma, value, |row| row.get(0))?;
    }
    Ok(())
}
