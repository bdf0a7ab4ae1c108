//! The server's own facts, and whether the store answers.

use async_trait::async_trait;
use rusqlite::params;

use super::SqliteStore;
use super::fault::Fault;
use super::sql::statements;
use crate::store::{Result, Settings};

statements! {
    GET = "SELECT value FROM settings WHERE key = ?1";
    INSERT = "INSERT INTO settings (key, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
}

#[async_trait]
impl Settings for SqliteStore {
    async fn setting_or_insert(&self, key: &str, value: Vec<u8>) -> Result<Vec<u8>> {
        let key = key.to_owned();
        self.writer
            .write(move |on| {
                INSERT.run(on, params![key, value])?;
                GET.first(on, [&key], |row| Ok(row.get(0)?))?
                    .ok_or_else(|| Fault::corrupt("a setting that was stored is not there"))
            })
            .await
    }

    async fn ping(&self) -> Result<()> {
        self.readers
            .read(|on| GET.first(on, [""], |_| Ok(())).map(drop))?;
        // An empty transaction: it reaches the thread and the lock, and costs no disk write.
        self.writer.write(|_| Ok(())).await
    }
}
