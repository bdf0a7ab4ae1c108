//! Authorizations and their challenges.

use std::collections::BTreeSet;

use rusqlite::{Connection, Row, params};

use super::fault::Fault;
use super::rows::{Columns, hex_ids, json};
use super::sql::statements;
use crate::ids::{AccountId, AuthorizationId};
use crate::order::{
    Authorization, AuthorizationState, Challenge, ChallengeState, ChallengeType, DnsName, Failure,
};
use crate::time::UnixTime;

macro_rules! columns {
    () => {
        "a.id, a.account, a.endpoint, a.name, a.wildcard, a.created, a.expires, a.state, \
         a.challenges"
    };
}

/// Of an account's valid authorizations for a name, with or without wildcard, the one that lives
/// longest: a name that is proved over and over again must not make the answer longer.
macro_rules! longest_valid {
    ($name:literal, $wildcard:literal) => {
        concat!(
            "(SELECT v.id FROM authorizations v WHERE v.account = ?1 AND v.name = ",
            $name,
            " AND v.wildcard = ",
            $wildcard,
            " AND v.state = 'valid' AND v.expires > ?3 ORDER BY v.expires DESC LIMIT 1)"
        )
    };
}

statements! {
    INSERT = "INSERT INTO authorizations (id, account, endpoint, name, wildcard, created, expires, \
        state, challenges, processing, in_advance) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    BY_ID = concat!("SELECT ", columns!(), " FROM authorizations a WHERE a.id = ?1");
    BY_IDS = concat!(
        "SELECT ", columns!(), " FROM json_each(?1) listed \
         CROSS JOIN authorizations a ON a.id = unhex(listed.value)"
    );
    VALID_OF_NAME = concat!(
        "SELECT ", columns!(), " FROM authorizations a \
         WHERE a.id IN (", longest_valid!("?2", "0"), ", ", longest_valid!("?2", "1"), ")"
    );
    VALID_OF_NAMES = concat!(
        "SELECT ", columns!(), " FROM json_each(?2) names CROSS JOIN authorizations a \
         ON a.id IN (", longest_valid!("names.value", "0"), ", ",
        longest_valid!("names.value", "1"), ")"
    );
    PENDING_IN_ADVANCE = concat!(
        "SELECT ", columns!(), " FROM authorizations a WHERE a.account = ?1 AND a.name = ?2 \
         AND a.endpoint = ?3 AND a.in_advance = 1 AND a.state = 'pending' \
         AND a.expires > ?4 LIMIT 1"
    );
    SET_CHALLENGES = "UPDATE authorizations \
        SET state = ?2, expires = ?3, challenges = ?4, processing = ?5 \
        WHERE id = ?1 AND state = 'pending'";
    DEACTIVATE = "UPDATE authorizations SET state = 'deactivated', processing = 0 \
        WHERE id = ?1 AND state IN ('pending', 'valid')";
    PROCESSING = concat!(
        "SELECT ", columns!(), " FROM authorizations a WHERE a.processing = 1 ORDER BY a.id"
    );
}

pub(super) fn insert(on: &Connection, authorization: &Authorization) -> Result<(), Fault> {
    insert_as(on, authorization, false)
}

/// Unless there is one that is pending, which is the answer then: of two who ask at once, the second
/// gets what the first has made.
pub(super) fn insert_in_advance(
    on: &Connection,
    authorization: &Authorization,
) -> Result<Option<Authorization>, Fault> {
    let params = params![
        authorization.account.as_bytes(),
        authorization.name.as_str(),
        authorization.endpoint.as_str(),
        authorization.created.as_secs(),
    ];
    let there = PENDING_IN_ADVANCE.first(on, params, decode)?;
    if there.is_none() {
        insert_as(on, authorization, true)?;
    }
    Ok(there)
}

fn insert_as(
    on: &Connection,
    authorization: &Authorization,
    in_advance: bool,
) -> Result<(), Fault> {
    INSERT.run(
        on,
        params![
            authorization.id.as_bytes(),
            authorization.account.as_bytes(),
            authorization.endpoint.as_str(),
            authorization.name.as_str(),
            authorization.wildcard,
            authorization.created.as_secs(),
            authorization.expires.as_secs(),
            authorization.state.as_str(),
            json(&authorization.challenges)?,
            is_processing(authorization),
            in_advance,
        ],
    )?;
    Ok(())
}

pub(super) fn by_id(on: &Connection, id: AuthorizationId) -> Result<Option<Authorization>, Fault> {
    BY_ID.first(on, [id.as_bytes()], decode)
}

/// Those that there are, in the order of `ids`.
pub(super) fn by_ids(
    on: &Connection,
    ids: &[AuthorizationId],
) -> Result<Vec<Authorization>, Fault> {
    // Most orders have one name, and taking a list apart costs ten times a look-up.
    if let [id] = ids {
        return Ok(by_id(on, *id)?.into_iter().collect());
    }
    let ids = hex_ids(ids.iter().map(AuthorizationId::as_bytes));
    BY_IDS.all(on, [ids], decode)
}

pub(super) fn valid(
    on: &Connection,
    account: AccountId,
    names: &[DnsName],
    now: UnixTime,
) -> Result<Vec<Authorization>, Fault> {
    if let [name] = names {
        let params = params![account.as_bytes(), name.as_str(), now.as_secs()];
        return VALID_OF_NAME.all(on, params, decode);
    }
    let names: BTreeSet<&str> = names.iter().map(DnsName::as_str).collect();
    let params = params![account.as_bytes(), json(&names)?, now.as_secs()];
    VALID_OF_NAMES.all(on, params, decode)
}

pub(super) fn claim(
    on: &Connection,
    id: AuthorizationId,
    kind: ChallengeType,
) -> Result<bool, Fault> {
    let Some(mut authorization) = by_id(on, id)? else {
        return Ok(false);
    };
    match challenge_mut(&mut authorization, kind) {
        Some(challenge) if challenge.state == ChallengeState::Pending => {
            challenge.state = ChallengeState::Processing;
        }
        _ => return Ok(false),
    }
    set_challenges(on, &authorization)
}

pub(super) fn settle(
    on: &Connection,
    id: AuthorizationId,
    kind: ChallengeType,
    result: &Result<(), Failure>,
    now: UnixTime,
    expires: UnixTime,
) -> Result<Option<Authorization>, Fault> {
    let Some(stored) = by_id(on, id)? else {
        return Ok(None);
    };
    let mut authorization = stored.clone();
    let Some(challenge) = challenge_mut(&mut authorization, kind) else {
        return Ok(Some(stored));
    };
    challenge.state = match result {
        Ok(()) => ChallengeState::Valid { validated: now },
        Err(failure) => ChallengeState::Invalid {
            failure: failure.clone(),
            validated: now,
        },
    };
    // RFC 8555 §7.1.6: one proof suffices, and one failure ends it.
    if result.is_ok() {
        authorization.state = AuthorizationState::Valid;
        authorization.expires = expires;
    } else {
        authorization.state = AuthorizationState::Invalid;
    }
    let settled = set_challenges(on, &authorization)?;
    Ok(Some(if settled { authorization } else { stored }))
}

pub(super) fn deactivate(on: &Connection, id: AuthorizationId) -> Result<bool, Fault> {
    Ok(DEACTIVATE.run(on, [id.as_bytes()])? == 1)
}

pub(super) fn processing(on: &Connection) -> Result<Vec<Authorization>, Fault> {
    PROCESSING.all(on, [], decode)
}

/// Writes what may change. Whether the stored authorization still was pending.
fn set_challenges(on: &Connection, authorization: &Authorization) -> Result<bool, Fault> {
    let changed = SET_CHALLENGES.run(
        on,
        params![
            authorization.id.as_bytes(),
            authorization.state.as_str(),
            authorization.expires.as_secs(),
            json(&authorization.challenges)?,
            is_processing(authorization),
        ],
    )?;
    Ok(changed == 1)
}

fn challenge_mut(authorization: &mut Authorization, kind: ChallengeType) -> Option<&mut Challenge> {
    authorization
        .challenges
        .iter_mut()
        .find(|challenge| challenge.kind == kind)
}

fn is_processing(authorization: &Authorization) -> bool {
    authorization.state == AuthorizationState::Pending
        && authorization
            .challenges
            .iter()
            .any(|challenge| challenge.state == ChallengeState::Processing)
}

fn decode(row: &Row<'_>) -> Result<Authorization, Fault> {
    let mut columns = Columns::of(row);
    Ok(Authorization {
        id: columns.id(AuthorizationId::from_bytes)?,
        account: columns.id(AccountId::from_bytes)?,
        endpoint: columns.parsed()?,
        name: columns.parsed()?,
        wildcard: columns.value()?,
        created: columns.time()?,
        expires: columns.time()?,
        state: columns.text(state_of)?,
        challenges: columns.json()?,
    })
}

fn state_of(text: &str) -> Option<AuthorizationState> {
    use AuthorizationState as S;
    [S::Pending, S::Valid, S::Invalid, S::Deactivated, S::Revoked]
        .into_iter()
        .find(|state| state.as_str() == text)
}
