//! RFC 8555 §6.2: how requests are signed.

use certdock_tests::World;
use certdock_tests::acme::{Account, AccountKey, Client, b64};
use serde_json::{Value, json};

use super::check_problem;

/// A wrong request and what it gets.
struct Case {
    name: &'static str,
    body: Value,
    types: &'static [&'static str],
}

/// Builds requests that are right but for one thing.
struct Wrong {
    key: AccountKey,
    url: String,
    nonce: String,
}

impl Wrong {
    async fn new(client: &mut Client) -> Self {
        let url = client.directory.url("newAccount").to_owned();
        Self {
            key: AccountKey::es256(),
            url,
            nonce: client.nonce().await.unwrap(),
        }
    }

    fn protected(&self) -> Value {
        json!({ "alg": "ES256", "jwk": self.key.jwk(), "nonce": self.nonce, "url": self.url })
    }

    fn with(&self, member: &str, value: Value) -> Value {
        let mut protected = self.protected();
        protected[member] = value;
        self.key.flattened(&protected, b"{}")
    }

    fn without(&self, member: &str) -> Value {
        let mut protected = self.protected();
        protected.as_object_mut().unwrap().remove(member);
        self.key.flattened(&protected, b"{}")
    }

    fn right(&self) -> Value {
        self.key
            .flattened(&self.protected(), br#"{"termsOfServiceAgreed":true}"#)
    }

    /// A right request with one member of the JWS changed.
    fn changed(&self, member: &str, value: Value) -> Value {
        let mut jws = self.right();
        jws[member] = value;
        jws
    }

    fn with_jwk_member(&self, member: &str, value: Value) -> Value {
        let mut jwk = self.key.jwk();
        jwk[member] = value;
        self.with("jwk", jwk)
    }
}

const MALFORMED: &[&str] = &["malformed"];
const ALGORITHM: &[&str] = &["badSignatureAlgorithm"];
const KEY: &[&str] = &["badPublicKey", "malformed"];
const SIGNATURE: &[&str] = &["malformed", "unauthorized"];

fn header_cases(wrong: &Wrong) -> Vec<Case> {
    let case = |name, body, types| Case { name, body, types };
    vec![
        case("no alg", wrong.without("alg"), MALFORMED),
        case("alg none", wrong.with("alg", json!("none")), ALGORITHM),
        case("alg None", wrong.with("alg", json!("None")), ALGORITHM),
        case("a MAC", wrong.with("alg", json!("HS256")), ALGORITHM),
        case("RS1", wrong.with("alg", json!("RS1")), ALGORITHM),
        case("PS256", wrong.with("alg", json!("PS256")), ALGORITHM),
        case("alg a number", wrong.with("alg", json!(256)), MALFORMED),
        case("crit", wrong.with("crit", json!(["exp"])), MALFORMED),
        case("empty crit", wrong.with("crit", json!([])), MALFORMED),
        case(
            "unencoded payload",
            wrong.with("b64", json!(false)),
            MALFORMED,
        ),
        case(
            "jwk and kid",
            wrong.with("kid", json!("https://localhost/a")),
            MALFORMED,
        ),
        case("neither jwk nor kid", wrong.without("jwk"), MALFORMED),
        case(
            "no url",
            wrong.without("url"),
            &["malformed", "unauthorized"],
        ),
        case(
            "url of another resource",
            wrong.with("url", json!("https://localhost/other")),
            &["unauthorized"],
        ),
        case(
            "url a list",
            wrong.with("url", json!([wrong.url])),
            MALFORMED,
        ),
        case(
            "no nonce",
            wrong.without("nonce"),
            &["badNonce", "malformed"],
        ),
        case(
            "a nonce never given",
            wrong.with("nonce", json!(b64([7; 32]))),
            &["badNonce"],
        ),
        // RFC 8555 §6.5.2: what is not base64url is malformed.
        case(
            "a nonce that is none",
            wrong.with("nonce", json!("a b+c/=")),
            &["malformed", "badNonce"],
        ),
    ]
}

fn key_cases(wrong: &Wrong) -> Vec<Case> {
    let case = |name, body, types| Case { name, body, types };
    let other = AccountKey::es384().jwk();
    let rsa = |bytes: usize| {
        let mut n = vec![0xff; bytes];
        n[0] = 0xc1;
        json!({ "kty": "RSA", "e": "AQAB", "n": b64(n) })
    };
    let rsa_case = |jwk: Value| {
        let mut protected = wrong.protected();
        protected["alg"] = json!("RS256");
        protected["jwk"] = jwk;
        wrong.key.flattened(&protected, b"{}")
    };
    vec![
        case("jwk a string", wrong.with("jwk", json!("key")), MALFORMED),
        case("jwk empty", wrong.with("jwk", json!({})), KEY),
        case(
            "a private key",
            wrong.with_jwk_member("d", json!(b64([1; 32]))),
            KEY,
        ),
        case(
            "a point off the curve",
            wrong.with_jwk_member("x", json!(b64([1; 32]))),
            KEY,
        ),
        case(
            "a coordinate too short",
            wrong.with_jwk_member("y", json!(b64([1; 31]))),
            KEY,
        ),
        case(
            "another curve's key",
            wrong.with("jwk", other),
            &["badPublicKey", "badSignatureAlgorithm", "malformed"],
        ),
        case(
            "an unknown key type",
            wrong.with_jwk_member("kty", json!("oct")),
            KEY,
        ),
        case("RSA of 1024 bits", rsa_case(rsa(128)), KEY),
        case("RSA of 8192 bits", rsa_case(rsa(1024)), KEY),
    ]
}

fn body_cases(wrong: &Wrong) -> Vec<Case> {
    let case = |name, body, types| Case { name, body, types };
    let right = wrong.right();
    let part = |name: &str| right[name].as_str().unwrap().to_owned();
    let foreign = AccountKey::es256().flattened(&wrong.protected(), b"{}");
    let general = json!({
        "payload": right["payload"],
        "signatures": [{ "protected": right["protected"], "signature": right["signature"] }],
    });
    let padded = format!("{}=", part("payload"));
    vec![
        case("signed by another key", foreign, SIGNATURE),
        case(
            "no signature",
            wrong.changed("signature", json!("")),
            SIGNATURE,
        ),
        case(
            "half a signature",
            wrong.changed("signature", json!(b64([1; 32]))),
            SIGNATURE,
        ),
        case(
            "a signature in ASN.1",
            wrong.changed("signature", json!(b64([0x30; 70]))),
            SIGNATURE,
        ),
        case(
            "another payload",
            wrong.changed("payload", json!(b64("{\"a\":1}"))),
            SIGNATURE,
        ),
        case(
            "padding",
            wrong.changed("payload", json!(padded)),
            MALFORMED,
        ),
        case(
            "protected not base64",
            wrong.changed("protected", json!("{}")),
            MALFORMED,
        ),
        case(
            "protected not JSON",
            wrong.changed("protected", json!(b64("{"))),
            MALFORMED,
        ),
        case(
            "an unprotected header",
            wrong.changed("header", json!({ "alg": "ES256" })),
            MALFORMED,
        ),
        case("several signatures", general, MALFORMED),
        case(
            "the compact form",
            json!(format!(
                "{}.{}.{}",
                part("protected"),
                part("payload"),
                part("signature")
            )),
            MALFORMED,
        ),
        case("a list", json!([right]), MALFORMED),
        case("empty", json!({}), MALFORMED),
        case(
            "a payload that is not JSON",
            wrong.key.flattened(&wrong.protected(), b"{"),
            MALFORMED,
        ),
        case(
            "a payload that is a list",
            wrong.key.flattened(&wrong.protected(), b"[]"),
            MALFORMED,
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_are_refused_and_say_why() {
    let world = World::start().await;
    let mut client = world.client().await;
    for cases in [header_cases, key_cases, body_cases] {
        let count = cases(&Wrong::new(&mut client).await).len();
        for number in 0..count {
            // A nonce serves once, so each case gets its own.
            let wrong = Wrong::new(&mut client).await;
            let case = cases(&wrong).swap_remove(number);
            let answer = client.post_jws(&wrong.url, &case.body).await.unwrap();
            check_problem(case.name, &answer, answer.status, case.types);
            assert!(
                (400..404).contains(&answer.status),
                "{}: {}",
                case.name,
                answer.status
            );
            if case.types == ALGORITHM {
                let algorithms = answer.json()["algorithms"].clone();
                assert!(
                    algorithms.as_array().unwrap().contains(&json!("ES256")),
                    "{algorithms}"
                );
            }
        }
    }
    let wrong = Wrong::new(&mut client).await;
    let answer = client.post_jws(&wrong.url, &wrong.right()).await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn jwk_where_kid_belongs_and_the_other_way_round() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    for url in ["newOrder", "keyChange"] {
        let url = client.directory.url(url).to_owned();
        let answer = client
            .post_with_jwk(&account.key, &url, &json!({}))
            .await
            .unwrap();
        check_problem(&url, &answer, 400, &["malformed"]);
    }
    let url = client.directory.url("newAccount").to_owned();
    let answer = client.post(&account, &url, &json!({})).await.unwrap();
    check_problem("newAccount with kid", &answer, 400, &["malformed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_account_is_named_as_such() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    let order = client.directory.url("newOrder").to_owned();
    let other_endpoint = account.kid.replace("/acme/default/", "/acme/other/");
    let stem = account.kid.rsplit_once('/').unwrap().0.to_owned();
    for kid in [
        format!("{stem}/AAAAAAAAAAAAAAAAAAAAAA"),
        other_endpoint,
        "x".to_owned(),
    ] {
        let stranger = Account {
            key: AccountKey::es256(),
            kid,
        };
        let answer = client.post(&stranger, &order, &json!({})).await.unwrap();
        let types = ["accountDoesNotExist", "malformed"];
        check_problem(&stranger.kid, &answer, answer.status, &types);
    }
    let thief = Account {
        key: AccountKey::es256(),
        kid: account.kid.clone(),
    };
    let answer = client.post(&thief, &order, &json!({})).await.unwrap();
    check_problem("another's kid", &answer, answer.status, SIGNATURE);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_media_type_and_the_size_are_bounded() {
    let world = World::start().await;
    let mut client = world.client().await;
    for kind in ["application/json", "text/plain", "application/jose"] {
        let wrong = Wrong::new(&mut client).await;
        let body = wrong.right().to_string().into_bytes();
        let answer = client.post_bytes(&wrong.url, kind, body).await.unwrap();
        check_problem(kind, &answer, 415, &["malformed"]);
    }
    let wrong = Wrong::new(&mut client).await;
    let large = vec![b' '; 65 * 1024];
    let answer = client
        .post_bytes(&wrong.url, "application/jose+json", large)
        .await
        .unwrap();
    check_problem("too large", &answer, 413, &["malformed"]);
    assert!(answer.header("replay-nonce").is_some());
}
