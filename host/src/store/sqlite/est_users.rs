//! Users of EST, and the use of their one-time passwords.

use async_trait::async_trait;
use certdock_plugin_api::Requester;
use rusqlite::{Connection, Row, params};

use super::SqliteStore;
use super::fault::Fault;
use super::rows::{Columns, json};
use super::sql::statements;
use crate::ids::EnrollmentId;
use crate::store::{Enrollment, EstUser, EstUsers, Result};
use crate::time::UnixTime;

macro_rules! columns {
    () => {
        "name, password, once, expires, names, labels, created, used_by"
    };
}

statements! {
    INSERT = concat!(
        "INSERT INTO est_users (", columns!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
         ON CONFLICT DO NOTHING"
    );
    REPLACE = concat!(
        "INSERT OR REPLACE INTO est_users (", columns!(), ") \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
    );
    BY_NAME = concat!("SELECT ", columns!(), " FROM est_users WHERE name = ?1");
    LIST = concat!("SELECT ", columns!(), " FROM est_users ORDER BY name");
    REMOVE = "DELETE FROM est_users WHERE name = ?1";
    IS_ONCE = "SELECT once FROM est_users WHERE name = ?1";
    // What a CA refused gives the password back.
    USE_UP = "UPDATE est_users SET used_by = ?2 WHERE name = ?1 AND once = 1 AND (used_by IS NULL \
        OR EXISTS (SELECT 1 FROM enrollments WHERE id = est_users.used_by AND state = 'failed'))";
}

#[async_trait]
impl EstUsers for SqliteStore {
    async fn add_est_user(&self, user: EstUser, replace: bool) -> Result<bool> {
        self.writer
            .write(move |on| {
                let statement = if replace { REPLACE } else { INSERT };
                let added = statement.run(
                    on,
                    params![
                        user.name,
                        user.password,
                        user.once,
                        user.expires.map(UnixTime::as_secs),
                        json(&user.names)?,
                        json(&user.labels)?,
                        user.created.as_secs(),
                        user.used_by.as_ref().map(EnrollmentId::as_bytes),
                    ],
                )?;
                Ok(added == 1)
            })
            .await
    }

    async fn est_user(&self, name: &str) -> Result<Option<EstUser>> {
        self.readers.read(|on| BY_NAME.first(on, [name], decode))
    }

    async fn est_users(&self) -> Result<Vec<EstUser>> {
        self.readers.read(|on| LIST.all(on, [], decode))
    }

    async fn remove_est_user(&self, name: &str) -> Result<bool> {
        let name = name.to_owned();
        self.writer
            .write(move |on| Ok(REMOVE.run(on, [name.as_str()])? == 1))
            .await
    }
}

/// Whether the user who asks, if one does, is still there and, if its password is good for one
/// certificate, this enrollment is the one that uses it up.
pub(super) fn begin(on: &Connection, enrollment: &Enrollment) -> Result<bool, Fault> {
    let Requester::EstUser { name } = &enrollment.requester else {
        return Ok(true);
    };
    match IS_ONCE.first(on, [name], |row| Columns::of(row).value())? {
        None => Ok(false),
        Some(false) => Ok(true),
        Some(true) => Ok(USE_UP.run(on, params![name, enrollment.id.as_bytes()])? == 1),
    }
}

fn decode(row: &Row<'_>) -> Result<EstUser, Fault> {
    let mut columns = Columns::of(row);
    Ok(EstUser {
        name: columns.value()?,
        password: columns.value()?,
        once: columns.value()?,
        expires: columns.optional_time()?,
        names: columns.json()?,
        labels: columns.json()?,
        created: columns.time()?,
        used_by: columns.optional_id(EnrollmentId::from_bytes)?,
    })
}
