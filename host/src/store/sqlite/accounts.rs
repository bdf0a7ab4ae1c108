//! Accounts.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::SqliteStore;
use super::external_keys;
use super::fault::Fault;
use super::rows::{Columns, json, limit};
use super::sql::statements;
use crate::ids::{AccountId, EndpointName};
use crate::store::{
    Account, AccountCreation, AccountKey, AccountStatus, Accounts, KeyChange, Result, Thumbprint,
};

macro_rules! columns {
    () => {
        "id, endpoint, jwk, thumbprint, contacts, terms_agreed, status, external_key, \
         external_binding, created"
    };
}

statements! {
    INSERT = concat!(
        "INSERT INTO accounts (", columns!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
    );
    BY_ID = concat!("SELECT ", columns!(), " FROM accounts WHERE id = ?1");
    BY_KEY = concat!(
        "SELECT ", columns!(), " FROM accounts WHERE endpoint = ?1 AND thumbprint = ?2"
    );
    SET_CONTACTS = "UPDATE accounts SET contacts = ?2 WHERE id = ?1 AND status = 'valid'";
    DEACTIVATE = "UPDATE accounts SET status = 'deactivated' WHERE id = ?1 AND status = 'valid'";
    CHANGE_KEY = "UPDATE accounts SET jwk = ?3, thumbprint = ?4 \
        WHERE id = ?1 AND thumbprint = ?2 AND status = 'valid' AND NOT EXISTS \
        (SELECT 1 FROM accounts other \
         WHERE other.endpoint = accounts.endpoint AND other.thumbprint = ?4)";
    LIST = concat!("SELECT ", columns!(), " FROM accounts WHERE id > ?1 ORDER BY id LIMIT ?2");
}

#[async_trait]
impl Accounts for SqliteStore {
    async fn create_account(&self, account: Account) -> Result<AccountCreation> {
        self.writer.write(move |on| create(on, &account)).await
    }

    async fn account(&self, id: AccountId) -> Result<Option<Account>> {
        self.readers.read(|on| by_id(on, id))
    }

    async fn account_by_key(
        &self,
        endpoint: &EndpointName,
        thumbprint: &Thumbprint,
    ) -> Result<Option<Account>> {
        self.readers.read(|on| by_key(on, endpoint, thumbprint))
    }

    async fn set_contacts(&self, id: AccountId, contacts: Vec<String>) -> Result<bool> {
        self.writer
            .write(move |on| {
                let changed = SET_CONTACTS.run(on, params![id.as_bytes(), json(&contacts)?])?;
                Ok(changed == 1)
            })
            .await
    }

    async fn deactivate_account(&self, id: AccountId) -> Result<bool> {
        self.writer
            .write(move |on| Ok(DEACTIVATE.run(on, [id.as_bytes()])? == 1))
            .await
    }

    async fn change_key(
        &self,
        id: AccountId,
        old: Thumbprint,
        new: AccountKey,
    ) -> Result<KeyChange> {
        self.writer
            .write(move |on| change_key(on, id, old, &new))
            .await
    }

    async fn accounts(&self, after: Option<AccountId>, most: usize) -> Result<Vec<Account>> {
        self.readers.read(|on| {
            let after = after.as_ref().map_or(&[][..], |id| id.as_bytes());
            LIST.all(on, params![after, limit(most)], decode)
        })
    }
}

fn create(on: &Connection, account: &Account) -> Result<AccountCreation, Fault> {
    // RFC 8555 §7.3.1: who has an account is told of it before anything else is asked.
    if let Some(there) = by_key(on, &account.endpoint, &account.key.thumbprint)? {
        return Ok(AccountCreation::Exists(there));
    }
    if let Some(key) = &account.external_key
        && !external_keys::is_live(on, &account.endpoint, key)?
    {
        return Ok(AccountCreation::NoSuchExternalKey);
    }
    INSERT.run(
        on,
        params![
            account.id.as_bytes(),
            account.endpoint.as_str(),
            account.key.jwk,
            account.key.thumbprint.0,
            json(&account.contacts)?,
            account.terms_agreed,
            account.status.as_str(),
            account.external_key,
            account.external_binding,
            account.created.as_secs(),
        ],
    )?;
    Ok(AccountCreation::Created)
}

fn change_key(
    on: &Connection,
    id: AccountId,
    old: Thumbprint,
    new: &AccountKey,
) -> Result<KeyChange, Fault> {
    let changed = CHANGE_KEY.run(on, params![id.as_bytes(), old.0, new.jwk, new.thumbprint.0])?;
    if changed == 1 {
        return Ok(KeyChange::Changed);
    }
    let Some(account) = by_id(on, id)? else {
        return Ok(KeyChange::Stale);
    };
    if account.status != AccountStatus::Valid || account.key.thumbprint != old {
        return Ok(KeyChange::Stale);
    }
    let owner = by_key(on, &account.endpoint, &new.thumbprint)?;
    Ok(owner.map_or(KeyChange::Stale, |owner| KeyChange::InUse(owner.id)))
}

fn by_id(on: &Connection, id: AccountId) -> Result<Option<Account>, Fault> {
    BY_ID.first(on, [id.as_bytes()], decode)
}

fn by_key(
    on: &Connection,
    endpoint: &EndpointName,
    thumbprint: &Thumbprint,
) -> Result<Option<Account>, Fault> {
    BY_KEY.first(on, params![endpoint.as_str(), thumbprint.0], decode)
}

fn decode(row: &Row<'_>) -> Result<Account, Fault> {
    let mut columns = Columns::of(row);
    Ok(Account {
        id: columns.id(AccountId::from_bytes)?,
        endpoint: columns.parsed()?,
        key: AccountKey {
            jwk: columns.value()?,
            thumbprint: Thumbprint(columns.value()?),
        },
        contacts: columns.json()?,
        terms_agreed: columns.value()?,
        status: columns.text(status_of)?,
        external_key: columns.value()?,
        external_binding: columns.value()?,
        created: columns.time()?,
    })
}

fn status_of(text: &str) -> Option<AccountStatus> {
    use AccountStatus as S;
    [S::Valid, S::Deactivated, S::Revoked]
        .into_iter()
        .find(|status| status.as_str() == text)
}
