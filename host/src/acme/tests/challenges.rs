//! RFC 8555 §7.5.1

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::{House, text};
use crate::acme::challenge::PATIENCE;
use crate::acme::testing::Client;
use crate::order::{AuthorizationState, ChallengeType};

/// The order's first authorization: its URL and its object.
async fn authorization(client: &Client, name: &str) -> (String, Value) {
    let order = client.order(&[name]).await.expect(201);
    let url = text(&order["authorizations"][0]).to_owned();
    let authorization = client.fetch(&url).await.expect(200);
    (url, authorization)
}

#[tokio::test]
async fn a_quick_check_is_answered_with_its_result() {
    let house = House::new().await;
    house.validator.fail("bad.example");
    let client = house.server.registered().await;
    for (name, status) in [("good.example", "valid"), ("bad.example", "invalid")] {
        let (up, authorization) = authorization(&client, name).await;
        let challenge = &authorization["challenges"][0];
        let url = text(&challenge["url"]);
        assert_eq!(client.fetch(url).await.expect(200), *challenge);
        let asked = house.validator.asked();

        // RFC 8555 §7.5.1: what the object holds is ignored.
        let answer = client
            .post(url, json!({ "keyAuthorization": "of an old draft" }))
            .await;
        let done = answer.expect(200);
        assert_eq!(done["status"], status);
        assert_eq!(done["type"], "http-01");
        assert_eq!(done["token"], challenge["token"]);
        assert!(done["validated"].is_string());
        assert_eq!(answer.links("up"), [up.as_str()]);
        assert!(answer.header("retry-after").is_none());
        if status == "invalid" {
            assert_eq!(
                done["error"]["type"],
                "urn:ietf:params:acme:error:unauthorized"
            );
        }
        // Once is enough.
        assert_eq!(client.post(url, json!({})).await.expect(200), done);
        assert_eq!(house.validator.asked(), asked + 1);
    }
}

#[tokio::test]
async fn the_proof_holds_the_account_s_thumbprint() {
    let house = House::new().await;
    let client = house.server.registered().await;
    let (_, authorization) = authorization(&client, "a.example").await;
    let challenge = &authorization["challenges"][2];
    client
        .post(text(&challenge["url"]), json!({}))
        .await
        .expect(200);

    let proof = house.validator.asked.lock()[0].clone();
    let jwk = crate::acme::jwk::Jwk::parse(&client.key.jwk().to_string()).unwrap();
    let thumbprint = super::base64url(&jwk.key.thumbprint.0);
    let token = text(&challenge["token"]);
    assert_eq!(proof.key_authorization, format!("{token}.{thumbprint}"));
    assert_eq!(proof.name.as_str(), "a.example");
    assert_eq!(proof.kind.as_str(), "tls-alpn-01");
}

#[tokio::test]
async fn responses_that_race_start_one_check() {
    let house = House::new().await;
    house.validator.take(Duration::from_millis(300));
    let client = house.server.registered().await;
    let (_, authorization) = authorization(&client, "a.example").await;
    let url = text(&authorization["challenges"][0]["url"]);
    let (a, b, c) = tokio::join!(
        client.post(url, json!({})),
        client.post(url, json!({})),
        client.post(url, json!({})),
    );
    for answer in [a, b, c] {
        assert_eq!(answer.expect(200)["status"], "valid");
    }
    assert_eq!(house.validator.asked(), 1);
}

#[tokio::test]
async fn a_slow_check_goes_on_by_itself() {
    let house = House::new().await;
    house.validator.take(PATIENCE + Duration::from_secs(1));
    let client = house.server.registered().await;
    let (up, authorization) = authorization(&client, "a.example").await;
    let url = text(&authorization["challenges"][0]["url"]);

    let answer = client.post(url, json!({})).await;
    assert_eq!(answer.expect(200)["status"], "processing");
    assert!(answer.header("retry-after").is_some());
    let pending = client.fetch(&up).await;
    assert_eq!(pending.expect(200)["status"], "pending");
    assert!(pending.header("retry-after").is_some());
    assert_eq!(
        house.store.processing_authorizations().await.unwrap().len(),
        1
    );

    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(client.fetch(url).await.expect(200)["status"], "valid");
    assert_eq!(client.fetch(&up).await.expect(200)["status"], "valid");
    assert!(
        house
            .store
            .processing_authorizations()
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(house.validator.asked(), 1);
}

#[tokio::test]
async fn what_was_promised_is_resumed_after_a_restart() {
    let house = House::new().await;
    let client = house.server.registered().await;
    let (up, pending) = authorization(&client, "a.example").await;
    let (_, untouched) = authorization(&client, "b.example").await;
    let id = up.rsplit('/').next().unwrap().parse().unwrap();
    // As a server leaves it that was killed in the middle of a check.
    let kind = ChallengeType::Dns01;
    assert!(house.store.claim_challenge(id, kind).await.unwrap());

    house.server.acme.resume_validations().await.unwrap();
    let url = text(&pending["challenges"][1]["url"]);
    assert_eq!(
        client.post(url, json!({})).await.expect(200)["status"],
        "valid"
    );
    assert_eq!(client.fetch(&up).await.expect(200)["status"], "valid");
    assert_eq!(house.validator.asked(), 1);
    let untouched = text(&untouched["challenges"][0]["url"]);
    assert_eq!(
        client.fetch(untouched).await.expect(200)["status"],
        "pending"
    );
}

#[tokio::test]
async fn what_is_no_response() {
    let house = House::new().await;
    let client = house.server.registered().await;
    let (up, authorization) = authorization(&client, "a.example").await;
    let url = text(&authorization["challenges"][0]["url"]);
    for payload in ["[]", "null", "\"{}\"", "1", "{", "{}x"] {
        let answer = client.post_bytes(url, payload.as_bytes()).await;
        answer.expect_problem(400, "malformed");
    }
    let base = url.strip_suffix("http-01").unwrap();
    for kind in ["http-02", "HTTP-01", "%00"] {
        let answer = client.post(&format!("{base}{kind}"), json!({})).await;
        answer.expect_problem(404, "malformed");
    }
    assert_eq!(client.fetch(&up).await.expect(200)["status"], "pending");
    assert_eq!(house.validator.asked(), 0);
}

/// A loop over an order's names that checks one of them again and again has happened elsewhere.
#[tokio::test]
async fn each_name_is_checked_itself() {
    let house = House::new().await;
    let client = house.server.registered().await;
    let names = ["a.example", "b.example", "c.example", "*.a.example"];
    client.ready(&names).await;
    let asked = house.validator.asked.lock();
    let checked: Vec<_> = asked.iter().map(|proof| proof.name.as_str()).collect();
    assert_eq!(
        checked,
        ["a.example", "b.example", "c.example", "a.example"]
    );
    let tokens: BTreeSet<_> = asked.iter().map(|proof| proof.token.as_str()).collect();
    assert_eq!(tokens.len(), names.len());
    assert_eq!(asked[3].kind, ChallengeType::Dns01);
}

#[tokio::test]
async fn of_two_challenges_at_once_the_first_result_decides() {
    let house = House::new().await;
    let client = house.server.registered().await;
    let (up, pending) = authorization(&client, "a.example").await;
    house.validator.take(Duration::from_millis(200));
    let challenges = &pending["challenges"];
    let (a, b) = tokio::join!(
        client.post(text(&challenges[0]["url"]), json!({})),
        client.post(text(&challenges[1]["url"]), json!({})),
    );
    let mut shown = [a, b].map(|answer| text(&answer.expect(200)["status"]).to_owned());
    shown.sort();
    assert_eq!(shown, ["pending", "valid"]);
    let decided = client.fetch(&up).await.expect(200);
    assert_eq!(decided["status"], "valid");
    assert_eq!(decided["challenges"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_check_promised_to_an_account_that_has_gone_fails() {
    let house = House::new().await;
    let client = house.server.registered().await;
    let (up, _) = authorization(&client, "a.example").await;
    let id = up.rsplit('/').next().unwrap().parse().unwrap();
    house
        .store
        .claim_challenge(id, ChallengeType::Http01)
        .await
        .unwrap();
    let account = client.kid.as_ref().unwrap();
    client
        .post(account, json!({ "status": "deactivated" }))
        .await
        .expect(200);

    house.server.acme.resume_validations().await.unwrap();
    for _ in 0..100 {
        if house
            .store
            .processing_authorizations()
            .await
            .unwrap()
            .is_empty()
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let settled = house.store.authorization(id).await.unwrap().unwrap();
    assert_eq!(settled.state, AuthorizationState::Invalid);
    assert_eq!(house.validator.asked(), 0);
}
