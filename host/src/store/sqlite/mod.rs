//! [`SqliteStore`]: the store on SQLite, in one file.
//!
//! Writes go to one thread that commits everything waiting at once (`writer`); reads run where they
//! are asked for (`reader`). A write is answered when it is on the disk, so who was answered reads
//! what he wrote.

mod accounts;
mod authorizations;
mod certificates;
mod connection;
mod enrollments;
mod est_requests;
mod est_users;
mod external_keys;
mod fault;
mod migrations;
mod orders;
mod reader;
mod revocations;
mod rows;
mod settings;
mod sql;
mod state;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;

use est_users::KnownUsers;
use reader::Readers;
use writer::Writer;

use crate::store::Result;

pub struct SqliteStore {
    writer: Writer,
    readers: Readers,
    users: KnownUsers,
}

impl SqliteStore {
    /// Opens the database, or makes it, and brings its schema up to date.
    ///
    /// # Errors
    /// [`Newer`](crate::store::Error::Newer) if a newer program wrote it, which leaves it untouched;
    /// [`Open`](crate::store::Error::Open) if it can't be opened or is not ours.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let connection = connection::open_writer(path)?;
        let readers = Readers::open(path)?;
        let writer = Writer::start(connection)?;
        Ok(Self {
            writer,
            readers,
            users: KnownUsers::default(),
        })
    }

    /// Does what waits, then closes for writing; later writes are answered with
    /// [`Closed`](crate::store::Error::Closed). Blocks for as long as a few writes take. Dropping the
    /// store does the same.
    pub fn close(&self) {
        self.writer.close();
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.close();
    }
}
