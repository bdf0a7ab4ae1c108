//! Users of EST, and the use of their one-time passwords.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use certdock_plugin_api::Requester;
use parking_lot::Mutex;
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
    // What a CA refused gives the password back, and so does what is replaced.
    USE_UP = "UPDATE est_users SET used_by = ?2 WHERE name = ?1 AND once = 1 AND (used_by IS NULL \
        OR used_by = ?3 OR EXISTS (SELECT 1 FROM enrollments WHERE id = est_users.used_by AND state = 'failed'))";
}

#[async_trait]
impl EstUsers for SqliteStore {
    async fn add_est_user(&self, user: EstUser, replace: bool) -> Result<bool> {
        let change = self.users.change(&user.name);
        self.writer
            .write(move |on| {
                let _until_durable = &change;
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
        let seen = match self.users.look(name) {
            Ok(user) => return Ok(Some(user)),
            Err(seen) => seen,
        };
        let user = self.readers.read(|on| BY_NAME.first(on, [name], decode))?;
        if let (Some(user), Some(seen)) = (&user, seen) {
            self.users.keep(user, seen);
        }
        Ok(user)
    }

    async fn est_users(&self) -> Result<Vec<EstUser>> {
        self.readers.read(|on| LIST.all(on, [], decode))
    }

    async fn remove_est_user(&self, name: &str) -> Result<bool> {
        let name = name.to_owned();
        let change = self.users.change(&name);
        self.writer
            .write(move |on| {
                let _until_durable = &change;
                Ok(REMOVE.run(on, [name.as_str()])? == 1)
            })
            .await
    }
}

/// Users as they are stored, in memory: who asks for certificates again and again is not read again
/// each time. Those whose password an enrollment uses up are not among them.
#[derive(Clone, Default)]
pub(super) struct KnownUsers(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    users: HashMap<String, EstUser>,
    /// Changes begun so far, and those under way.
    begun: u64,
    under_way: usize,
}

/// Users kept at most.
const KEPT: usize = 10_000;

impl KnownUsers {
    /// The user, or else how many changes had begun, unless one is under way.
    pub(super) fn look(&self, name: &str) -> Result<EstUser, Option<u64>> {
        let known = self.0.lock();
        let unknown = (known.under_way == 0).then_some(known.begun);
        known.users.get(name).cloned().ok_or(unknown)
    }

    /// Keeps what was read, unless a change has begun since.
    pub(super) fn keep(&self, user: &EstUser, seen: u64) {
        let mut known = self.0.lock();
        if user.once || known.begun != seen {
            return;
        }
        if known.users.len() >= KEPT {
            known.users.clear();
        }
        known.users.insert(user.name.clone(), user.clone());
    }

    /// Forgets the user, who is about to be changed; nobody is kept until the change is durable, and
    /// what this returns is gone.
    pub(super) fn change(&self, name: &str) -> Change {
        let mut known = self.0.lock();
        known.users.remove(name);
        known.begun += 1;
        known.under_way += 1;
        Change(self.clone())
    }
}

pub(super) struct Change(KnownUsers);

impl Drop for Change {
    fn drop(&mut self) {
        self.0.0.lock().under_way -= 1;
    }
}

/// Whether the user who asks, if one does, is still there and, if its password is good for one
/// certificate, this enrollment is the one that uses it up.
pub(super) fn begin(
    on: &Connection,
    enrollment: &Enrollment,
    replaces: Option<EnrollmentId>,
) -> Result<bool, Fault> {
    let Requester::EstUser { name } = &enrollment.requester else {
        return Ok(true);
    };
    match IS_ONCE.first(on, [name], |row| Columns::of(row).value())? {
        None => Ok(false),
        Some(false) => Ok(true),
        Some(true) => {
            let replaced = replaces.as_ref().map(EnrollmentId::as_bytes);
            let params = params![name, enrollment.id.as_bytes(), replaced];
            Ok(USE_UP.run(on, params)? == 1)
        }
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
