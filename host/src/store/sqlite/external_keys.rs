//! Keys for external account binding.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use zeroize::Zeroizing;

use super::SqliteStore;
use super::fault::Fault;
use super::rows::Columns;
use super::sql::statements;
use crate::ids::EndpointName;
use crate::store::{ExternalKey, ExternalKeys, Result};
use crate::time::UnixTime;

macro_rules! columns {
    () => {
        "endpoint, id, secret, created, revoked"
    };
}

statements! {
    INSERT = concat!(
        "INSERT INTO external_keys (", columns!(), ") VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT DO NOTHING"
    );
    BY_ID = concat!("SELECT ", columns!(), " FROM external_keys WHERE endpoint = ?1 AND id = ?2");
    LIVE = "SELECT 1 FROM external_keys WHERE endpoint = ?1 AND id = ?2 AND revoked IS NULL";
    LIST = concat!("SELECT ", columns!(), " FROM external_keys ORDER BY endpoint, id");
    REVOKE = "UPDATE external_keys SET revoked = ?3 \
        WHERE endpoint = ?1 AND id = ?2 AND revoked IS NULL";
}

#[async_trait]
impl ExternalKeys for SqliteStore {
    async fn add_external_key(&self, key: ExternalKey) -> Result<bool> {
        self.writer
            .write(move |on| {
                let added = INSERT.run(
                    on,
                    params![
                        key.endpoint.as_str(),
                        key.id,
                        key.secret.as_slice(),
                        key.created.as_secs(),
                        key.revoked.map(UnixTime::as_secs),
                    ],
                )?;
                Ok(added == 1)
            })
            .await
    }

    async fn external_key(&self, endpoint: &EndpointName, id: &str) -> Result<Option<ExternalKey>> {
        self.readers
            .read(|on| BY_ID.first(on, params![endpoint.as_str(), id], decode))
    }

    async fn external_keys(&self) -> Result<Vec<ExternalKey>> {
        self.readers.read(|on| LIST.all(on, [], decode))
    }

    async fn revoke_external_key(
        &self,
        endpoint: &EndpointName,
        id: &str,
        at: UnixTime,
    ) -> Result<bool> {
        let (endpoint, id) = (endpoint.clone(), id.to_owned());
        self.writer
            .write(move |on| {
                let revoked = REVOKE.run(on, params![endpoint.as_str(), id, at.as_secs()])?;
                Ok(revoked == 1)
            })
            .await
    }
}

pub(super) fn is_live(on: &Connection, endpoint: &EndpointName, id: &str) -> Result<bool, Fault> {
    let live = LIVE.first(on, params![endpoint.as_str(), id], |_| Ok(()))?;
    Ok(live.is_some())
}

fn decode(row: &Row<'_>) -> Result<ExternalKey, Fault> {
    let mut columns = Columns::of(row);
    Ok(ExternalKey {
        endpoint: columns.parsed()?,
        id: columns.value()?,
        secret: Zeroizing::new(columns.value()?),
        created: columns.time()?,
        revoked: columns.optional_time()?,
    })
}
