//! The journal of enrollments.

use std::collections::BTreeSet;

use async_trait::async_trait;
use certdock_plugin_api::Chain;
use rusqlite::{Connection, Row, params};

use super::SqliteStore;
use super::fault::Fault;
use super::rows::{
    Columns, StoredRequester, json, limit, pack_chains, protocol_of, protocol_text, unpack_chains,
};
use super::sql::{Sql, statements};
use super::{certificates, est_requests, est_users, orders, revocations};
use crate::ids::{CertificateId, EnrollmentId, HandlerName, OrderId};
use crate::order::Failure;
use crate::store::{
    Certificate, Enrollment, EnrollmentState, Enrollments, EstRequest, Pause, Result, Waiting,
};
use crate::time::UnixTime;

macro_rules! columns {
    () => {
        "id, for_order, handler, profile, protocol, endpoint, requester, csr, identifiers, \
         not_before, not_after, requested_at, request_id, key_hash, attempts, next_attempt, since, \
         reason, doubtful, state, situation, poll_id, received, certificate, failure"
    };
}

// As in the indexes, to the letter: else they are not used.

macro_rules! unfinished {
    () => {
        "state IN ('requested', 'pending')"
    };
}

macro_rules! to_be_asked {
    () => {
        "state = 'requested' AND situation <> 'held'"
    };
}

macro_rules! found_by_key {
    () => {
        "(state = 'pending' OR doubtful = 1)"
    };
}

statements! {
    INSERT = concat!(
        "INSERT INTO enrollments (", columns!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, \
         ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25)"
    );
    BY_ID = concat!("SELECT ", columns!(), " FROM enrollments WHERE id = ?1");
    UNFINISHED = concat!(
        "SELECT ", columns!(), " FROM enrollments WHERE id > ?1 AND id IN (\
         SELECT id FROM enrollments INDEXED BY enrollments_requested WHERE ", to_be_asked!(), " \
         UNION ALL SELECT id FROM enrollments INDEXED BY enrollments_held \
         WHERE state = 'requested' AND situation = 'held' \
         UNION ALL SELECT id FROM enrollments INDEXED BY enrollments_pending \
         WHERE state = 'pending') ORDER BY id LIMIT ?2"
    );
    ASK = "UPDATE enrollments SET situation = 'asked', next_attempt = ?2 \
        WHERE id = ?1 AND state = 'requested' AND situation = 'deferred'";
    PUT_OFF = concat!(
        "UPDATE enrollments SET state = ?2, situation = ?3, poll_id = ?4, received = ?5, \
         attempts = ?6, next_attempt = ?7, since = ?8, reason = ?9, doubtful = ?10 \
         WHERE id = ?1 AND ", unfinished!()
    );
    COMPLETE = concat!(
        "UPDATE enrollments SET state = 'issued', certificate = ?2, poll_id = NULL, \
         received = NULL WHERE id = ?1 AND ", unfinished!(), " RETURNING for_order"
    );
    FAIL = concat!(
        "UPDATE enrollments SET state = 'failed', failure = ?2, poll_id = NULL, received = NULL \
         WHERE id = ?1 AND ", unfinished!(), " RETURNING for_order"
    );
    DUE_TO_BE_ASKED = concat!(
        "SELECT ", columns!(), " FROM enrollments WHERE handler = ?1 AND ", to_be_asked!(),
        " AND next_attempt <= ?2 ORDER BY next_attempt LIMIT ?3"
    );
    DUE_PENDING = concat!(
        "SELECT ", columns!(), " FROM enrollments WHERE handler = ?1 AND state = 'pending' \
         AND next_attempt <= ?2 ORDER BY next_attempt LIMIT ?3"
    );
    NEXT_TO_BE_ASKED = concat!(
        "SELECT min(next_attempt) FROM enrollments WHERE handler = ?1 AND ", to_be_asked!()
    );
    NEXT_PENDING =
        "SELECT min(next_attempt) FROM enrollments WHERE handler = ?1 AND state = 'pending'";
    TAKE_UP_CUT_OFF = concat!(
        "UPDATE enrollments SET next_attempt = ?2 WHERE handler = ?1 AND ", to_be_asked!(),
        " AND situation = 'asked' AND next_attempt > ?2"
    );
    NEXT_HANDLER_TO_BE_ASKED = concat!(
        "SELECT min(handler) FROM enrollments WHERE handler > ?1 AND ", to_be_asked!()
    );
    NEXT_HANDLER_PENDING =
        "SELECT min(handler) FROM enrollments WHERE handler > ?1 AND state = 'pending'";
    BY_POLL_ID = concat!(
        "SELECT ", columns!(), " FROM enrollments \
         WHERE handler = ?1 AND poll_id = ?2 AND state = 'pending' LIMIT ?3"
    );
    BY_KEY = concat!(
        "SELECT ", columns!(), " FROM enrollments \
         WHERE handler = ?1 AND key_hash = ?2 AND ", found_by_key!(), " LIMIT ?3"
    );
}

#[async_trait]
impl Enrollments for SqliteStore {
    async fn begin_enrollment(&self, enrollment: Enrollment) -> Result<bool> {
        self.writer
            .write(move |on| begin(on, &enrollment, None))
            .await
    }

    async fn record_issued(
        &self,
        mut enrollment: Enrollment,
        request: Option<EstRequest>,
        certificate: Certificate,
    ) -> Result<bool> {
        enrollment.state = EnrollmentState::Issued {
            certificate: certificate.id,
        };
        self.writer
            .write(move |on| {
                let begun = match &request {
                    Some(request) => est_requests::begin(on, &enrollment, request)?,
                    None => begin(on, &enrollment, None)?,
                };
                if !begun {
                    return Ok(false);
                }
                certificates::insert(on, &certificate)?;
                if let Some(order) = enrollment.order {
                    orders::complete(on, order, enrollment.id, certificate.id)?;
                }
                Ok(true)
            })
            .await
    }

    async fn enrollment(&self, id: EnrollmentId) -> Result<Option<Enrollment>> {
        self.readers
            .read(|on| BY_ID.first(on, [id.as_bytes()], decode))
    }

    async fn unfinished_enrollments(
        &self,
        after: Option<EnrollmentId>,
        most: usize,
    ) -> Result<Vec<Enrollment>> {
        self.readers.read(|on| {
            let after = after.as_ref().map_or(&[][..], |id| id.as_bytes());
            UNFINISHED.all(on, params![after, limit(most)], decode)
        })
    }

    async fn ask_enrollment(&self, id: EnrollmentId, deadline: UnixTime) -> Result<bool> {
        self.writer
            .write(move |on| Ok(ASK.run(on, params![id.as_bytes(), deadline.as_secs()])? == 1))
            .await
    }

    async fn put_off_enrollment(&self, id: EnrollmentId, pause: Pause) -> Result<bool> {
        self.writer
            .write(move |on| {
                let stored = StoredState::of(&pause.state)?;
                let params = params![
                    id.as_bytes(),
                    stored.state,
                    stored.situation,
                    stored.poll_id,
                    stored.received,
                    pause.attempts,
                    pause.next_attempt.as_secs(),
                    pause.waiting.since.as_secs(),
                    pause.waiting.reason,
                    pause.doubtful,
                ];
                Ok(PUT_OFF.run(on, params)? == 1)
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

    async fn due_enrollments(
        &self,
        handler: &HandlerName,
        now: UnixTime,
        most: usize,
    ) -> Result<Vec<Enrollment>> {
        self.readers.read(|on| {
            let params = params![handler.as_str(), now.as_secs(), limit(most)];
            let mut due = DUE_TO_BE_ASKED.all(on, params, decode)?;
            due.extend(DUE_PENDING.all(on, params, decode)?);
            due.sort_by_key(|enrollment| enrollment.next_attempt);
            due.truncate(most);
            Ok(due)
        })
    }

    async fn next_due(&self, handler: &HandlerName) -> Result<Option<UnixTime>> {
        self.readers.read(|on| {
            let next = |sql: Sql| {
                let time = |row: &Row<'_>| Columns::of(row).optional_time();
                Ok::<_, Fault>(sql.first(on, [handler.as_str()], time)?.flatten())
            };
            let (asked, pending) = (next(NEXT_TO_BE_ASKED)?, next(NEXT_PENDING)?);
            Ok(asked.into_iter().chain(pending).min())
        })
    }

    async fn take_up_cut_off(&self, handler: &HandlerName, now: UnixTime) -> Result<usize> {
        let handler = handler.clone();
        self.writer
            .write(move |on| TAKE_UP_CUT_OFF.run(on, params![handler.as_str(), now.as_secs()]))
            .await
    }

    async fn handlers_with_work(&self) -> Result<Vec<HandlerName>> {
        self.readers.read(|on| {
            let mut found = BTreeSet::new();
            for sql in [
                NEXT_HANDLER_TO_BE_ASKED,
                NEXT_HANDLER_PENDING,
                revocations::NEXT_HANDLER,
            ] {
                // From name to name: a step each, however many rows a handler has.
                let mut after = String::new();
                let name = |row: &Row<'_>| Columns::of(row).value::<Option<String>>();
                while let Some(next) = sql.first(on, [&after], name)?.flatten() {
                    let parsed = next.parse::<HandlerName>();
                    found.insert(parsed.map_err(|_| Fault::corrupt("no name of a handler"))?);
                    after = next;
                }
            }
            Ok(found.into_iter().collect())
        })
    }

    async fn enrollments_by_poll_id(
        &self,
        handler: &HandlerName,
        poll_id: &str,
        most: usize,
    ) -> Result<Vec<Enrollment>> {
        self.readers
            .read(|on| BY_POLL_ID.all(on, params![handler.as_str(), poll_id, limit(most)], decode))
    }

    async fn enrollments_by_key(
        &self,
        handler: &HandlerName,
        key_hash: &[u8; 32],
        most: usize,
    ) -> Result<Vec<Enrollment>> {
        self.readers
            .read(|on| BY_KEY.all(on, params![handler.as_str(), key_hash, limit(most)], decode))
    }
}

/// Whether the order and the EST user allow it, by now.
pub(super) fn begin(
    on: &Connection,
    enrollment: &Enrollment,
    replaces: Option<EnrollmentId>,
) -> Result<bool, Fault> {
    if let Some(order) = enrollment.order
        && !orders::begin(on, order, enrollment.id, enrollment.requested_at)?
    {
        return Ok(false);
    }
    if !est_users::begin(on, enrollment, replaces)? {
        return Ok(false);
    }
    insert(on, enrollment)?;
    Ok(true)
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

fn insert(on: &Connection, enrollment: &Enrollment) -> Result<(), Fault> {
    let stored = StoredState::of(&enrollment.state)?;
    let waiting = enrollment.waiting.as_ref();
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
            enrollment.key_hash,
            enrollment.attempts,
            enrollment.next_attempt.as_secs(),
            waiting.map(|waiting| waiting.since.as_secs()),
            waiting.map(|waiting| &waiting.reason),
            enrollment.doubtful,
            stored.state,
            stored.situation,
            stored.poll_id,
            stored.received,
            stored.certificate.map(CertificateId::as_bytes),
            stored.failure.map(json).transpose()?,
        ],
    )?;
    Ok(())
}

/// [`EnrollmentState`] in columns.
struct StoredState<'a> {
    state: &'static str,
    situation: &'static str,
    poll_id: Option<&'a str>,
    received: Option<Vec<u8>>,
    certificate: Option<&'a CertificateId>,
    failure: Option<&'a Failure>,
}

impl<'a> StoredState<'a> {
    fn of(state: &'a EnrollmentState) -> Result<Self, Fault> {
        let bare = |state, situation| Self {
            state,
            situation,
            poll_id: None,
            received: None,
            certificate: None,
            failure: None,
        };
        Ok(match state {
            EnrollmentState::Requested => bare("requested", "asked"),
            EnrollmentState::Deferred => bare("requested", "deferred"),
            EnrollmentState::Held => bare("requested", "held"),
            EnrollmentState::Received { chain } => {
                let chains = std::iter::once(&chain.certificates).chain(&chain.alternates);
                Self {
                    received: Some(pack_chains(chains)?),
                    ..bare("requested", "received")
                }
            }
            EnrollmentState::Pending { poll_id } => Self {
                poll_id: Some(poll_id),
                ..bare("pending", "asked")
            },
            EnrollmentState::Issued { certificate } => Self {
                certificate: Some(certificate),
                ..bare("issued", "asked")
            },
            EnrollmentState::Failed { failure } => Self {
                failure: Some(failure),
                ..bare("failed", "asked")
            },
        })
    }
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
        // Nothing is found by the key of what the first schema stored.
        key_hash: columns.value::<Option<_>>()?.unwrap_or_default(),
        attempts: columns.value()?,
        next_attempt: columns.time()?,
        waiting: decode_waiting(&mut columns)?,
        doubtful: columns.value()?,
        state: decode_state(&mut columns)?,
    })
}

fn decode_waiting(columns: &mut Columns<'_, '_>) -> Result<Option<Waiting>, Fault> {
    let (since, reason) = (columns.optional_time()?, columns.value()?);
    let waiting = |(since, reason)| Waiting { since, reason };
    Ok(since.zip(reason).map(waiting))
}

fn decode_state(columns: &mut Columns<'_, '_>) -> Result<EnrollmentState, Fault> {
    use EnrollmentState as S;
    let (state, situation): (String, String) = (columns.value()?, columns.value()?);
    let poll_id = columns.value::<Option<String>>()?;
    let received = columns.value::<Option<Vec<u8>>>()?;
    let certificate = columns.optional_id(CertificateId::from_bytes)?;
    let failure = columns.optional_json()?;
    let found = match (state.as_str(), situation.as_str()) {
        ("requested", "asked") => Some(S::Requested),
        ("requested", "deferred") => Some(S::Deferred),
        ("requested", "held") => Some(S::Held),
        ("requested", "received") => {
            let chains = received.and_then(|packed| unpack_chains(&packed));
            chains.and_then(|chains| {
                let mut chains = chains.into_iter();
                let certificates = chains.next()?;
                let alternates = chains.collect();
                Some(S::Received {
                    chain: Chain {
                        certificates,
                        alternates,
                    },
                })
            })
        }
        ("pending", _) => poll_id.map(|poll_id| S::Pending { poll_id }),
        ("issued", _) => certificate.map(|certificate| S::Issued { certificate }),
        ("failed", _) => failure.map(|failure| S::Failed { failure }),
        _ => None,
    };
    found.ok_or_else(|| Fault::corrupt("an enrollment's state contradicts itself"))
}
