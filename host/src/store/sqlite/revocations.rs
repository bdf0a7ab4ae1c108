//! The journal of revocations that CAs have not confirmed.

use async_trait::async_trait;
use certdock_plugin_api::RevocationReason;
use rusqlite::{Connection, Row, params};

use super::SqliteStore;
use super::fault::Fault;
use super::rows::{Columns, limit};
use super::sql::{Sql, statements};
use crate::ids::{CertificateId, HandlerName};
use crate::store::{OpenRevocation, Result, RevocationState, Revocations};
use crate::time::UnixTime;

macro_rules! columns {
    () => {
        "certificate, handler, reason, requested_at, request_id, state, attempts, next_attempt, \
         problem"
    };
}

statements! {
    BEGIN = concat!(
        "INSERT INTO revocations (", columns!(), ") \
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM certificates \
         WHERE id = ?1 AND revoked_at IS NULL \
         ON CONFLICT (certificate) DO UPDATE SET reason = ?3, requested_at = ?4, request_id = ?5, \
         state = ?6, attempts = ?7, next_attempt = ?8, problem = ?9 WHERE state = 'refused'"
    );
    OPEN = concat!("SELECT ", columns!(), " FROM revocations WHERE certificate = ?1");
    PUT_OFF = "UPDATE revocations SET state = ?2, attempts = ?3, next_attempt = ?4, problem = ?5 \
        WHERE certificate = ?1";
    END = "DELETE FROM revocations WHERE certificate = ?1";
    DUE = concat!(
        "SELECT ", columns!(), " FROM revocations WHERE handler = ?1 AND state <> 'refused' \
         AND next_attempt <= ?2 ORDER BY next_attempt LIMIT ?3"
    );
    NEXT_DUE =
        "SELECT min(next_attempt) FROM revocations WHERE handler = ?1 AND state <> 'refused'";
    NEXT_HANDLER_OF_ALL =
        "SELECT min(handler) FROM revocations WHERE handler > ?1 AND state <> 'refused'";
}

pub(super) const NEXT_HANDLER: Sql = NEXT_HANDLER_OF_ALL;

#[async_trait]
impl Revocations for SqliteStore {
    async fn begin_revocation(&self, revocation: OpenRevocation) -> Result<bool> {
        self.writer.write(move |on| begin(on, &revocation)).await
    }

    async fn open_revocation(&self, certificate: CertificateId) -> Result<Option<OpenRevocation>> {
        self.readers
            .read(|on| OPEN.first(on, [certificate.as_bytes()], decode))
    }

    async fn put_off_revocation(&self, revocation: OpenRevocation) -> Result<bool> {
        self.writer
            .write(move |on| {
                let params = params![
                    revocation.certificate.as_bytes(),
                    revocation.state.as_str(),
                    revocation.attempts,
                    revocation.next_attempt.as_secs(),
                    revocation.problem,
                ];
                Ok(PUT_OFF.run(on, params)? == 1)
            })
            .await
    }

    async fn withdraw_revocation(&self, certificate: CertificateId) -> Result<bool> {
        self.writer.write(move |on| end(on, certificate)).await
    }

    async fn due_revocations(
        &self,
        handler: &HandlerName,
        now: UnixTime,
        most: usize,
    ) -> Result<Vec<OpenRevocation>> {
        self.readers.read(|on| {
            let params = params![handler.as_str(), now.as_secs(), limit(most)];
            DUE.all(on, params, decode)
        })
    }

    async fn next_due_revocation(&self, handler: &HandlerName) -> Result<Option<UnixTime>> {
        self.readers.read(|on| {
            let time = |row: &Row<'_>| Columns::of(row).optional_time();
            Ok(NEXT_DUE.first(on, [handler.as_str()], time)?.flatten())
        })
    }
}

pub(super) fn begin(on: &Connection, revocation: &OpenRevocation) -> Result<bool, Fault> {
    let params = params![
        revocation.certificate.as_bytes(),
        revocation.handler.as_str(),
        revocation.reason.code(),
        revocation.requested_at.as_secs(),
        revocation.request_id,
        revocation.state.as_str(),
        revocation.attempts,
        revocation.next_attempt.as_secs(),
        revocation.problem,
    ];
    Ok(BEGIN.run(on, params)? == 1)
}

/// What has come about, or will not.
pub(super) fn end(on: &Connection, certificate: CertificateId) -> Result<bool, Fault> {
    Ok(END.run(on, [certificate.as_bytes()])? == 1)
}

fn decode(row: &Row<'_>) -> Result<OpenRevocation, Fault> {
    let mut columns = Columns::of(row);
    Ok(OpenRevocation {
        certificate: columns.id(CertificateId::from_bytes)?,
        handler: columns.parsed()?,
        reason: RevocationReason::from_code(columns.value()?)
            .ok_or_else(|| Fault::corrupt("a reason that RFC 5280 does not know"))?,
        requested_at: columns.time()?,
        request_id: columns.value()?,
        state: columns.text(state_of)?,
        attempts: columns.value()?,
        next_attempt: columns.time()?,
        problem: columns.value()?,
    })
}

fn state_of(text: &str) -> Option<RevocationState> {
    use RevocationState as S;
    [S::Accepted, S::Sent, S::Refused]
        .into_iter()
        .find(|state| state.as_str() == text)
}
