//! What is in a certificate, and what a request is refused for.

use certdock_plugin_api::{CaHandler, EnrollRequest, FaultClass, Identifier, Protocol};
use openssl::asn1::Asn1Time;
use openssl::nid::Nid;
use openssl::x509::X509;

use crate::support::{DAY, NOW, World, at, csr, dns, enroll, key, leaf, request, request_for};

fn other(kind: &str, value: &str) -> Identifier {
    Identifier::Other {
        kind: kind.into(),
        value: value.into(),
    }
}

/// Devices are known by what stands in their subject, and need no alternative name.
#[test]
fn devices_are_certified_by_their_own_names() {
    let world = World::new();
    let ca = world.create("");
    let csr = csr(&key("ec-p256"), Some("device 0001"));
    for (names, subject, alternatives) in [
        (
            vec![other("common-name", "device 0001")],
            "CN=device 0001",
            None,
        ),
        (
            vec![
                other("common-name", "device 0001"),
                other("serial-number", "0001-A"),
            ],
            "serialNumber=0001-A, CN=device 0001",
            None,
        ),
        (
            vec![other("serial-number", "0001-A"), dns("a.example")],
            "serialNumber=0001-A",
            Some("DNS:a.example"),
        ),
        (
            vec![
                other("email", "a@a.example"),
                other("uri", "urn:dev:0001"),
                Identifier::Ip([10, 0, 0, 1].into()),
            ],
            "",
            Some("email:a@a.example, URI:urn:dev:0001, IP Address:10.0.0.1"),
        ),
    ] {
        let mut request = request_for("e", &csr, &[]);
        request.protocol = Protocol::Est;
        request.enrollment_id = format!("{names:?}");
        request.identifiers = names;
        let leaf = leaf(&ca, &request);
        world.verify(&leaf, &[]);
        world.write("leaf.der", &leaf);
        let text = world.openssl(&[
            "x509",
            "-inform",
            "DER",
            "-in",
            "leaf.der",
            "-noout",
            "-subject",
            "-ext",
            "subjectAltName",
        ]);
        let (first, rest) = text.split_once('\n').unwrap();
        let shown = first.replace("subject=", "").replace(" = ", "=");
        assert_eq!(shown.trim(), subject);
        match alternatives {
            Some(expected) => assert!(rest.contains(expected), "{rest}"),
            None => assert!(!rest.contains("Alternative"), "{rest}"),
        }
    }
}

#[test]
fn a_certificate_holds_what_is_authorised_and_nothing_else() {
    let world = World::new();
    let ca = world.create("");
    let key = key("ec-p256");
    let mut request = request_for(
        "e1",
        &csr(&key, Some("mallory.example")),
        &["a.example", "B.example"],
    );
    request.identifiers.push(dns("a.example"));
    request
        .identifiers
        .push(Identifier::Ip("192.0.2.7".parse().unwrap()));
    let chain = enroll(&ca, &request);
    let certificate = X509::from_der(&chain.certificates[0]).unwrap();

    let subject: Vec<_> = certificate
        .subject_name()
        .entries()
        .map(|entry| (entry.object().nid(), entry.data().to_string().unwrap()))
        .collect();
    assert_eq!(subject, [(Nid::COMMONNAME, "a.example".to_owned())]);
    let names: Vec<_> = certificate
        .subject_alt_names()
        .unwrap()
        .iter()
        .map(|name| match (name.dnsname(), name.ipaddress()) {
            (Some(name), _) => name.to_owned(),
            (_, Some(address)) => format!("{address:?}"),
            _ => panic!("{name:?}"),
        })
        .collect();
    assert_eq!(names, ["a.example", "b.example", "[192, 0, 2, 7]"]);
    assert!(certificate.public_key().unwrap().public_eq(&key));
    assert_eq!(certificate.version(), 2);
    assert!(certificate.pathlen().is_none());

    let start = Asn1Time::from_unix(NOW.try_into().unwrap()).unwrap();
    let end = Asn1Time::from_unix((NOW + 90 * DAY - 1).try_into().unwrap()).unwrap();
    assert_eq!(
        (certificate.not_before(), certificate.not_after()),
        (&*start, &*end)
    );

    // The chain: the leaf and the issuing CA; the root is for those who trust it to have.
    let issuing = X509::from_pem(&std::fs::read(world.path("ca.pem")).unwrap()).unwrap();
    let root = X509::from_pem(&std::fs::read(world.path("root.pem")).unwrap()).unwrap();
    assert_eq!(chain.certificates[1..], [issuing.to_der().unwrap()]);
    assert_eq!(
        ca.ca_certs_get().unwrap().certificates,
        [issuing.to_der().unwrap(), root.to_der().unwrap()]
    );
    assert_eq!(
        certificate.issuer_name().to_der().unwrap(),
        issuing.subject_name().to_der().unwrap()
    );
    assert_eq!(
        certificate.authority_key_id().unwrap().as_slice(),
        issuing.subject_key_id().unwrap().as_slice()
    );
}

#[test]
fn a_name_too_long_for_the_subject_leaves_it_empty() {
    let world = World::new();
    let ca = world.create("");
    let name = format!("{}.example", "a".repeat(60));
    let certificate = X509::from_der(&leaf(&ca, &request("e1", &[&name]))).unwrap();
    assert_eq!(certificate.subject_name().entries().count(), 0);
    world.write("leaf.pem", certificate.to_pem().unwrap());
    let text = world.openssl(&["x509", "-in", "leaf.pem", "-noout", "-text"]);
    assert!(
        text.contains("Subject Alternative Name: critical"),
        "{text}"
    );
}

#[test]
fn no_certificate_outlives_its_ca() {
    let world = World::new();
    let ca = world.create("[new_ca]\nvalidity = '100d'");
    let mut late = request("e1", &["a.example"]);
    late.requested_at = at(NOW + 50 * DAY);
    let certificate = X509::from_der(&leaf(&ca, &late)).unwrap();
    let end = Asn1Time::from_unix((NOW + 100 * DAY - 1).try_into().unwrap()).unwrap();
    assert_eq!(certificate.not_after(), &*end);
    late.requested_at = at(NOW + 100 * DAY);
    assert_eq!(
        ca.enroll(&late).unwrap_err().class,
        FaultClass::Misconfigured
    );
}

#[test]
fn refusals_name_their_reason() {
    let world = World::new();
    let ca = world.create(
        "allowed_names = ['*.a.example', 'a.example']\ndenied_names = ['secret.a.example']\n\
         [profiles.rsa-only]\nkey_usage = ['keyEncipherment']",
    );
    let good = || request("e1", &["a.example"]);
    let with = |change: &dyn Fn(&mut EnrollRequest)| {
        let mut request = good();
        change(&mut request);
        request
    };
    let weak = csr(&key("rsa-1024"), None);
    let odd = csr(&key("secp256k1"), None);
    for (request, class, code) in [
        (
            with(&|r| r.csr = vec![]),
            FaultClass::Malformed,
            "csr-unreadable",
        ),
        (
            with(&|r| r.csr = b"not a CSR".to_vec()),
            FaultClass::Malformed,
            "csr-unreadable",
        ),
        (
            with(&|r| r.csr.push(0)),
            FaultClass::Malformed,
            "csr-unreadable",
        ),
        (
            with(&|r| r.csr.truncate(100)),
            FaultClass::Malformed,
            "csr-unreadable",
        ),
        (
            with(&|r| r.csr.clone_from(&weak)),
            FaultClass::Malformed,
            "key-unacceptable",
        ),
        (
            with(&|r| r.csr.clone_from(&odd)),
            FaultClass::Malformed,
            "key-unacceptable",
        ),
        (
            with(&|r| r.identifiers.clear()),
            FaultClass::Malformed,
            "name-missing",
        ),
        (
            with(&|r| r.identifiers.push(dns("a.example.org"))),
            FaultClass::Denied,
            "name-denied",
        ),
        (
            with(&|r| r.identifiers.push(dns("secret.a.example"))),
            FaultClass::Denied,
            "name-denied",
        ),
        (
            with(&|r| r.identifiers.push(dns("*.a.example"))),
            FaultClass::Denied,
            "name-denied",
        ),
        (
            with(&|r| {
                r.identifiers = vec![Identifier::Other {
                    kind: "tel".into(),
                    value: "+358".into(),
                }];
            }),
            FaultClass::Denied,
            "name-unsupported",
        ),
        (
            // Where names are listed, nothing else is certified.
            with(&|r| r.identifiers = vec![other("email", "a@a.example")]),
            FaultClass::Denied,
            "name-denied",
        ),
        (
            with(&|r| r.profile = Some("none".into())),
            FaultClass::Denied,
            "profile-unknown",
        ),
        (
            with(&|r| r.profile = Some("rsa-only".into())),
            FaultClass::Denied,
            "key-unacceptable",
        ),
        (
            with(&|r| r.not_after = Some(at(NOW + 91 * DAY))),
            FaultClass::Denied,
            "validity-unacceptable",
        ),
        (
            with(&|r| r.not_after = Some(at(NOW - DAY))),
            FaultClass::Malformed,
            "validity-unacceptable",
        ),
    ] {
        let fault = ca.enroll(&request).unwrap_err();
        assert_eq!((fault.class, fault.code.as_str()), (class, code), "{fault}");
    }
    ca.enroll(&good()).unwrap();
}

#[test]
fn key_usage_suits_the_key() {
    let world = World::new();
    let ca = world.create(
        "[profiles.all]\nkey_usage = ['digitalSignature', 'keyEncipherment', 'keyAgreement']",
    );
    for (kind, profile, expected) in [
        ("rsa-2048", "default", "Digital Signature, Key Encipherment"),
        ("ec-p384", "default", "Digital Signature"),
        ("ed25519", "default", "Digital Signature"),
        ("rsa-2048", "all", "Digital Signature, Key Encipherment"),
        ("ec-p256", "all", "Digital Signature, Key Agreement"),
        ("ed25519", "all", "Digital Signature"),
    ] {
        let mut asked = request_for("e1", &csr(&key(kind), None), &["a.example"]);
        asked.profile = Some(profile.into());
        world.write("leaf.der", leaf(&ca, &asked));
        let text = world.openssl(&[
            "x509", "-inform", "DER", "-in", "leaf.der", "-noout", "-ext", "keyUsage",
        ]);
        assert_eq!(
            text.lines().last().unwrap().trim(),
            expected,
            "{kind} {profile}"
        );
        assert!(text.contains("Key Usage: critical"), "{text}");
    }
}

#[test]
fn a_profile_says_what_goes_in() {
    let world = World::new();
    let ca = world.create(
        "default_profile = 'full'\n[profiles.full]\nextended_key_usage = ['clientAuth', '1.2.3.4']\n\
         validity = '1d'\ncrl_distribution_points = ['http://c.example/crl']\n\
         ca_issuers = ['http://c.example/ca']\nocsp = ['http://c.example/ocsp']\n\
         policies = ['1.2.3.5']",
    );
    world.write("leaf.der", leaf(&ca, &request("e1", &["a.example"])));
    let text = world.openssl(&[
        "x509", "-inform", "DER", "-in", "leaf.der", "-noout", "-text",
    ]);
    for part in [
        "TLS Web Client Authentication, 1.2.3.4",
        "URI:http://c.example/crl",
        "CA Issuers - URI:http://c.example/ca",
        "OCSP - URI:http://c.example/ocsp",
        "Policy: 1.2.3.5",
        "Not Before: Jun  1 00:00:00 2026 GMT",
        "Not After : Jun  1 23:59:59 2026 GMT",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("Server Authentication"), "{text}");
}

#[test]
fn a_handler_serves_many_threads() {
    fn shared<T: Send + Sync + 'static>(_: &T) {}
    let world = World::new();
    let ca = world.create("");
    shared(&ca);
    let asked = request("e1", &["a.example"]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    leaf(&ca, &asked);
                }
            });
        }
    });
}
