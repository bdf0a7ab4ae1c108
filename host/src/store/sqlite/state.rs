//! The durable state of handlers.

use std::collections::BTreeMap;

use certdock_plugin_api::Versioned;
use certdock_plugin_api::bounds::Room;
use rusqlite::{Connection, Row, params};

use super::SqliteStore;
use super::fault::Fault;
use super::rows::{Columns, limit, unreadable};
use super::sql::statements;
use crate::ids::HandlerName;
use crate::store::{HandlerState, Result};

statements! {
    GET = "SELECT value, version FROM handler_state WHERE handler = ?1 AND key = ?2";
    DELETE = "DELETE FROM handler_state WHERE handler = ?1 AND key = ?2";
    DELETE_VERSION = "DELETE FROM handler_state WHERE handler = ?1 AND key = ?2 AND version = ?3";
    INSERT = "INSERT INTO handler_state (handler, key, value) VALUES (?1, ?2, ?3) \
        ON CONFLICT (handler, key) DO NOTHING RETURNING version";
    LIST = "SELECT value, version, key FROM handler_state WHERE handler = ?1 AND key >= ?2 \
        ORDER BY key LIMIT ?3";
}

impl HandlerState for SqliteStore {
    fn state_get(&self, handler: &HandlerName, key: &str) -> Result<Option<Versioned>> {
        self.readers
            .read(|on| GET.first(on, params![handler.as_str(), key], decode))
    }

    fn state_put(&self, handler: &HandlerName, key: &str, value: &[u8]) -> Result<u64> {
        let (handler, key, value) = (handler.clone(), key.to_owned(), value.to_owned());
        self.writer.write_blocking(move |on| {
            DELETE.run(on, params![handler.as_str(), key])?;
            insert(on, &handler, &key, &value)?
                .ok_or_else(|| Fault::corrupt("a key that was deleted is still there"))
        })
    }

    fn state_compare_and_swap(
        &self,
        handler: &HandlerName,
        key: &str,
        expected: Option<u64>,
        value: &[u8],
    ) -> Result<Option<u64>> {
        let (handler, key, value) = (handler.clone(), key.to_owned(), value.to_owned());
        let expected = match expected.map(i64::try_from) {
            Some(Ok(version)) => Some(version),
            Some(Err(_)) => return Ok(None),
            None => None,
        };
        self.writer.write_blocking(move |on| {
            if let Some(version) = expected {
                let params = params![handler.as_str(), key, version];
                if DELETE_VERSION.run(on, params)? == 0 {
                    return Ok(None);
                }
            }
            insert(on, &handler, &key, &value)
        })
    }

    fn state_delete(&self, handler: &HandlerName, key: &str) -> Result<bool> {
        let (handler, key) = (handler.clone(), key.to_owned());
        self.writer
            .write_blocking(move |on| Ok(DELETE.run(on, params![handler.as_str(), key])? == 1))
    }

    fn state_list(
        &self,
        handler: &HandlerName,
        prefix: &str,
        after: Option<&str>,
        most: usize,
    ) -> Result<BTreeMap<String, Versioned>> {
        // The first key after `after` in byte order is `after` with a zero byte behind it.
        let after = after.map(|after| format!("{after}\0")).unwrap_or_default();
        let from = after.as_str().max(prefix);
        self.readers.read(|on| {
            let mut room = Room::for_up_to(most);
            let params = params![handler.as_str(), from, limit(room.keys())];
            let found = LIST.some(on, params, |row| {
                let (value, key) = (row.get_ref(0)?.as_blob(), row.get_ref(2)?.as_str());
                let (value, key) = (value.map_err(unreadable)?, key.map_err(unreadable)?);
                // Seen before it is copied.
                if !key.starts_with(prefix) || !room.takes(key, value) {
                    return Ok(None);
                }
                Ok(Some((key.to_owned(), decode(row)?)))
            })?;
            Ok(found.into_iter().collect())
        })
    }
}

/// Writes a key that does not exist; says its version, or `None` if it does.
fn insert(
    on: &Connection,
    handler: &HandlerName,
    key: &str,
    value: &[u8],
) -> Result<Option<u64>, Fault> {
    INSERT.first(on, params![handler.as_str(), key, value], |row| {
        version(&mut Columns::of(row))
    })
}

fn decode(row: &Row<'_>) -> Result<Versioned, Fault> {
    let mut columns = Columns::of(row);
    Ok(Versioned {
        value: columns.value()?,
        version: version(&mut columns)?,
    })
}

fn version(columns: &mut Columns<'_, '_>) -> Result<u64, Fault> {
    u64::try_from(columns.value::<i64>()?).map_err(|_| Fault::corrupt("a negative version"))
}
