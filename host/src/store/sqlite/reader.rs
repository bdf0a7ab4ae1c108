//! [`Readers`]: connections that read. In a write-ahead log readers wait for no writer, so a look-up
//! is a few page reads from memory, some ten microseconds: it runs on the calling thread, where handing
//! it to another one and back would cost more than it does.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rusqlite::Connection;

use super::connection::open_reader;
use super::fault::Fault;
use crate::store::Error;

pub(super) struct Readers {
    connections: Box<[Mutex<Connection>]>,
    turn: AtomicUsize,
}

impl Readers {
    /// As many connections as threads can run at once, within bounds: each costs some memory.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let connections = (0..threads.clamp(2, 8))
            .map(|_| open_reader(path).map(Mutex::new))
            .collect::<Result<_, Error>>()?;
        Ok(Self {
            connections,
            turn: AtomicUsize::new(0),
        })
    }

    /// Runs several statements that see the store as it is at one moment.
    pub(super) fn read_at_once<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, Error> {
        self.read(|connection| {
            connection.prepare_cached("BEGIN")?.execute([])?;
            let outcome = work(connection);
            // Nothing was changed: it only lets go of the moment.
            connection.prepare_cached("COMMIT")?.execute([])?;
            outcome
        })
    }

    /// Reads on a connection that is free; the first ones are preferred, for their caches are warm.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, Error> {
        if let Some(connection) = self.connections.iter().find_map(Mutex::try_lock) {
            return work(&connection).map_err(Fault::reading);
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.connections.len().max(1);
        match self.connections.get(turn) {
            Some(connection) => work(&connection.lock()).map_err(Fault::reading),
            None => Err(Error::Closed),
        }
    }
}
