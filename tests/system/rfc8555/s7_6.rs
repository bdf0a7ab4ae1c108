//! RFC 8555 §7.6: revocation.

use certdock_tests::World;
use certdock_tests::acme::{Account, AccountKey, Client, b64};
use certdock_tests::certificate::ders;
use certdock_tests::issue::{Issued, authorize_http01, issue, new_order};
use rcgen::{PublicKeyData, SigningKey};
use serde_json::{Value, json};

use super::check_problem;

async fn start(name: &str) -> (World, Client, Account, Issued, String) {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    let issued = issue(&mut client, &account, &[name], &world.http01)
        .await
        .unwrap();
    let url = client.directory.url("revokeCert").to_owned();
    (world, client, account, issued, url)
}

fn payload(issued: &Issued) -> Value {
    json!({ "certificate": b64(&ders(&issued.chain)[0]) })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_revokes_once() {
    let (_world, mut client, account, issued, url) = start("own.test").await;
    let mut request = payload(&issued);
    request["reason"] = json!(1);
    let answer = client.post(&account, &url, &request).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.body.is_empty());
    let again = client.post(&account, &url, &request).await.unwrap();
    check_problem("again", &again, 400, &["alreadyRevoked"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_revoke_nothing() {
    let (world, mut client, account, issued, url) = start("kept.test").await;
    let der = ders(&issued.chain);
    let mut broken = der[0].clone();
    *broken.last_mut().unwrap() ^= 1;
    let with_reason = |reason: Value| {
        let mut request = payload(&issued);
        request["reason"] = reason;
        request
    };
    let cases = [
        (
            "reason 7",
            with_reason(json!(7)),
            &["badRevocationReason"][..],
        ),
        (
            "reason 99",
            with_reason(json!(99)),
            &["badRevocationReason"],
        ),
        (
            "reason -1",
            with_reason(json!(-1)),
            &["badRevocationReason", "malformed"],
        ),
        (
            "a reason in words",
            with_reason(json!("keyCompromise")),
            &["malformed", "badRevocationReason"],
        ),
        ("no certificate", json!({}), &["malformed"]),
        (
            "not DER",
            json!({ "certificate": b64("certificate") }),
            &["malformed"],
        ),
        (
            "PEM",
            json!({ "certificate": issued.chain }),
            &["malformed"],
        ),
        (
            "a changed certificate",
            json!({ "certificate": b64(&broken) }),
            &["malformed", "unauthorized"],
        ),
        (
            "the CA's own",
            json!({ "certificate": b64(&der[1]) }),
            &["malformed", "unauthorized"],
        ),
    ];
    for (case, request, types) in cases {
        let answer = client.post(&account, &url, &request).await.unwrap();
        check_problem(case, &answer, answer.status, types);
        assert!(
            (400..=404).contains(&answer.status),
            "{case}: {}",
            answer.status
        );
    }
    let (mut other_client, other) = world.account().await;
    let answer = other_client
        .post(&other, &url, &payload(&issued))
        .await
        .unwrap();
    check_problem("another account", &answer, 403, &["unauthorized"]);
    let stranger = AccountKey::es256();
    let answer = client
        .post_with_jwk(&stranger, &url, &payload(&issued))
        .await
        .unwrap();
    check_problem("another key", &answer, 403, &["unauthorized"]);
    let answer = client
        .post(&account, &url, &payload(&issued))
        .await
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// An account that holds authorizations for every name may revoke.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_with_all_authorizations_revokes() {
    let (world, _, _, issued, url) = start("taken.test").await;
    let (mut client, account) = world.account().await;
    let order = new_order(&mut client, &account, &["taken.test"])
        .await
        .unwrap()
        .json();
    let authorization = order["authorizations"][0].as_str().unwrap();
    authorize_http01(&mut client, &account, authorization, &world.http01)
        .await
        .unwrap();
    let answer = client
        .post(&account, &url, &payload(&issued))
        .await
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_key_revokes() {
    let (_world, mut client, _, issued, url) = start("key.test").await;
    let point = &issued.key.der_bytes()[1..];
    let (x, y) = point.split_at(32);
    let jwk = json!({ "crv": "P-256", "kty": "EC", "x": b64(x), "y": b64(y) });
    let nonce = client.nonce().await.unwrap();
    let protected = json!({ "alg": "ES256", "jwk": jwk, "nonce": nonce, "url": url });
    let (protected, payload) = (
        b64(protected.to_string()),
        b64(payload(&issued).to_string()),
    );
    let signature = issued
        .key
        .sign(format!("{protected}.{payload}").as_bytes())
        .unwrap();
    let jws = json!({
        "protected": protected,
        "payload": payload,
        "signature": b64(fixed_length(&signature)),
    });
    let answer = client.post_jws(&url, &jws).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Two integers of 32 bytes out of an ASN.1 ECDSA signature.
fn fixed_length(der: &[u8]) -> Vec<u8> {
    let mut rest = &der[2..];
    let mut fixed = Vec::new();
    for _ in 0..2 {
        let length = usize::from(rest[1]);
        let number = &rest[2..2 + length];
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        fixed.extend(std::iter::repeat_n(0, 32 - number.len()));
        fixed.extend(number);
        rest = &rest[2 + length..];
    }
    fixed
}
