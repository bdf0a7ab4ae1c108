//! No statement may walk a table: nothing that a request does may take longer as history grows.

use rusqlite::StatementStatus;

use super::*;
use crate::store::sqlite::sql::Sql;
use crate::store::sqlite::{
    accounts, authorizations, certificates, enrollments, est_requests, est_users, external_keys,
    orders, revocations, settings, state,
};

/// The scans that are allowed: in (statement, what is scanned).
const SCANS: &[(&str, &str)] = &[
    // The items of a list that was given.
    ("authorizations::BY_IDS", "listed VIRTUAL TABLE"),
    ("authorizations::VALID_OF_NAMES", "names VIRTUAL TABLE"),
    // An index that holds nothing but what is asked for; read once, at start.
    (
        "authorizations::PROCESSING",
        "a USING INDEX authorizations_processing",
    ),
    // Indexes that hold nothing but what is listed.
    (
        "enrollments::UNFINISHED",
        "enrollments USING INDEX enrollments_",
    ),
    // An administrator's listings of what was made by hand.
    ("est_users::LIST", "est_users"),
    ("external_keys::LIST", "external_keys"),
];

const ROOMS: &[(&str, &[(&str, Sql)])] = &[
    ("accounts", accounts::STATEMENTS),
    ("authorizations", authorizations::STATEMENTS),
    ("certificates", certificates::STATEMENTS),
    ("enrollments", enrollments::STATEMENTS),
    ("est_requests", est_requests::STATEMENTS),
    ("est_users", est_users::STATEMENTS),
    ("external_keys", external_keys::STATEMENTS),
    ("orders", orders::STATEMENTS),
    ("revocations", revocations::STATEMENTS),
    ("settings", settings::STATEMENTS),
    ("state", state::STATEMENTS),
];

#[test]
fn no_statement_scans() {
    let store = scratch();
    let mut used = Vec::new();
    let mut count = 0;
    for (room, statements) in ROOMS {
        for (name, sql) in *statements {
            count += 1;
            let name = format!("{room}::{name}");
            for step in plan(&store, sql.text()) {
                assert!(
                    !step.contains("TEMP B-TREE") || name == "certificates::BY_FINGERPRINT",
                    "{name} sorts: {step}"
                );
                let Some(scanned) = step.strip_prefix("SCAN ") else {
                    continue;
                };
                let allowed = SCANS
                    .iter()
                    .find(|(statement, what)| *statement == name && scanned.starts_with(what));
                used.push(allowed.unwrap_or_else(|| panic!("{name} scans {scanned}")));
            }
        }
    }
    assert!(
        count > 30 && count <= super::super::sql::STATEMENT_CACHE,
        "{count}"
    );
    for scan in SCANS {
        assert!(used.contains(&scan), "{scan:?} is no longer needed");
    }
}

/// Compiling costs more than a look-up does.
#[test]
fn nothing_is_compiled_again_for_other_values() {
    let store = scratch();
    let compiled_again = |sql: Sql| {
        store.readers.read(|on| {
            let mut statement = on.prepare(sql.text())?;
            if !statement.readonly() {
                return Ok(0);
            }
            for value in ["[1]", "[2]", "[3]"] {
                for parameter in 1..=statement.parameter_count() {
                    statement.raw_bind_parameter(parameter, value)?;
                }
                let mut rows = statement.raw_query();
                // What does not suit a parameter ends the query; it was compiled before that.
                while let Ok(Some(_)) = rows.next() {}
                drop(rows);
                statement.clear_bindings();
            }
            Ok(statement.get_status(StatementStatus::RePrepare))
        })
    };
    for (room, statements) in ROOMS {
        for (name, sql) in *statements {
            assert_eq!(compiled_again(*sql).unwrap(), 0, "{room}::{name}");
        }
    }
}

fn plan(store: &SqliteStore, sql: &str) -> Vec<String> {
    store
        .readers
        .read(|on| {
            let mut statement = on.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
            let parameters = vec![rusqlite::types::Null; statement.parameter_count()];
            let steps = statement
                .query_map(rusqlite::params_from_iter(parameters), |row| row.get(3))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(steps)
        })
        .unwrap()
}
