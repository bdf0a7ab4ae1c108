use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::acme::testing::{TestKey, base64url, flattened, remove};

const URL: &str = "https://ca.example/acme/default/key-change";

fn inner(jws: &Value) -> Result<Vec<u8>, BadJws> {
    verify_inner(jws.to_string().as_bytes(), URL).map(|(_, payload)| payload)
}

fn header(key: &TestKey) -> Value {
    json!({ "alg": key.algorithm, "jwk": key.jwk(), "url": URL })
}

fn keys() -> Vec<TestKey> {
    vec![
        TestKey::rsa(),
        TestKey::es256(),
        TestKey::es384(),
        TestKey::es512(),
        TestKey::ed25519(),
    ]
}

#[test]
fn every_algorithm_verifies_its_own_signatures_only() {
    let others = keys();
    for key in keys() {
        let jws = key.sign(&header(&key), b"{}");
        assert_eq!(
            inner(&jws).as_deref(),
            Ok(b"{}".as_slice()),
            "{}",
            key.algorithm
        );

        for member in ["protected", "payload", "signature"] {
            let mut changed = jws.clone();
            let text = changed[member].as_str().unwrap().to_owned();
            let flipped = if text.starts_with('e') { "f" } else { "e" };
            changed[member] = json!([flipped, &text[1..]].concat());
            assert!(inner(&changed).is_err(), "{} {member}", key.algorithm);
        }
        for other in &others {
            let mut header = header(&key);
            header["alg"] = json!(other.algorithm);
            let expect = if key.algorithm == other.algorithm {
                BadJws::Signature
            } else {
                BadJws::Algorithm(key_algorithm(&key).alone())
            };
            assert_eq!(inner(&other.sign(&header, b"{}")), Err(expect));
        }
    }
}

fn key_algorithm(key: &TestKey) -> Algorithm {
    let jwk = Jwk::parse(&key.jwk().to_string()).unwrap();
    jwk.verifier().algorithm()
}

#[test]
fn ecdsa_signatures_are_of_fixed_length_not_der() {
    let key = TestKey::es256();
    let jws = flattened(&header(&key), b"{}", |message| {
        let signature = key.signature(message);
        let (r, s) = signature.split_at(32);
        // A DER integer begins with a zero where its top bit is set.
        let integer = |bytes: &[u8]| [&[2, 33, 0], bytes].concat();
        [vec![0x30, 70], integer(r), integer(s)].concat()
    });
    assert_eq!(inner(&jws), Err(BadJws::Signature));
}

#[test]
fn the_serialization_is_flattened_and_nothing_else() {
    let key = TestKey::es256();
    let good = key.sign(&header(&key), b"{}");
    let parse = |json: &str| Flattened::parse(json.as_bytes()).map(drop);
    assert_eq!(parse(&good.to_string()), Ok(()));
    assert_eq!(parse(&format!(" \r\n{good}\n")), Ok(()));

    let text = |member: &str| good[member].as_str().unwrap().to_owned();
    let (protected, payload, signature) = (text("protected"), text("payload"), text("signature"));
    let with = |member: &str, value: Value| {
        let mut jws = good.clone();
        jws[member] = value;
        jws.to_string()
    };
    let without = |member: &str| {
        let mut jws = good.clone();
        remove(&mut jws, member);
        jws.to_string()
    };
    let bad = [
        format!("{protected}.{payload}.{signature}"),
        json!(format!("{protected}.{payload}.{signature}")).to_string(),
        json!([protected, payload, signature]).to_string(),
        json!({
            "payload": payload,
            "signatures": [{ "protected": protected, "signature": signature }],
        })
        .to_string(),
        with("header", json!({})),
        with("header", Value::Null),
        with("signatures", json!([])),
        with("payload", json!({})),
        with("payload", Value::Null),
        without("protected"),
        without("payload"),
        without("signature"),
        // Members that come twice.
        format!(
            r#"{{"protected":"{protected}","protected":"{protected}","payload":"{payload}","signature":"{signature}"}}"#
        ),
        format!("{good}{good}"),
        good.to_string()[1..].to_owned(),
        String::new(),
        "{}".into(),
        "null".into(),
    ];
    for json in bad {
        assert!(
            matches!(parse(&json), Err(BadJws::NotFlattened(_))),
            "{json}"
        );
    }
}

#[test]
fn base64url_is_strict() {
    let key = TestKey::es256();
    let good = key.sign(&header(&key), b"{}");
    for (member, value) in [
        ("payload", "e30="),
        ("payload", "e30\n"),
        ("payload", "e31"),
        ("payload", "e3+"),
        ("payload", "e"),
        ("signature", "a+/b"),
        ("signature", "AA=="),
        ("protected", "e30="),
    ] {
        let mut jws = good.clone();
        jws[member] = json!(value);
        let jws = jws.to_string();
        let jws = Flattened::parse(jws.as_bytes()).unwrap();
        let decoded = match member {
            "payload" => jws.payload(),
            "signature" => jws.signature(),
            _ => jws.protected(),
        };
        assert!(
            matches!(decoded, Err(BadJws::Encoding(_))),
            "{member} {value}"
        );
    }
}

#[test]
fn the_header_holds_what_acme_asks_for() {
    let key = TestKey::es256();
    let check = |change: &dyn Fn(&mut Value), expect: fn(&BadJws) -> bool| {
        let mut header = header(&key);
        change(&mut header);
        let error = inner(&key.sign(&header, b"{}")).unwrap_err();
        assert!(expect(&error), "{header}: {error:?}");
    };
    let algorithm = |error: &BadJws| *error == BadJws::Algorithm(ALGORITHMS);
    for name in [
        "none", "HS256", "RS512", "PS256", "ES256K", "es256", "dir", "",
    ] {
        check(&|header| header["alg"] = json!(name), algorithm);
    }
    check(&|header| remove(header, "alg"), |e| {
        matches!(e, BadJws::Header(_))
    });
    check(&|header| header["crit"] = json!(["b64"]), |e| {
        *e == BadJws::Forbidden("crit")
    });
    check(&|header| header["crit"] = Value::Null, |e| {
        *e == BadJws::Forbidden("crit")
    });
    check(&|header| header["b64"] = json!(true), |e| {
        *e == BadJws::Forbidden("b64")
    });
    check(&|header| remove(header, "jwk"), |e| {
        matches!(e, BadJws::Missing(_))
    });
    check(&|header| header["kid"] = json!(URL), |e| {
        matches!(e, BadJws::Forbidden(_))
    });
    check(&|header| remove(header, "url"), |e| {
        *e == BadJws::Missing("url")
    });
    check(
        &|header| header["url"] = json!("https://ca.example/"),
        |e| matches!(e, BadJws::Header(_)),
    );
    check(&|header| header["nonce"] = json!("x"), |e| {
        *e == BadJws::Forbidden("nonce")
    });
    check(&|header| header["jwk"]["d"] = json!("AA"), |e| {
        *e == BadJws::Key(BadKey::Private)
    });
    check(&|header| header["jwk"] = json!(["EC"]), |e| {
        *e == BadJws::Key(BadKey::NotAnObject)
    });

    // Unknown parameters are ignored.
    let mut fine = header(&key);
    fine["typ"] = json!("JOSE+JSON");
    assert!(inner(&key.sign(&fine, b"{}")).is_ok());

    let twice = format!(r#"{{"alg":"ES256","alg":"ES256","url":"{URL}"}}"#);
    assert!(matches!(
        Header::parse(twice.as_bytes()),
        Err(BadJws::Header(_))
    ));
    assert!(matches!(
        Header::parse(br#"["ES256"]"#),
        Err(BadJws::Header(_))
    ));
}

proptest! {
    #[test]
    fn no_bytes_upset_the_parser(bytes: Vec<u8>) {
        let _ = verify_inner(&bytes, URL);
        let _ = Header::parse(&bytes).map(|header| header.key().is_ok());
    }

    #[test]
    fn no_texts_upset_the_parser(protected in ".*", payload in ".*", signature in "[A-Za-z0-9_-]*") {
        let jws = json!({ "protected": protected, "payload": payload, "signature": signature });
        prop_assert!(inner(&jws).is_err());
    }

    #[test]
    fn no_header_upsets_the_parser(alg in "(ES256|RS256|EdDSA|.*)", kty in "(EC|RSA|OKP|.*)",
        crv in "(P-256|P-521|Ed25519|.*)", x in any::<Vec<u8>>(), y in any::<Vec<u8>>()) {
        let (x, y) = (base64url(&x), base64url(&y));
        let jwk = json!({ "kty": kty, "crv": crv, "x": x, "y": y, "n": x, "e": y });
        let header = json!({ "alg": alg, "url": URL, "jwk": jwk });
        let refused = inner(&flattened(&header, b"{}", |_| vec![0; 64])).is_err();
        prop_assert!(refused);
    }
}
