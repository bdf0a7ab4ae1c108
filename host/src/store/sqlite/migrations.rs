//! The schema and its versions. A file says in its header whose it is (`application_id`) and which
//! version of the schema it has (`user_version`).

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::fault::Fault;
use crate::store::Error;

/// "cdoc": tells our files from other SQLite databases.
const APPLICATION_ID: i64 = 0x6364_6f63;

/// Version N is reached by running the first N of them. One that was released never changes.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_initial.sql"),
    include_str!("migrations/0002_est_requests.sql"),
    include_str!("migrations/0003_slow_certificates.sql"),
    include_str!("migrations/0004_est_users.sql"),
];

/// What a file claims to be.
pub(super) enum Origin {
    /// It holds nothing yet.
    Empty,
    Ours {
        version: i64,
    },
    Foreign,
}

pub(super) fn known_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

pub(super) fn origin(connection: &Connection) -> Result<Origin, Fault> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let application = number("application_id")?;
    let version = number("user_version")?;
    if application == APPLICATION_ID {
        return Ok(Origin::Ours { version });
    }
    let objects: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application == 0 && version == 0 && objects == 0 {
        Ok(Origin::Empty)
    } else {
        Ok(Origin::Foreign)
    }
}

/// Refuses a file that this program must not touch.
pub(super) fn check(origin: &Origin, path: &Path) -> Result<(), Error> {
    match *origin {
        Origin::Foreign => Err(Error::Open(format!(
            "{} is the database of another program; name a new file in [store] url",
            path.display()
        ))),
        Origin::Ours { version } if version > known_version() => Err(Error::Newer {
            path: path.display().to_string(),
            found: version,
            known: known_version(),
        }),
        Origin::Ours { .. } | Origin::Empty => Ok(()),
    }
}

/// Brings the schema up to date, all in one transaction. Another process may be at it too: what the
/// file is gets decided under the write lock.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    let fault = |fault: Fault| fault.opening(path);
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|error| fault(error.into()))?;
    let origin = origin(&transaction).map_err(fault)?;
    check(&origin, path)?;
    let done = match origin {
        Origin::Ours { version } => usize::try_from(version).unwrap_or(0),
        Origin::Empty | Origin::Foreign => 0,
    };
    if done == MIGRATIONS.len() {
        return Ok(());
    }
    let run = || -> Result<(), Fault> {
        for migration in MIGRATIONS.iter().skip(done) {
            transaction.execute_batch(migration)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", known_version())?;
        Ok(())
    };
    run().map_err(fault)?;
    transaction.commit().map_err(|error| fault(error.into()))
}
