//! The journal of enrollments.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::SqliteStore;
use super::fault::Fault;
use super::rows::{Columns, StoredRequester, json, limit, protocol_of, protocol_text};
use super::sql::statements;
use super::{certificates, orders};
use crate::ids::{CertificateId, EnrollmentId, OrderId};
use crate::order::Failure;
use crate::store::{Certificate, Enrollment, EnrollmentState, Enrollments, Result};
use crate::time::UnixTime;

macro_rules! columns {
    () => {
        "id, for_order, handler, profile, protocol, endpoint, requester, csr, identifiers, \
         not_before, not_after, requested_at, request_id, attempts, next_attempt, state, poll_id, \
         certificate, failure"
    };
}

/// As in the index of unfinished enrollments, to the letter: else it is not used.
macro_rules! unfinished {
    () => {
        "state IN ('requested', 'pending')"
    };
}

statements! {
    INSERT = concat!(
        "INSERT INTO enrollments (", columns!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, \
         ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)"
    );
    BY_ID = concat!("SELECT ", columns!(), " FROM enrollments WHERE id = ?1");
    POSTPONE = concat!(
        "UPDATE enrollments SET attempts = ?2, next_attempt = ?3 WHERE id = ?1 AND ", unfinished!()
    );
    PEND = concat!(
        "UPDATE enrollments SET attempts = ?2, next_attempt = ?3, state = 'pending', poll_id = ?4 \
         WHERE id = ?1 AND ", unfinished!()
    );
    COMPLETE = concat!(
        "UPDATE enrollments SET state = 'issued', certificate = ?2, poll_id = NULL \
         WHERE id = ?1 AND ", unfinished!(), " RETURNING for_order"
    );
    FAIL = concat!(
        "UPDATE enrollments SET state = 'failed', failure = ?2, poll_id = NULL \
         WHERE id = ?1 AND ", unfinished!(), " RETURNING for_order"
    );
    DUE = concat!(
        "SELECT ", columns!(), " FROM enrollments \
         WHERE ", unfinished!(), " AND next_attempt <= ?1 ORDER BY next_attempt LIMIT ?2"
    );
    NEXT_DUE = concat!("SELECT min(next_attempt) FROM enrollments WHERE ", unfinished!());
}

#[async_trait]
impl Enrollments for SqliteStore {
    async fn begin_enrollment(&self, enrollment: Enrollment) -> Result<bool> {
        self.writer
            .write(move |on| {
                if let Some(order) = enrollment.order
                    && !orders::begin(on, order, enrollment.id, enrollment.requested_at)?
                {
                    return Ok(false);
                }
                insert(on, &enrollment)?;
                Ok(true)
            })
            .await
    }

    async fn enrollment(&self, id: EnrollmentId) -> Result<Option<Enrollment>> {
        self.readers
            .read(|on| BY_ID.first(on, [id.as_bytes()], decode))
    }

    async fn postpone_enrollment(
        &self,
        id: EnrollmentId,
        attempts: u32,
        next: UnixTime,
    ) -> Result<bool> {
        self.writer
            .write(move |on| {
                let params = params![id.as_bytes(), attempts, next.as_secs()];
                Ok(POSTPONE.run(on, params)? == 1)
            })
            .await
    }

    async fn pend_enrollment(
        &self,
        id: EnrollmentId,
        poll_id: String,
        attempts: u32,
        next: UnixTime,
    ) -> Result<bool> {
        self.writer
            .write(move |on| {
                let params = params![id.as_bytes(), attempts, next.as_secs(), poll_id];
                Ok(PEND.run(on, params)? == 1)
            })
            .await
    }

    async fn complete_enrollment(
        &self,
        id: EnrollmentId,
        certificate: Certificate,
    ) -> Result<bool> {
        self.writer
            .write(move |on| complete(on, id, &certificate))
            .await
    }

    async fn fail_enrollment(
        &self,
        id: EnrollmentId,
        failure: Failure,
        withheld: Option<Certificate>,
    ) -> Result<bool> {
        self.writer
            .write(move |on| fail(on, id, &failure, withheld.as_ref()))
            .await
    }

    async fn due_enrollments(&self, now: UnixTime, most: usize) -> Result<Vec<Enrollment>> {
        self.readers
            .read(|on| DUE.all(on, params![now.as_secs(), limit(most)], decode))
    }

    async fn next_due(&self) -> Result<Option<UnixTime>> {
        self.readers.read(|on| {
            let due = NEXT_DUE.first(on, [], |row| Columns::of(row).optional_time())?;
            Ok(due.flatten())
        })
    }
}

fn complete(on: &Connection, id: EnrollmentId, certificate: &Certificate) -> Result<bool, Fault> {
    let params = params![id.as_bytes(), certificate.id.as_bytes()];
    let Some(order) = COMPLETE.first(on, params, for_order)? else {
        return Ok(false);
    };
    certificates::insert(on, certificate)?;
    if let Some(order) = order {
        orders::complete(on, order, id, certificate.id)?;
    }
    Ok(true)
}

fn fail(
    on: &Connection,
    id: EnrollmentId,
    failure: &Failure,
    withheld: Option<&Certificate>,
) -> Result<bool, Fault> {
    let params = params![id.as_bytes(), json(failure)?];
    let Some(order) = FAIL.first(on, params, for_order)? else {
        return Ok(false);
    };
    if let Some(certificate) = withheld {
        certificates::insert(on, certificate)?;
    }
    if let Some(order) = order {
        orders::fail(on, order, id, failure)?;
    }
    Ok(true)
}

fn for_order(row: &Row<'_>) -> Result<Option<OrderId>, Fault> {
    Columns::of(row).optional_id(OrderId::from_bytes)
}

pub(super) fn insert(on: &Connection, enrollment: &Enrollment) -> Result<(), Fault> {
    let (state, poll_id, certificate, failure) = match &enrollment.state {
        EnrollmentState::Requested => ("requested", None, None, None),
        EnrollmentState::Pending { poll_id } => ("pending", Some(poll_id), None, None),
        EnrollmentState::Issued { certificate } => ("issued", None, Some(certificate), None),
        EnrollmentState::Failed { failure } => ("failed", None, None, Some(failure)),
    };
    INSERT.run(
        on,
        params![
            enrollment.id.as_bytes(),
            enrollment.order.as_ref().map(OrderId::as_bytes),
            enrollment.handler.as_str(),
            enrollment.profile,
            protocol_text(enrollment.protocol)?,
            enrollment.endpoint.as_str(),
            json(&StoredRequester::try_from(enrollment.requester.clone())?)?,
            enrollment.csr,
            json(&enrollment.identifiers)?,
            enrollment.not_before.map(UnixTime::as_secs),
            enrollment.not_after.map(UnixTime::as_secs),
            enrollment.requested_at.as_secs(),
            enrollment.request_id,
            enrollment.attempts,
            enrollment.next_attempt.as_secs(),
            state,
            poll_id,
            certificate.map(CertificateId::as_bytes),
            failure.map(json).transpose()?,
        ],
    )?;
    Ok(())
}

fn decode(row: &Row<'_>) -> Result<Enrollment, Fault> {
    let mut columns = Columns::of(row);
    Ok(Enrollment {
        id: columns.id(EnrollmentId::from_bytes)?,
        order: columns.optional_id(OrderId::from_bytes)?,
        handler: columns.parsed()?,
        profile: columns.value()?,
        protocol: columns.text(protocol_of)?,
        endpoint: columns.parsed()?,
        requester: columns.json::<StoredRequester>()?.into(),
        csr: columns.value()?,
        identifiers: columns.json()?,
        not_before: columns.optional_time()?,
        not_after: columns.optional_time()?,
        requested_at: columns.time()?,
        request_id: columns.value()?,
        attempts: columns.value()?,
        next_attempt: columns.time()?,
        state: decode_state(&mut columns)?,
    })
}

fn decode_state(columns: &mut Columns<'_, '_>) -> Result<EnrollmentState, Fault> {
    let state: String = columns.value()?;
    let poll_id = columns.value()?;
    let certificate = columns.optional_id(CertificateId::from_bytes)?;
    let failure = columns.optional_json()?;
    Ok(match (state.as_str(), poll_id, certificate, failure) {
        ("requested", None, None, None) => EnrollmentState::Requested,
        ("pending", Some(poll_id), None, None) => EnrollmentState::Pending { poll_id },
        ("issued", None, Some(certificate), None) => EnrollmentState::Issued { certificate },
        ("failed", None, None, Some(failure)) => EnrollmentState::Failed { failure },
        _ => return Err(Fault::corrupt("an enrollment's state contradicts itself")),
    })
}
