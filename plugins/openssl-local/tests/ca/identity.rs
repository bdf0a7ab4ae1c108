//! Which certificate an enrollment gets, whose it is, and the chain above it.

use std::collections::BTreeSet;

use certdock_openssl_local::OpensslLocal;
use certdock_plugin_api::CaHandler;
use openssl::asn1::{Asn1Time, Asn1Type};
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::x509::extension::BasicConstraints;
use openssl::x509::{X509, X509NameBuilder};

use crate::support::{DAY, NOW, World, config, dns, enroll, key, leaf, request};

#[test]
fn one_enrollment_is_one_certificate() {
    for kind in ["rsa-2048", "ec-p256", "ed25519"] {
        let world = World::new();
        let ca = world.create(&format!("[new_ca]\nkey_type = '{kind}'"));
        let asked = request("e1", &["a.example"]);
        let first = leaf(&ca, &asked);
        world.advance(3 * DAY);
        // Another host with the same files, later.
        let again = leaf(&world.open("create = true").unwrap(), &asked);
        assert_eq!(content(&first), content(&again), "{kind}");
        if kind != "ec-p256" {
            // ECDSA alone is signed with randomness.
            assert_eq!(first, again, "{kind}");
        }

        let mut other = asked.clone();
        other.enrollment_id = "e2".into();
        assert_ne!(serial(&first), serial(&leaf(&ca, &other)));
        let mut renamed = asked.clone();
        renamed.identifiers = vec![dns("b.example")];
        assert_ne!(serial(&first), serial(&leaf(&ca, &renamed)));
    }
}

#[test]
fn serial_numbers_are_long_and_different() {
    let world = World::new();
    let ca = world.create("[new_ca]\nkey_type = 'ed25519'");
    let asked = request("", &["a.example"]);
    let mut seen = BTreeSet::new();
    for id in 0..50 {
        let mut asked = asked.clone();
        asked.enrollment_id = id.to_string();
        let serial = serial(&leaf(&ca, &asked));
        assert_eq!(serial.len(), 20);
        assert!(serial[0] < 0x80);
        assert!(seen.insert(serial));
    }
}

#[test]
fn an_issuer_name_of_odd_encoding_is_kept_byte_by_byte() {
    let world = World::new();
    // Types that a library would like to write as UTF8String, out of order.
    let mut name = X509NameBuilder::new().unwrap();
    for (nid, text, kind) in [
        (Nid::COMMONNAME, "Odd CA", Asn1Type::T61STRING),
        (Nid::ORGANIZATIONNAME, "Org", Asn1Type::PRINTABLESTRING),
        (Nid::COUNTRYNAME, "de", Asn1Type::IA5STRING),
        (Nid::COMMONNAME, "Second", Asn1Type::BMPSTRING),
    ] {
        name.append_entry_by_nid_with_type(nid, text, kind).unwrap();
    }
    let name = name.build();
    let key = key("ec-p256");
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder
        .set_serial_number(&BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap())
        .unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(&key).unwrap();
    let time = |seconds: u64| Asn1Time::from_unix(seconds.try_into().unwrap()).unwrap();
    builder.set_not_before(&time(NOW - DAY)).unwrap();
    builder.set_not_after(&time(NOW + 400 * DAY)).unwrap();
    builder
        .append_extension(BasicConstraints::new().critical().ca().build().unwrap())
        .unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    world.write("ca.pem", builder.build().to_pem().unwrap());
    world.write("ca.key", key.private_key_to_pem_pkcs8().unwrap());
    let ca = world.open("").unwrap();
    let asked = request("e1", &["a.example"]);
    let certificate = X509::from_der(&leaf(&ca, &asked)).unwrap();
    let issuing = X509::from_pem(&std::fs::read(world.path("ca.pem")).unwrap()).unwrap();
    assert_eq!(
        certificate.issuer_name().to_der().unwrap(),
        issuing.subject_name().to_der().unwrap()
    );
    let crl = openssl::x509::X509Crl::from_der(&ca.crl().unwrap().der).unwrap();
    assert_eq!(
        crl.issuer_name().to_der().unwrap(),
        issuing.subject_name().to_der().unwrap()
    );
}

#[test]
fn chains_and_alternates_come_as_configured() {
    let world = World::new();
    drop(world.create(""));
    // Another root that certifies the same issuing CA.
    for args in [
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            "other.key",
            "-out",
            "other.pem",
            "-subj",
            "/CN=Other",
            "-days",
            "9000",
        ][..],
        &[
            "req",
            "-new",
            "-key",
            "ca.key",
            "-subj",
            "/CN=certdock issuing CA",
            "-utf8",
            "-out",
            "ca.csr",
        ],
        &[
            "x509",
            "-req",
            "-in",
            "ca.csr",
            "-CA",
            "other.pem",
            "-CAkey",
            "other.key",
            "-CAcreateserial",
            "-extfile",
            "ext",
            "-days",
            "9000",
            "-out",
            "cross.pem",
        ],
    ] {
        world.write(
            "ext",
            "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign,cRLSign\n",
        );
        world.openssl(args);
    }
    let ca = world
        .open(
            "chain = ['root.pem']\nalternate_chains = [['cross.pem', 'other.pem'], ['cross.pem']]",
        )
        .unwrap();
    let chain = enroll(&ca, &request("e1", &["a.example"]));
    let pem = |name: &str| {
        X509::from_pem(&std::fs::read(world.path(name)).unwrap())
            .unwrap()
            .to_der()
            .unwrap()
    };
    let leaf = &chain.certificates[0];
    assert_eq!(chain.certificates, [leaf.clone(), pem("ca.pem")]);
    assert_eq!(
        chain.alternates,
        [
            vec![leaf.clone(), pem("cross.pem")],
            vec![leaf.clone(), pem("cross.pem")]
        ]
    );
    // The other root is not this CA's.
    assert_eq!(
        ca.ca_certs_get().unwrap().certificates,
        [pem("ca.pem"), pem("root.pem"), pem("cross.pem")]
    );
    let fault = world
        .open("alternate_chains = [['other.pem']]")
        .err()
        .unwrap();
    assert!(fault.public.starts_with("alternate_chains[0]: "), "{fault}");
    let notes = OpensslLocal::validate_config(&config("chain = ['other.pem']"), &world.host());
    assert_eq!(notes[0].key, "chain");
}

fn serial(der: &[u8]) -> Vec<u8> {
    X509::from_der(der)
        .unwrap()
        .serial_number()
        .to_bn()
        .unwrap()
        .to_vec()
}

/// All that is signed.
fn content(der: &[u8]) -> Vec<u8> {
    use der::{Decode, Encode};
    x509_cert::Certificate::from_der(der)
        .unwrap()
        .tbs_certificate()
        .to_der()
        .unwrap()
}
