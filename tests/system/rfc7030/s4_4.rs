//! RFC 7030 §4.4 and RFC 8951 §3.2: keys that the server makes.

use std::fs;

use certdock_tests::certificate::dns_names;
use certdock_tests::der::{self, Element, OCTET_STRING};
use certdock_tests::est::{Caller, Credential, Csr, EstWorld, Part, TLS_VERSIONS, certificates_of};
use certdock_tests::http::Answer;
use certdock_tests::program::Program;
use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256,
};
use tempfile::TempDir;
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

use super::{check_refusal, is_for};

/// RFC 7030 §4.4.1.2
const ASYMMETRIC_DECRYPT_KEY: &[u64] = &[1, 2, 840, 113_549, 1, 9, 16, 2, 54];

pub(super) async fn ask(world: &EstWorld, label: &str, caller: &Caller, csr: &Csr) -> Answer {
    let body = base64(&csr.der);
    let mut client = world.client_of(label, caller);
    client
        .post("serverkeygen", "application/pkcs10", body)
        .await
        .unwrap()
}

fn base64(der: &[u8]) -> Vec<u8> {
    use base64::Engine;

    base64::engine::general_purpose::STANDARD
        .encode(der)
        .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_comes_with_its_certificate() {
    let world = EstWorld::start().await;
    let user = world.user("device").await;
    let mut keys = Vec::new();
    for algorithm in [
        &PKCS_ECDSA_P256_SHA256,
        &PKCS_ECDSA_P384_SHA384,
        &PKCS_ED25519,
        &PKCS_RSA_SHA256,
    ] {
        for (version, tls) in TLS_VERSIONS {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let csr = Csr::with_key(key, "made.est.test", &["made.est.test"]);
            let answer = ask(&world, "default", &user.clone().over(tls), &csr).await;
            let answer = answer.expect(200).unwrap();
            let [key, certificate] = &Part::all(&answer)[..] else {
                panic!("{version}: {}", answer.text());
            };
            assert_eq!(key.content_type, "application/pkcs8");
            assert!(certificate.content_type.contains("smime-type=certs-only"));
            let certificate = certificates_of(&certificate.der).remove(0);
            let made = KeyPair::try_from(key.der.as_slice()).unwrap();
            assert!(is_for(&certificate, &made), "{version}");
            assert!(!is_for(&certificate, &csr.key), "{version}");
            assert!(made.is_compatible(algorithm));
            assert_eq!(dns_names(&certificate), ["made.est.test"]);
            keys.push(key.der.clone());
        }
    }
    check_nothing_is_kept(&world, &keys);
}

/// Each is given its own key or nothing.
#[tokio::test(flavor = "multi_thread")]
async fn who_asks_the_same_several_times_at_once_gets_keys_that_fit() {
    let world = EstWorld::start().await;
    let user = world.user("device").await;
    for round in 0..10 {
        let csr = Csr::new(&format!("n{round}.est.test"));
        let asking = || ask(&world, "default", &user, &csr);
        let (a, b, c, d) = tokio::join!(asking(), asking(), asking(), asking());
        let mut given = 0;
        for answer in [a, b, c, d] {
            if answer.status != 200 {
                assert!([202, 503].contains(&answer.status), "{}", answer.text());
                assert!(answer.header("retry-after").is_some());
                continue;
            }
            let parts = Part::all(&answer);
            let certificate = certificates_of(&parts[1].der).remove(0);
            let made = KeyPair::try_from(parts[0].der.as_slice()).unwrap();
            assert!(is_for(&certificate, &made));
            given += 1;
        }
        assert!(given > 0);
    }
}

/// No part of a private key is in the store or in the log.
fn check_nothing_is_kept(world: &EstWorld, keys: &[Vec<u8>]) {
    let files = ["certdock.db", "certdock.db-wal", "server.log"];
    let kept = files.map(|file| fs::read(world.server.dir().join(file)).unwrap_or_default());
    for key in keys {
        // The last of RSA's secret numbers; else what stands between algorithm and public key.
        let end = if key.len() > 500 { key.len() } else { 46 };
        let secret = &key[end - 16..end];
        for bytes in &kept {
            assert!(!bytes.windows(secret.len()).any(|part| part == secret));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_t_be_made_or_must_not_be_is_refused() {
    let world = EstWorld::start().await;
    let user = world.user("device").await;
    let csr = Csr::new("foreign.example");
    let answer = ask(&world, "default", &user, &csr).await;
    assert!([400, 403].contains(&answer.status), "{}", answer.text());
    check_refusal("a foreign name", &answer, answer.status);
    let answer = ask(&world, "default", &world.anybody(), &Csr::new("a.est.test")).await;
    check_refusal("nobody", &answer, 401);
    // Asked for encrypted, it is never sent in clear.
    let value = der::set(&[&der::element(OCTET_STRING, &[&[7; 20]])]);
    let csr = Csr::with_attributes("a.est.test", &[(ASYMMETRIC_DECRYPT_KEY, value)]);
    for label in ["default", "ra"] {
        let answer = ask(&world, label, &user, &csr).await;
        assert!(answer.status >= 400, "{label}: {}", answer.text());
        check_refusal(label, &answer, answer.status);
    }
    assert_eq!(world.issued().await.len(), 0);
}

/// Encrypted to the certificate that the client shows, and signed by the RA (RFC 7030 §4.4.2).
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_encrypted_to_who_asks_for_that() {
    let world = EstWorld::start().await;
    let user = world.user("device").await;
    for algorithm in [&PKCS_RSA_SHA256, &PKCS_ECDSA_P256_SHA256] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let csr = Csr::with_key(key, "own.est.test", &["own.est.test"]);
        let answer = world.client(&user).enroll(&csr.der).await.unwrap();
        let answer = answer.expect(200).unwrap();
        let own = certdock_tests::est::certificates(&answer.body).remove(0);
        let credential = Credential {
            certificate: pem::encode(&pem::Pem::new("CERTIFICATE", own.clone())),
            key: csr.key.serialize_pem(),
        };
        let holder = world.anybody().showing(&credential);
        let value = der::set(&[&der::element(OCTET_STRING, &[&key_identifier(&own)])]);
        let csr = Csr::with_attributes("own.est.test", &[(ASYMMETRIC_DECRYPT_KEY, value)]);
        let answer = ask(&world, "ra", &holder, &csr).await;
        assert_eq!(answer.status, 200, "{algorithm:?}: {}", answer.text());
        let [key, certificate] = &Part::all(&answer)[..] else {
            panic!("{}", answer.text());
        };
        assert_eq!(
            key.content_type,
            "application/pkcs7-mime; smime-type=server-generated-key"
        );
        let package = open(&world, &credential, &key.der).await;
        // AsymmetricKeyPackage: a sequence of OneAsymmetricKey (RFC 5958 §2).
        let keys = Element::of(&package).parts();
        assert_eq!(keys.len(), 1);
        let made = KeyPair::try_from(keys[0].whole).unwrap();
        let certificate = certificates_of(&certificate.der).remove(0);
        assert!(is_for(&certificate, &made));
    }
}

fn key_identifier(der: &[u8]) -> Vec<u8> {
    let (_, certificate) = X509Certificate::from_der(der).unwrap();
    let found =
        certificate
            .extensions()
            .iter()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
                _ => None,
            });
    found.expect("a subject key identifier")
}

/// Decrypts, and checks the RA's signature; the content.
async fn open(world: &EstWorld, own: &Credential, enveloped: &[u8]) -> Vec<u8> {
    let dir = TempDir::new().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
    write("enveloped", enveloped);
    write("own.pem", own.certificate.as_bytes());
    write("own.key", own.key.as_bytes());
    write("factory.pem", world.factory.root.as_bytes());
    let decrypt = [
        "cms",
        "-decrypt",
        "-binary",
        "-inform",
        "DER",
        "-in",
        "enveloped",
    ];
    let verify = [
        "cms", "-verify", "-binary", "-inform", "DER", "-in", "signed",
    ];
    let own = ["-recip", "own.pem", "-inkey", "own.key", "-out", "content"];
    let openssl = Program::new("openssl").args(decrypt).args(own);
    openssl.dir(dir.path()).run().await.success();
    // What is encrypted is the SignedData alone (RFC 5652 §6.1).
    let content = fs::read(dir.path().join("content")).unwrap();
    let explicit = der::element(0xa0, &[&content]);
    let info = der::sequence(&[&der::oid("1.2.840.113549.1.7.2"), &explicit]);
    write("signed", &info);
    let trust = [
        "-CAfile",
        "factory.pem",
        "-purpose",
        "any",
        "-out",
        "package",
    ];
    let openssl = Program::new("openssl").args(verify).args(trust);
    openssl.dir(dir.path()).run().await.success();
    fs::read(dir.path().join("package")).unwrap()
}
