//! Orders. The verbs of their authorizations are in [`super::authorizations`].

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::SqliteStore;
use super::authorizations;
use super::fault::Fault;
use super::rows::{Columns, hex_ids, ids_from_hex, json, limit};
use super::sql::statements;
use crate::ids::{AccountId, AuthorizationId, CertificateId, EnrollmentId, OrderId};
use crate::order::{Authorization, ChallengeType, DnsName, Failure, Order, OrderStatus, Progress};
use crate::store::{Orders, Result};
use crate::time::UnixTime;

macro_rules! columns {
    () => {
        "id, account, endpoint, identifiers, not_before, not_after, created, expires, \
         authorizations, progress, enrollment, certificate, failure"
    };
}

statements! {
    INSERT = concat!(
        "INSERT INTO orders (", columns!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, \
         ?11, ?12, ?13)"
    );
    BY_ID = concat!("SELECT ", columns!(), " FROM orders WHERE id = ?1");
    OF_ACCOUNT = "SELECT id FROM orders WHERE account = ?1 AND id > ?2 AND listed = 1 \
        ORDER BY id LIMIT ?3";
    LIST = concat!("SELECT ", columns!(), " FROM orders WHERE id > ?1 ORDER BY id LIMIT ?2");
    BEGIN = "UPDATE orders SET progress = 'processing', enrollment = ?2 \
        WHERE id = ?1 AND progress = 'open'";
    COMPLETE = "UPDATE orders SET progress = 'valid', certificate = ?3 \
        WHERE id = ?1 AND progress = 'processing' AND enrollment = ?2";
    UNLIST = "UPDATE orders SET listed = 0 WHERE id = ?1";
    FAIL = "UPDATE orders SET progress = 'invalid', failure = ?3, listed = 0 \
        WHERE id = ?1 AND progress = 'processing' AND enrollment = ?2";
}

#[async_trait]
impl Orders for SqliteStore {
    async fn create_order(&self, order: Order, fresh: Vec<Authorization>) -> Result<()> {
        self.writer
            .write(move |on| {
                for authorization in &fresh {
                    authorizations::insert(on, authorization)?;
                }
                insert(on, &order)
            })
            .await
    }

    async fn order(&self, id: OrderId) -> Result<Option<(Order, Vec<Authorization>)>> {
        self.readers.read_at_once(|on| with_authorizations(on, id))
    }

    async fn orders_of_account(
        &self,
        account: AccountId,
        after: Option<OrderId>,
        most: usize,
    ) -> Result<Vec<OrderId>> {
        self.readers.read(|on| {
            let after = after.as_ref().map_or(&[][..], |id| id.as_bytes());
            OF_ACCOUNT.all(on, params![account.as_bytes(), after, limit(most)], |row| {
                Columns::of(row).id(OrderId::from_bytes)
            })
        })
    }

    async fn orders(&self, after: Option<OrderId>, most: usize) -> Result<Vec<Order>> {
        self.readers.read(|on| {
            let after = after.as_ref().map_or(&[][..], |id| id.as_bytes());
            LIST.all(on, params![after, limit(most)], decode)
        })
    }

    async fn unlist_orders(&self, ids: Vec<OrderId>) -> Result<()> {
        self.writer
            .write(move |on| {
                for id in &ids {
                    UNLIST.run(on, [id.as_bytes()])?;
                }
                Ok(())
            })
            .await
    }

    async fn create_authorization(
        &self,
        authorization: Authorization,
    ) -> Result<Option<Authorization>> {
        self.writer
            .write(move |on| authorizations::insert_in_advance(on, &authorization))
            .await
    }

    async fn authorization(&self, id: AuthorizationId) -> Result<Option<Authorization>> {
        self.readers.read(|on| authorizations::by_id(on, id))
    }

    async fn valid_authorizations(
        &self,
        account: AccountId,
        names: &[DnsName],
        now: UnixTime,
    ) -> Result<Vec<Authorization>> {
        self.readers
            .read(|on| authorizations::valid(on, account, names, now))
    }

    async fn claim_challenge(&self, id: AuthorizationId, kind: ChallengeType) -> Result<bool> {
        self.writer
            .write(move |on| authorizations::claim(on, id, kind))
            .await
    }

    async fn settle_challenge(
        &self,
        id: AuthorizationId,
        kind: ChallengeType,
        result: std::result::Result<(), Failure>,
        now: UnixTime,
        expires: UnixTime,
    ) -> Result<Option<Authorization>> {
        self.writer
            .write(move |on| authorizations::settle(on, id, kind, &result, now, expires))
            .await
    }

    async fn deactivate_authorization(&self, id: AuthorizationId) -> Result<bool> {
        self.writer
            .write(move |on| authorizations::deactivate(on, id))
            .await
    }

    async fn processing_authorizations(&self) -> Result<Vec<Authorization>> {
        self.readers.read(authorizations::processing)
    }
}

/// Moves an order that is ready to processing. Whether it was ready: what an authorization became
/// since the caller looked counts too.
pub(super) fn begin(
    on: &Connection,
    id: OrderId,
    by: EnrollmentId,
    now: UnixTime,
) -> Result<bool, Fault> {
    let is_ready = with_authorizations(on, id)?.is_some_and(|(order, authorizations)| {
        order.status(&authorizations, now) == OrderStatus::Ready
    });
    Ok(is_ready && BEGIN.run(on, params![id.as_bytes(), by.as_bytes()])? == 1)
}

/// Ends an order that waits for `by` well.
pub(super) fn complete(
    on: &Connection,
    id: OrderId,
    by: EnrollmentId,
    certificate: CertificateId,
) -> Result<(), Fault> {
    let params = params![id.as_bytes(), by.as_bytes(), certificate.as_bytes()];
    COMPLETE.run(on, params).map(drop)
}

/// Ends an order that waits for `by` badly.
pub(super) fn fail(
    on: &Connection,
    id: OrderId,
    by: EnrollmentId,
    failure: &Failure,
) -> Result<(), Fault> {
    let params = params![id.as_bytes(), by.as_bytes(), json(failure)?];
    FAIL.run(on, params).map(drop)
}

fn insert(on: &Connection, order: &Order) -> Result<(), Fault> {
    let (progress, enrollment, certificate, failure) = match &order.progress {
        Progress::Open => ("open", None, None, None),
        Progress::Processing { enrollment } => ("processing", Some(enrollment), None, None),
        Progress::Valid {
            enrollment,
            certificate,
        } => ("valid", Some(enrollment), Some(certificate), None),
        Progress::Invalid {
            enrollment,
            failure,
        } => ("invalid", enrollment.as_ref(), None, Some(failure)),
    };
    INSERT.run(
        on,
        params![
            order.id.as_bytes(),
            order.account.as_bytes(),
            order.endpoint.as_str(),
            json(&order.identifiers)?,
            order.not_before.map(UnixTime::as_secs),
            order.not_after.map(UnixTime::as_secs),
            order.created.as_secs(),
            order.expires.as_secs(),
            hex_ids(order.authorizations.iter().map(AuthorizationId::as_bytes)),
            progress,
            enrollment.map(EnrollmentId::as_bytes),
            certificate.map(CertificateId::as_bytes),
            failure.map(json).transpose()?,
        ],
    )?;
    Ok(())
}

fn with_authorizations(
    on: &Connection,
    id: OrderId,
) -> Result<Option<(Order, Vec<Authorization>)>, Fault> {
    let Some(order) = BY_ID.first(on, [id.as_bytes()], decode)? else {
        return Ok(None);
    };
    let authorizations = authorizations::by_ids(on, &order.authorizations)?;
    Ok(Some((order, authorizations)))
}

fn decode(row: &Row<'_>) -> Result<Order, Fault> {
    let mut columns = Columns::of(row);
    Ok(Order {
        id: columns.id(OrderId::from_bytes)?,
        account: columns.id(AccountId::from_bytes)?,
        endpoint: columns.parsed()?,
        identifiers: columns.json()?,
        not_before: columns.optional_time()?,
        not_after: columns.optional_time()?,
        created: columns.time()?,
        expires: columns.time()?,
        authorizations: columns.text(|text| ids_from_hex(text, AuthorizationId::from_bytes))?,
        progress: decode_progress(&mut columns)?,
    })
}

fn decode_progress(columns: &mut Columns<'_, '_>) -> Result<Progress, Fault> {
    let progress: String = columns.value()?;
    let enrollment = columns.optional_id(EnrollmentId::from_bytes)?;
    let certificate = columns.optional_id(CertificateId::from_bytes)?;
    let failure = columns.optional_json()?;
    Ok(
        match (progress.as_str(), enrollment, certificate, failure) {
            ("open", None, None, None) => Progress::Open,
            ("processing", Some(enrollment), None, None) => Progress::Processing { enrollment },
            ("valid", Some(enrollment), Some(certificate), None) => Progress::Valid {
                enrollment,
                certificate,
            },
            ("invalid", enrollment, None, Some(failure)) => Progress::Invalid {
                enrollment,
                failure,
            },
            _ => return Err(Fault::corrupt("an order's progress contradicts itself")),
        },
    )
}
