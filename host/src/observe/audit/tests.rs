//! Each act writes one row, with the ids it is about.

use certdock_plugin_api::Protocol;

use super::*;
use crate::ids::{AuthorizationId, EnrollmentId};
use crate::observe::captured::{Captured, subscribe};
use crate::order::{AuthorizationState, FailureKind};
use crate::store::EnrollmentState;
use crate::time::UnixTime;

/// The rows that `acts` writes, as JSON.
fn rows(acts: impl FnOnce()) -> Vec<serde_json::Value> {
    let written = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_writer(written.writer())
        .finish();
    let guard = subscribe(subscriber);
    acts();
    drop(guard);
    let lines = written.text();
    let parse = |line| serde_json::from_str(line).unwrap();
    lines.lines().map(parse).collect()
}

fn enrollment() -> Enrollment {
    Enrollment {
        id: EnrollmentId::from_bytes([1; 16]),
        order: None,
        handler: "local".parse().unwrap(),
        profile: None,
        protocol: Protocol::Acme,
        endpoint: "default".parse().unwrap(),
        requester: Requester::AcmeAccount {
            account: "alice".to_owned(),
            eab_key_id: None,
        },
        csr: b"secret bytes".to_vec(),
        identifiers: Vec::new(),
        not_before: None,
        not_after: None,
        requested_at: UnixTime::from_secs(0),
        request_id: "r1".to_owned(),
        key_hash: [0; 32],
        attempts: 0,
        next_attempt: UnixTime::from_secs(0),
        state: EnrollmentState::Requested,
        waiting: None,
        doubtful: false,
    }
}

fn certificate() -> Certificate {
    Certificate {
        id: CertificateId::from_bytes([2; 16]),
        enrollment: EnrollmentId::from_bytes([1; 16]),
        account: None,
        endpoint: "default".parse().unwrap(),
        handler: "local".parse().unwrap(),
        serial: vec![0x0a, 0xff],
        fingerprint: [0; 32],
        names: vec!["a.example".to_owned()],
        not_before: UnixTime::from_secs(0),
        not_after: UnixTime::from_secs(0),
        issued_at: UnixTime::from_secs(0),
        der: b"secret bytes".to_vec(),
        issuers: Vec::new(),
        alternates: Vec::new(),
        revocation: None,
        withheld: true,
    }
}

fn authorization() -> Authorization {
    Authorization {
        id: AuthorizationId::from_bytes([3; 16]),
        account: AccountId::from_bytes([4; 16]),
        endpoint: "default".parse().unwrap(),
        name: "a.example".parse().unwrap(),
        wildcard: true,
        created: UnixTime::from_secs(0),
        expires: UnixTime::from_secs(0),
        state: AuthorizationState::Valid,
        challenges: Vec::new(),
    }
}

#[test]
fn a_rollback_names_handler_and_file() {
    let rows = rows(|| plugin_exchanged(&"local".parse().unwrap(), 3, "5e"));
    assert_eq!(rows.len(), 1);
    for (name, value) in [
        ("act", "plugin-exchanged"),
        ("handler", "local"),
        ("by", "operator"),
    ] {
        assert_eq!(rows[0][name], value);
    }
    assert_eq!(
        (&rows[0]["generation"], &rows[0]["sha256"]),
        (&3.into(), &"5e".into())
    );
}

#[test]
fn every_act_writes_its_row() {
    let account = AccountId::from_bytes([4; 16]);
    let endpoint: EndpointName = "default".parse().unwrap();
    let failure = Failure::new(FailureKind::Dns, "no such name");
    let rows = rows(|| {
        account_created(account, &endpoint, Some("key-1"), "r1");
        account_updated(account, &endpoint, "r1");
        account_deactivated(account, &endpoint, By::Request("r1"));
        account_deactivated(account, &endpoint, By::Operator);
        account_key_changed(account, &endpoint, "r1");
        authorization_settled(&authorization(), ChallengeType::Dns01, Ok(()), "r1");
        authorization_settled(&authorization(), ChallengeType::Dns01, Err(&failure), "r1");
        authorization_deactivated(&authorization(), "r1");
        enrollment_refused(&endpoint, &"local".parse().unwrap(), "weak key", "r1");
        enrollment_failed(&enrollment(), &failure);
        certificate_issued(&enrollment(), certificate().id, &[0x0a, 0xff]);
        certificate_withheld(&enrollment(), Some(&certificate()), &"wrong key");
        enrollment_held(&enrollment(), &Fault::unknown_outcome("cut off"));
        enrollment_repeated(&enrollment(), &Fault::unknown_outcome("cut off"));
        enrollment_retried(&enrollment());
        enrollment_cancelled(&enrollment());
        certificate_surplus(&enrollment(), &certificate(), Some(&certificate()));
        revocation_accepted(&certificate(), RevocationReason::Superseded, "r1");
        revocation_refused(&certificate(), &Fault::denied("not ours"));
        certificate_revoked(&certificate(), RevocationReason::Superseded, "r1");
        external_key_added(&endpoint, "key-1");
        external_key_revoked(&endpoint, "key-1");
    });
    let expect: &[(&str, &[(&str, &str)])] = &[
        ("account-created", &[("external_key", "key-1")]),
        ("account-updated", &[("account", "BAQEBAQEBAQEBAQEBAQEBA")]),
        (
            "account-deactivated",
            &[("by", "client"), ("request_id", "r1")],
        ),
        ("account-deactivated", &[("by", "operator")]),
        ("account-key-changed", &[]),
        (
            "authorization-settled",
            &[
                ("outcome", "valid"),
                ("identifier", "*.a.example"),
                ("challenge", "dns-01"),
            ],
        ),
        (
            "authorization-settled",
            &[("outcome", "invalid"), ("reason", "no such name")],
        ),
        ("authorization-deactivated", &[]),
        ("enrollment-refused", &[("reason", "weak key")]),
        (
            "enrollment-failed",
            &[("reason", "no such name"), ("handler", "local")],
        ),
        (
            "certificate-issued",
            &[
                ("serial", "0aff"),
                ("requester", "account alice"),
                ("request_id", "r1"),
            ],
        ),
        (
            "certificate-withheld",
            &[("serial", "0aff"), ("reason", "wrong key")],
        ),
        (
            "enrollment-held",
            &[("reason", "unknown-outcome: cut off"), ("request_id", "r1")],
        ),
        ("enrollment-repeated", &[("handler", "local")]),
        ("enrollment-retried", &[("by", "operator")]),
        ("enrollment-cancelled", &[("by", "operator")]),
        (
            "certificate-surplus",
            &[("serial", "0aff"), ("delivered_serial", "0aff")],
        ),
        ("revocation-accepted", &[("serial", "0aff")]),
        ("revocation-refused", &[("reason", "denied: not ours")]),
        ("certificate-revoked", &[("serial", "0aff")]),
        (
            "external-key-added",
            &[("key", "key-1"), ("by", "operator")],
        ),
        ("external-key-revoked", &[("key", "key-1")]),
    ];
    assert_eq!(rows.len(), expect.len());
    for (row, (act, fields)) in rows.iter().zip(expect) {
        assert_eq!(row["target"], "audit");
        assert_eq!(row["act"], *act);
        assert!(row["endpoint"] == "default", "{row}");
        for (name, value) in *fields {
            assert_eq!(row[name], *value, "{row}");
        }
        assert!(!row.to_string().contains("secret"), "{row}");
    }
}
