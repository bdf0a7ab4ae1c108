//! RFC 8555 §7.4

use std::time::Duration;

use serde_json::json;

use super::ca::Does;
use super::{House, csr, text};
use crate::acme::testing::base64url;

#[tokio::test]
async fn a_quick_ca_is_answered_with_a_valid_order() {
    let house = House::new().await;
    let client = house.server.registered().await;
    let (url, order) = client.ready(&["a.example", "b.example"]).await;
    let (csr, _) = csr(&["a.example", "b.example"]);
    let answer = client.finalize(&order, &csr).await;
    let valid = answer.expect(200);
    assert_eq!(valid["status"], "valid");
    assert_eq!(answer.header("location"), Some(url.as_str()));
    assert!(answer.header("retry-after").is_none());
    assert_eq!(client.fetch(&url).await.expect(200), valid);
    client
        .fetch(text(&valid["certificate"]))
        .await
        .headers
        .get("content-type")
        .unwrap();
}

#[tokio::test]
async fn finalizing_again_is_answered_with_the_order_as_it_is() {
    let house = House::new().await;
    let client = house.server.registered().await;
    let (_, order) = client.ready(&["a.example"]).await;
    let (request, _) = csr(&["a.example"]);
    let valid = client.finalize(&order, &request).await.expect(200);
    assert_eq!(client.finalize(&order, &request).await.expect(200), valid);

    let (other, _) = csr(&["a.example"]);
    client
        .finalize(&order, &other)
        .await
        .expect_problem(403, "orderNotReady");
    assert_eq!(house.ca.enrolled(), 1);
}

#[tokio::test]
async fn of_two_who_race_one_enrolls() {
    let house = House::new().await;
    house
        .ca
        .now_does(Does::IssueAfter(Duration::from_millis(300)));
    let client = house.server.registered().await;
    let (url, order) = client.ready(&["a.example"]).await;
    let (one, _) = csr(&["a.example"]);
    let (two, _) = csr(&["a.example"]);
    let (a, b, c) = tokio::join!(
        client.finalize(&order, &one),
        client.finalize(&order, &two),
        client.finalize(&order, &one),
    );
    let mut refused = 0;
    for answer in [a, b, c] {
        if answer.status.as_u16() == 403 {
            answer.expect_problem(403, "orderNotReady");
            refused += 1;
        } else {
            let status = answer.expect(200)["status"].clone();
            assert!(status == "valid" || status == "processing", "{status}");
        }
    }
    assert!(refused == 1 || refused == 2);
    assert_eq!(house.ca.enrolled(), 1);
    assert_eq!(client.fetch(&url).await.expect(200)["status"], "valid");
    assert_eq!(house.store.certificates(None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_ca_that_takes_its_time_leaves_the_order_processing() {
    let house = House::new().await;
    house.ca.now_does(Does::Pend);
    let client = house.server.registered().await;
    let (url, order) = client.ready(&["a.example"]).await;
    let (request, _) = csr(&["a.example"]);
    for answer in [
        client.finalize(&order, &request).await,
        client.finalize(&order, &request).await,
        client.fetch(&url).await,
    ] {
        assert_eq!(answer.expect(200)["status"], "processing");
        assert!(answer.header("retry-after").is_some());
    }
    assert_eq!(house.ca.enrolled(), 1);
}

#[tokio::test]
async fn what_the_ca_denies_makes_the_order_invalid() {
    for does in [Does::Deny, Does::IssueWrongly] {
        let house = House::new().await;
        house.ca.now_does(does);
        let client = house.server.registered().await;
        let (url, order) = client.ready(&["a.example"]).await;
        let (request, _) = csr(&["a.example"]);
        let invalid = client.finalize(&order, &request).await.expect(200);
        assert_eq!(invalid["status"], "invalid");
        assert!(invalid["error"]["detail"].is_string());
        assert!(invalid.get("certificate").is_none());
        assert_eq!(client.fetch(&url).await.expect(200), invalid);
        client
            .finalize(&order, &request)
            .await
            .expect_problem(403, "orderNotReady");
    }
}

#[tokio::test]
async fn only_a_ready_order_takes_a_csr() {
    let house = House::new().await;
    let client = house.server.registered().await;
    let order = client.order(&["a.example"]).await.expect(201);
    let (request, _) = csr(&["a.example"]);
    client
        .finalize(&order, &request)
        .await
        .expect_problem(403, "orderNotReady");
    house.validator.fail("a.example");
    client.prove(&order).await;
    client
        .finalize(&order, &request)
        .await
        .expect_problem(403, "orderNotReady");
    assert_eq!(house.ca.enrolled(), 0);
}

#[tokio::test]
async fn what_is_no_csr_for_the_order_changes_nothing() {
    let house = House::new().await;
    let client = house.server.registered().await;
    let (url, order) = client.ready(&["a.example"]).await;
    let finalize = text(&order["finalize"]);
    let (good, _) = csr(&["a.example"]);
    let mut broken = good.clone();
    let last = broken.len() - 1;
    broken[last] ^= 1;
    for bad in [
        base64url(b"not a CSR"),
        base64url(&good[..good.len() - 1]),
        base64url(&broken),
        base64url(&[good.as_slice(), b"x"].concat()),
        base64url(&csr(&["b.example"]).0),
        base64url(&csr(&["a.example", "b.example"]).0),
        base64url(&csr(&["*.a.example"]).0),
        base64url(&[0; 33 * 1024]),
        format!("{}=", base64url(&good)),
        "-----BEGIN CERTIFICATE REQUEST-----".to_owned(),
        String::new(),
    ] {
        let answer = client.post(finalize, json!({ "csr": bad })).await;
        answer.expect_problem(400, "badCSR");
    }
    for payload in [json!({}), json!({ "csr": 1 }), json!({ "csr": null })] {
        client
            .post(finalize, payload)
            .await
            .expect_problem(400, "malformed");
    }
    assert_eq!(client.fetch(&url).await.expect(200)["status"], "ready");
    assert_eq!(house.ca.enrolled(), 0);
    client.finalize(&order, &good).await.expect(200);
}

#[tokio::test]
async fn an_endpoint_whose_ca_is_down_answers_503() {
    let server = super::Server::new();
    let client = server.registered().await;
    let (url, order) = client.ready(&["a.example"]).await;
    let answer = client.finalize(&order, &csr(&["a.example"]).0).await;
    answer.expect_problem(503, "serverInternal");
    assert!(answer.header("retry-after").is_some());
    assert_eq!(client.fetch(&url).await.expect(200)["status"], "ready");
}
