//! RFC 8555 §7.6

use std::time::Duration;

use serde_json::{Value, json};

use super::ca::Does;
use super::{House, csr, text};
use crate::acme::problem::{Problem, ProblemType};
use crate::acme::testing::{Answer, Client, TestKey, base64url};
use crate::issuance::RevocationError;

async fn der(client: &Client, order: &Value) -> Vec<u8> {
    let answer = client.fetch(text(&order["certificate"])).await;
    pem::parse(&answer.body).unwrap().into_contents()
}

async fn revoke(client: &Client, certificate: &[u8], reason: Option<i64>) -> Answer {
    let mut payload = json!({ "certificate": base64url(certificate) });
    if let Some(reason) = reason {
        payload["reason"] = json!(reason);
    }
    client.post(&client.acme.urls.revoke_cert(), payload).await
}

#[tokio::test]
async fn by_the_account_that_ordered_it_once() {
    let house = House::new().await;
    let client = house.server.registered().await;
    let (order, _) = client.certified(&["a.example"]).await;
    let certificate = der(&client, &order).await;
    let answer = revoke(&client, &certificate, Some(4)).await;
    answer.expect(200);
    assert!(answer.body.is_empty());
    assert_eq!(house.ca.revoked(), [4]);
    revoke(&client, &certificate, Some(4))
        .await
        .expect_problem(400, "alreadyRevoked");
    assert_eq!(house.ca.revoked(), [4]);
    // It can still be fetched.
    assert_eq!(client.fetch(text(&order["certificate"])).await.status, 200);
}

#[tokio::test]
async fn by_the_certificate_s_key() {
    let house = House::new().await;
    let client = house.server.registered().await;
    let (order, key) = client.certified(&["a.example"]).await;
    let certificate = der(&client, &order).await;

    let other = house.server.client();
    revoke(&other, &certificate, Some(1))
        .await
        .expect_problem(403, "unauthorized");
    let owner = house
        .server
        .client_with(TestKey::es256_of(key.serialized_der()));
    revoke(&owner, &certificate, Some(1)).await.expect(200);
    assert_eq!(house.ca.revoked(), [1]);
}

#[tokio::test]
async fn by_an_account_that_speaks_for_all_its_names() {
    let house = House::new().await;
    let client = house.server.registered().await;
    let names = ["a.example", "*.b.example"];
    let (order, _) = client.certified(&names).await;
    let certificate = der(&client, &order).await;

    let other = house.server.registered().await;
    for held in [
        &["x.example"][..],
        &["a.example"],
        &["b.example", "c.b.example"],
    ] {
        other.ready(held).await;
        revoke(&other, &certificate, None)
            .await
            .expect_problem(403, "unauthorized");
    }
    other.ready(&["*.b.example"]).await;
    revoke(&other, &certificate, None).await.expect(200);
    assert_eq!(house.ca.revoked(), [0]);
}

#[tokio::test]
async fn what_can_not_be_revoked() {
    let house = House::new().await;
    let client = house.server.registered().await;
    let (order, _) = client.certified(&["a.example"]).await;
    let certificate = der(&client, &order).await;
    for reason in [-1, 2, 6, 7, 8, 10, 11, 256, i64::MAX] {
        let answer = revoke(&client, &certificate, Some(reason)).await;
        answer.expect_problem(400, "badRevocationReason");
    }
    for payload in [
        json!({}),
        json!({ "certificate": "=" }),
        json!({ "certificate": 1 }),
        json!({ "certificate": base64url(&certificate), "reason": "keyCompromise" }),
    ] {
        let answer = client.post(&client.acme.urls.revoke_cert(), payload).await;
        answer.expect_problem(400, "malformed");
    }
    for unknown in [b"".as_slice(), b"no certificate", &certificate[1..]] {
        revoke(&client, unknown, None)
            .await
            .expect_problem(404, "malformed");
    }

    house.ca.now_does(Does::IssueWrongly);
    let (_, order) = client.ready(&["b.example"]).await;
    client
        .finalize(&order, &csr(&["b.example"]).0)
        .await
        .expect(200);
    let all = house.store.certificates(None, 9).await.unwrap();
    let withheld = all.iter().find(|each| each.withheld).unwrap();
    revoke(&client, &withheld.der, None)
        .await
        .expect_problem(404, "malformed");
    assert!(house.ca.revoked().is_empty());
}

#[test]
fn how_a_refusal_of_the_ca_is_told() {
    let retry_after = Duration::from_secs(7);
    for (error, status, kind) in [
        (
            RevocationError::AlreadyRevoked,
            400,
            ProblemType::AlreadyRevoked,
        ),
        (
            RevocationError::Unavailable { retry_after },
            503,
            ProblemType::ServerInternal,
        ),
        (
            RevocationError::Unsupported,
            501,
            ProblemType::ServerInternal,
        ),
        (
            RevocationError::Refused("no".into()),
            403,
            ProblemType::Unauthorized,
        ),
        (
            RevocationError::Store(crate::store::Error::Closed),
            500,
            ProblemType::ServerInternal,
        ),
    ] {
        let problem = Problem::from(error);
        assert_eq!((problem.status.as_u16(), problem.kind), (status, kind));
        assert_eq!(problem.retry_after, (status == 503).then_some(retry_after));
    }
}
