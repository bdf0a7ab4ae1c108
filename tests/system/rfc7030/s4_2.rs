//! RFC 7030 §4.2.1: simple enrollment.

use certdock_tests::certificate::dns_names;
use certdock_tests::est::{Csr, EstWorld, TLS_VERSIONS, certificates};
use certdock_tests::program::Program;
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256};
use tempfile::TempDir;

use super::{check_refusal, is_for};

#[tokio::test(flavor = "multi_thread")]
async fn a_user_enrolls() {
    let world = EstWorld::start().await;
    let user = world.user("device").await;
    for (version, tls) in TLS_VERSIONS {
        for label in ["default", "basic"] {
            let csr = Csr::new("one.est.test");
            let mut client = world.client_of(label, &user.clone().over(tls));
            let answer = client.enroll(&csr.der).await.unwrap().expect(200).unwrap();
            let kind = answer.header("content-type").unwrap();
            // RFC 7030 §4.2.3
            assert!(kind.starts_with("application/pkcs7-mime"), "{kind}");
            assert!(kind.contains("smime-type=certs-only"), "{kind}");
            let all = certificates(&answer.body);
            assert_eq!(all.len(), 1, "{version} {label}");
            assert!(is_for(&all[0], &csr.key));
            assert_eq!(dns_names(&all[0]), ["one.est.test"]);
        }
    }
    let issued = world.issued().await;
    assert_eq!(issued.len(), 4, "{issued:?}");
    let first = issued[0].to_string();
    assert!(first.contains("one.est.test"), "{first}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_kinds_of_keys_are_certified() {
    let world = EstWorld::start().await;
    let user = world.user("device").await;
    let mut client = world.client(&user);
    for algorithm in [&PKCS_RSA_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let csr = Csr::with_key(key, "kind.est.test", &["kind.est.test"]);
        let answer = client.enroll(&csr.der).await.unwrap().expect(200).unwrap();
        assert!(is_for(&certificates(&answer.body)[0], &csr.key));
    }
}

/// What is refused, with 400 and a sentence; nothing is stored of it.
#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_refused_and_leave_nothing() {
    let world = EstWorld::start().await;
    let user = world.user("device").await;
    let mut client = world.client(&user);
    let right = Csr::new("right.est.test").der;
    let mut broken = right.clone();
    *broken.last_mut().unwrap() ^= 1;
    let mut trailing = right.clone();
    trailing.push(0);
    let cases = [
        ("a broken signature", broken),
        ("bytes behind it", trailing),
        ("half of it", right[..right.len() / 2].to_vec()),
        ("nothing", Vec::new()),
        ("not DER", b"certificate request".to_vec()),
        ("an empty sequence", vec![0x30, 0]),
        ("a CA", Csr::for_ca("ca.est.test").der),
        ("RSA of 1024 bits", openssl_csr(&["rsa:1024"]).await),
        (
            "secp256k1",
            openssl_csr(&["ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"]).await,
        ),
    ];
    for (case, der) in cases {
        let answer = client.enroll(&der).await.unwrap();
        check_refusal(case, &answer, 400);
    }
    assert_eq!(world.issued().await.len(), 0);
    client.enroll(&right).await.unwrap().expect(200).unwrap();
}

/// The names of a request are granted all or not at all, and the refusal says which was not.
#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_not_allowed_are_named() {
    let world = EstWorld::start().await;
    let own = ["--name", "own.example", "--name", "*.below.example"];
    let user = world.user_with("namer", &own).await;
    let mut client = world.client(&user);
    for names in [
        &["own.example"][..],
        &["a.below.example", "b.est.test", "own.example"],
    ] {
        let csr = Csr::with_key(KeyPair::generate().unwrap(), names[0], names);
        let answer = client.enroll(&csr.der).await.unwrap().expect(200).unwrap();
        let mut expected = names.to_vec();
        expected.sort_unstable();
        assert_eq!(dns_names(&certificates(&answer.body)[0]), expected);
    }
    for (names, wrong) in [
        (&["foreign.example"][..], "foreign.example"),
        (&["own.example", "not.own.example"], "not.own.example"),
        (&["below.example"], "below.example"),
        (&["est.test"], "est.test"),
    ] {
        let csr = Csr::with_key(KeyPair::generate().unwrap(), names[0], names);
        let answer = client.enroll(&csr.der).await.unwrap();
        assert!(
            [400, 403].contains(&answer.status),
            "{names:?}: {}",
            answer.text()
        );
        check_refusal(wrong, &answer, answer.status);
        assert!(answer.text().contains(wrong), "{}", answer.text());
    }
    // Another user does not have these names.
    let other = world.user("other").await;
    let answer = world
        .client(&other)
        .enroll(&Csr::new("own.example").der)
        .await
        .unwrap();
    assert!([400, 403].contains(&answer.status), "{}", answer.text());
    assert_eq!(world.issued().await.len(), 2);
}

/// A CSR that only openssl makes: what rcgen has no key for.
async fn openssl_csr(kind: &[&str]) -> Vec<u8> {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("csr.der");
    Program::new("openssl")
        .args(["req", "-new", "-nodes", "-keyout", "/dev/null"])
        .args(["-subj", "/CN=weak.est.test", "-outform", "DER"])
        .args(["-addext", "subjectAltName=DNS:weak.est.test", "-newkey"])
        .args(kind)
        .arg("-out")
        .arg(&out)
        .run()
        .await
        .success();
    std::fs::read(out).unwrap()
}
