//! Revocations and the list of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use certdock_openssl_local::OpensslLocal;
use certdock_plugin_api::{CaHandler, FaultClass, RevocationReason, RevokeRequest};
use der::Decode;
use openssl::x509::X509;
use x509_cert::crl::CertificateList;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, CrlNumber, CrlReason};

use crate::support::{DAY, NOW, World, at, leaf, request};

fn revoke(
    ca: &OpensslLocal,
    certificate: &[u8],
    reason: RevocationReason,
) -> Result<(), FaultClass> {
    let mut request = RevokeRequest::new(certificate, reason);
    request.revoked_at = at(NOW);
    ca.revoke(&request).map_err(|fault| fault.class)
}

/// A list's number, and the reason of each serial number on it.
fn read(ca: &OpensslLocal) -> (u64, BTreeMap<Vec<u8>, Option<CrlReason>>) {
    let list = CertificateList::<x509_cert::certificate::Rfc5280>::from_der(&ca.crl().unwrap().der)
        .unwrap()
        .tbs_cert_list;
    let extension = |oid| {
        let extensions = list.crl_extensions.as_ref().unwrap();
        extensions
            .iter()
            .find(|extension| extension.extn_id == oid)
            .unwrap()
            .extn_value
            .as_bytes()
    };
    use der::oid::AssociatedOid;
    let number = CrlNumber::from_der(extension(CrlNumber::OID)).unwrap().0;
    AuthorityKeyIdentifier::from_der(extension(AuthorityKeyIdentifier::OID)).unwrap();
    let number = number
        .as_bytes()
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let entries = list
        .revoked_certificates
        .unwrap_or_default()
        .into_iter()
        .map(|entry| {
            let reason = entry.crl_entry_extensions.map(|extensions| {
                assert_eq!(extensions.len(), 1);
                CrlReason::from_der(extensions[0].extn_value.as_bytes()).unwrap()
            });
            (entry.serial_number.as_bytes().to_vec(), reason)
        });
    (number, entries.collect())
}

fn serial(certificate: &[u8]) -> Vec<u8> {
    X509::from_der(certificate)
        .unwrap()
        .serial_number()
        .to_bn()
        .unwrap()
        .to_vec()
}

#[test]
fn a_revoked_certificate_is_on_the_list_with_its_reason() {
    let world = World::new();
    let ca = world.create("");
    let mut expected = BTreeMap::new();
    for (id, reason, code) in [
        ("e0", RevocationReason::Unspecified, None),
        (
            "e1",
            RevocationReason::KeyCompromise,
            Some(CrlReason::KeyCompromise),
        ),
        (
            "e6",
            RevocationReason::CertificateHold,
            Some(CrlReason::CertificateHold),
        ),
    ] {
        let certificate = leaf(&ca, &request(id, &["a.example"]));
        assert_eq!(revoke(&ca, &certificate, reason), Ok(()));
        // Whatever the reason, once is enough.
        assert_eq!(
            revoke(&ca, &certificate, reason),
            Err(FaultClass::AlreadyRevoked)
        );
        assert_eq!(
            revoke(&ca, &certificate, RevocationReason::Superseded),
            Err(FaultClass::AlreadyRevoked)
        );
        expected.insert(serial(&certificate), code);
    }
    assert_eq!(read(&ca).1, expected);
    // Another host that shares the state and the files.
    assert_eq!(read(&world.open("create = true").unwrap()).1, expected);
}

#[test]
fn openssl_accepts_the_list_and_refuses_what_is_on_it() {
    for kind in ["rsa-2048", "ec-p256", "ec-p384", "ec-p521", "ed25519"] {
        let world = World::new();
        let ca = world.create(&format!("[new_ca]\nkey_type = '{kind}'"));
        let good = leaf(&ca, &request("good", &["a.example"]));
        let bad = leaf(&ca, &request("bad", &["a.example"]));
        revoke(&ca, &bad, RevocationReason::KeyCompromise).unwrap();
        let list = ca.crl().unwrap();
        assert_eq!(list.next_update, at(NOW + 7 * DAY));
        world.write("ca.crl", &list.der);
        let text = world.openssl(&[
            "crl", "-inform", "DER", "-in", "ca.crl", "-CAfile", "ca.pem", "-noout", "-text",
        ]);
        for part in [
            "verify OK",
            "Version 2 (0x1)",
            "Issuer: CN = certdock issuing CA",
            "Last Update: Jun  1 00:00:00 2026 GMT",
            "Next Update: Jun  8 00:00:00 2026 GMT",
            "Key Compromise",
            "Revocation Date: Jun  1 00:00:00 2026 GMT",
        ] {
            assert!(text.contains(part), "{kind} {part}: {text}");
        }
        world.openssl(&["crl", "-inform", "DER", "-in", "ca.crl", "-out", "crl.pem"]);
        world.verify(&good, &["-CRLfile", "crl.pem", "-crl_check"]);
        let refused = std::panic::catch_unwind(|| {
            world.verify(&bad, &["-CRLfile", "crl.pem", "-crl_check"]);
        });
        let message = *refused.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains("certificate revoked"), "{message}");
    }
}

#[test]
fn what_this_ca_did_not_issue_it_does_not_revoke() {
    let world = World::new();
    let ca = world.create("");
    let other = World::new().create("");
    let foreign = leaf(&other, &request("e1", &["a.example"]));
    // The name is the same, the key is not.
    assert_eq!(
        revoke(&ca, &foreign, RevocationReason::Superseded),
        Err(FaultClass::Malformed)
    );
    let issuing = ca.ca_certs_get().unwrap().certificates.remove(0);
    for certificate in [&issuing[..], b"garbage", b""] {
        assert_eq!(
            revoke(&ca, certificate, RevocationReason::Superseded),
            Err(FaultClass::Malformed)
        );
    }
    let mut changed = leaf(&ca, &request("e1", &["a.example"]));
    let last = changed.len() - 1;
    changed[last] ^= 1;
    assert_eq!(
        revoke(&ca, &changed, RevocationReason::Superseded),
        Err(FaultClass::Malformed)
    );
    let own = leaf(&ca, &request("e1", &["a.example"]));
    assert_eq!(
        revoke(&ca, &own, RevocationReason::RemoveFromCrl),
        Err(FaultClass::Malformed)
    );
    assert_eq!(world.fake.state_keys(), Vec::<String>::new());
    world.advance(91 * DAY);
    assert_eq!(
        revoke(&ca, &own, RevocationReason::Superseded),
        Err(FaultClass::Malformed)
    );
}

#[test]
fn two_who_revoke_at_once_are_told_apart() {
    let world = World::new();
    let ca = world.create("");
    for round in 0..20 {
        let certificate = leaf(&ca, &request(&round.to_string(), &["a.example"]));
        let done: usize = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| revoke(&ca, &certificate, RevocationReason::Superseded).is_ok())
                })
                .collect();
            racers
                .into_iter()
                .map(|racer| usize::from(racer.join().unwrap()))
                .sum()
        });
        assert_eq!(done, 1);
    }
}

#[test]
fn numbers_rise_whoever_makes_the_list() {
    let world = World::new();
    let one = world.create("");
    let other = world.open("create = true").unwrap();
    assert_eq!(read(&one).0, 1);
    assert_eq!(read(&other).0, 2);
    // Many at once: no number is given twice.
    let numbers: BTreeSet<u64> = std::thread::scope(|scope| {
        let many = |ca| (0..10).map(|_| read(ca).0).collect::<Vec<_>>();
        let running: Vec<_> = [&one, &other, &one, &other]
            .into_iter()
            .map(|ca| scope.spawn(move || many(ca)))
            .collect();
        running
            .into_iter()
            .flat_map(|lists| lists.join().unwrap())
            .collect()
    });
    assert_eq!(numbers, (3..43).collect());
}

#[test]
fn an_entry_stays_until_lists_after_its_end_have_carried_it() {
    let world = World::new();
    let ca = world.create("validity = '10d'");
    let certificate = leaf(&ca, &request("e1", &["a.example"]));
    revoke(&ca, &certificate, RevocationReason::Superseded).unwrap();
    let listed = |ca: &OpensslLocal| read(ca).1.len();
    let mut carried_after_end = 0;
    for day in 0..40 {
        let now = world.now();
        let still = listed(&ca);
        if now <= NOW + 10 * DAY + 7 * DAY {
            assert_eq!(still, 1, "day {day}");
        }
        if now > NOW + 10 * DAY {
            carried_after_end += still;
        }
        world.advance(DAY);
    }
    assert!(carried_after_end >= 2);
    assert_eq!(listed(&ca), 0);
    assert_eq!(world.fake.state_keys(), ["crl/last"]);

    // A host that was away the whole time still carries it once it is back.
    let away = World::new();
    let ca = away.create("validity = '10d'");
    let certificate = leaf(&ca, &request("e1", &["a.example"]));
    revoke(&ca, &certificate, RevocationReason::Superseded).unwrap();
    assert_eq!(listed(&ca), 1);
    away.advance(100 * DAY);
    assert_eq!(listed(&ca), 1);
    assert_eq!(listed(&ca), 0);
}

#[test]
fn a_long_list_is_made_quickly() {
    let world = World::new();
    let ca = world.create("");
    let host = world.host();
    for number in 0u64..10_000 {
        let value = format!(
            r#"{{"reason":4,"revoked_at":{NOW},"expires":{}}}"#,
            NOW + 90 * DAY
        );
        host.state_put(&format!("revoked/40{number:038x}"), value.as_bytes())
            .unwrap();
    }
    let start = Instant::now();
    let list = ca.crl().unwrap();
    let took = start.elapsed();
    assert!(took.as_millis() < 2000, "{took:?}");
    let list = CertificateList::<x509_cert::certificate::Rfc5280>::from_der(&list.der).unwrap();
    assert_eq!(
        list.tbs_cert_list.revoked_certificates.unwrap().len(),
        10_000
    );
}
