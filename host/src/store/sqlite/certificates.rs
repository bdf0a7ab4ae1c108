//! Certificates, each with its issuers. Equal sets of issuers are stored once.

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use certdock_plugin_api::RevocationReason;
use rusqlite::{Connection, Row, params};

use super::SqliteStore;
use super::fault::Fault;
use super::revocations;
use super::rows::{Columns, json, limit, pack_chains, unpack_chains};
use super::sql::statements;
use crate::ids::{AccountId, CertificateId, EnrollmentId};
use crate::store::{Certificate, Certificates, OpenRevocation, Result, Revocation};
use crate::time::UnixTime;

macro_rules! select {
    () => {
        "SELECT c.id, c.enrollment, c.account, c.endpoint, c.handler, c.serial, c.fingerprint, \
         c.names, c.not_before, c.not_after, c.issued_at, c.der, chains.chains, c.revoked_at, \
         c.revocation_reason, c.withheld \
         FROM certificates c JOIN chains ON chains.hash = c.chain "
    };
}

statements! {
    INSERT_CHAINS = "INSERT INTO chains (hash, chains) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    INSERT = "INSERT INTO certificates (id, enrollment, account, endpoint, handler, serial, \
        fingerprint, names, not_before, not_after, issued_at, der, chain, revoked_at, \
        revocation_reason, withheld) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
    BY_ID = concat!(select!(), "WHERE c.id = ?1");
    // If a handler gave it out twice, the one that was delivered, and of these the first.
    BY_FINGERPRINT = concat!(
        select!(), "WHERE substr(c.fingerprint, 1, 8) = substr(?1, 1, 8) AND c.fingerprint = ?1 \
        ORDER BY c.withheld, c.id LIMIT 1"
    );
    // Revoked is the certificate, however often it was handed out.
    MARK_REVOKED = "UPDATE certificates SET revoked_at = ?2, revocation_reason = ?3 \
        WHERE substr(fingerprint, 1, 8) = \
            (SELECT substr(fingerprint, 1, 8) FROM certificates WHERE id = ?1) \
        AND fingerprint = (SELECT fingerprint FROM certificates WHERE id = ?1) \
        AND revoked_at IS NULL";
    LIST = concat!(select!(), "WHERE c.id > ?1 ORDER BY c.id LIMIT ?2");
}

#[async_trait]
impl Certificates for SqliteStore {
    async fn certificate(&self, id: CertificateId) -> Result<Option<Certificate>> {
        self.readers
            .read(|on| BY_ID.first(on, [id.as_bytes()], decode))
    }

    async fn certificate_by_fingerprint(
        &self,
        fingerprint: &[u8; 32],
    ) -> Result<Option<Certificate>> {
        self.readers
            .read(|on| BY_FINGERPRINT.first(on, [fingerprint], decode))
    }

    async fn keep_surplus(
        &self,
        certificate: Certificate,
        revocation: OpenRevocation,
    ) -> Result<bool> {
        self.writer
            .write(move |on| {
                let known = BY_FINGERPRINT.first(on, [certificate.fingerprint], |_| Ok(()))?;
                if known.is_some() {
                    return Ok(false);
                }
                insert(on, &certificate)?;
                revocations::begin(on, &revocation)
            })
            .await
    }

    async fn mark_revoked(
        &self,
        id: CertificateId,
        reason: RevocationReason,
        at: UnixTime,
    ) -> Result<bool> {
        self.writer
            .write(move |on| {
                let params = params![id.as_bytes(), at.as_secs(), reason.code()];
                let marked = MARK_REVOKED.run(on, params)? > 0;
                revocations::end(on, id)?;
                Ok(marked)
            })
            .await
    }

    async fn certificates(
        &self,
        after: Option<CertificateId>,
        most: usize,
    ) -> Result<Vec<Certificate>> {
        self.readers.read(|on| {
            let after = after.as_ref().map_or(&[][..], |id| id.as_bytes());
            LIST.all(on, params![after, limit(most)], decode)
        })
    }
}

pub(super) fn insert(on: &Connection, certificate: &Certificate) -> Result<(), Fault> {
    let chains = std::iter::once(&certificate.issuers).chain(&certificate.alternates);
    let chains = pack_chains(chains)?;
    let hash = digest(&SHA256, &chains);
    INSERT_CHAINS.run(on, params![hash.as_ref(), chains])?;
    INSERT.run(
        on,
        params![
            certificate.id.as_bytes(),
            certificate.enrollment.as_bytes(),
            certificate.account.as_ref().map(AccountId::as_bytes),
            certificate.endpoint.as_str(),
            certificate.handler.as_str(),
            certificate.serial,
            certificate.fingerprint,
            json(&certificate.names)?,
            certificate.not_before.as_secs(),
            certificate.not_after.as_secs(),
            certificate.issued_at.as_secs(),
            certificate.der,
            hash.as_ref(),
            certificate
                .revocation
                .map(|revocation| revocation.at.as_secs()),
            certificate
                .revocation
                .map(|revocation| revocation.reason.code()),
            certificate.withheld,
        ],
    )?;
    Ok(())
}

fn decode(row: &Row<'_>) -> Result<Certificate, Fault> {
    let mut columns = Columns::of(row);
    let mut certificate = Certificate {
        id: columns.id(CertificateId::from_bytes)?,
        enrollment: columns.id(EnrollmentId::from_bytes)?,
        account: columns.optional_id(AccountId::from_bytes)?,
        endpoint: columns.parsed()?,
        handler: columns.parsed()?,
        serial: columns.value()?,
        fingerprint: columns.value()?,
        names: columns.json()?,
        not_before: columns.time()?,
        not_after: columns.time()?,
        issued_at: columns.time()?,
        der: columns.value()?,
        issuers: Vec::new(),
        alternates: columns.blob(unpack_chains)?,
        revocation: None,
        withheld: false,
    };
    if !certificate.alternates.is_empty() {
        certificate.issuers = certificate.alternates.remove(0);
    }
    certificate.revocation = decode_revocation(&mut columns)?;
    certificate.withheld = columns.value()?;
    Ok(certificate)
}

fn decode_revocation(columns: &mut Columns<'_, '_>) -> Result<Option<Revocation>, Fault> {
    let at = columns.optional_time()?;
    let code = columns.value::<Option<u8>>()?;
    match (at, code.map(RevocationReason::from_code)) {
        (None, None) => Ok(None),
        (Some(at), Some(Some(reason))) => Ok(Some(Revocation { at, reason })),
        _ => Err(Fault::corrupt("a revocation contradicts itself")),
    }
}
