//! RFC 8555 §7.4.1, §7.5, §7.5.2

use serde_json::{Value, json};

use super::{House, text};
use crate::acme::testing::{Answer, Client};

async fn preauthorize(client: &Client, name: &str) -> Answer {
    let payload = json!({ "identifier": { "type": "dns", "value": name } });
    client.post(&client.acme.urls.new_authz(), payload).await
}

#[tokio::test]
async fn a_name_authorised_in_advance_makes_its_order_ready() {
    let house = House::new().await;
    let client = house.server.registered().await;
    let answer = preauthorize(&client, "a.example").await;
    let authorization = answer.expect(201);
    let url = answer.header("location").unwrap();
    assert_eq!(authorization["status"], "pending");
    assert_eq!(authorization["challenges"].as_array().unwrap().len(), 3);
    assert!(authorization.get("wildcard").is_none());

    client
        .post(text(&authorization["challenges"][1]["url"]), json!({}))
        .await
        .expect(200);
    let order = client.order(&["a.example"]).await.expect(201);
    assert_eq!(order["status"], "ready");
    assert_eq!(order["authorizations"], json!([url]));

    // RFC 8555 §7.4.1: one that exists is answered with 200.
    let again = preauthorize(&client, "a.example").await;
    assert_eq!(again.expect(200)["status"], "valid");
    assert_eq!(again.header("location"), Some(url));
}

#[tokio::test]
async fn what_can_not_be_authorised_in_advance() {
    let house = House::new().await;
    let client = house.server.registered().await;
    preauthorize(&client, "*.a.example")
        .await
        .expect_problem(400, "malformed");
    preauthorize(&client, "127.0.0.1")
        .await
        .expect_problem(400, "malformed");
    let ip = json!({ "identifier": { "type": "ip", "value": "192.0.2.1" } });
    let answer = client.post(&client.acme.urls.new_authz(), ip).await;
    answer.expect_problem(400, "unsupportedIdentifier");
}

#[tokio::test]
async fn only_the_challenge_that_decided_is_told() {
    let house = House::new().await;
    house.validator.fail("bad.example");
    let client = house.server.registered().await;
    for (name, status) in [("good.example", "valid"), ("bad.example", "invalid")] {
        let answer = preauthorize(&client, name).await;
        let pending = answer.expect(201);
        client
            .post(text(&pending["challenges"][1]["url"]), json!({}))
            .await
            .expect(200);
        let decided = client
            .fetch(answer.header("location").unwrap())
            .await
            .expect(200);
        assert_eq!(decided["status"], status);
        assert_eq!(decided["challenges"].as_array().unwrap().len(), 1);
        assert_eq!(decided["challenges"][0]["type"], "dns-01");
        assert_eq!(decided["challenges"][0]["status"], status);
        assert_eq!(
            decided["challenges"][0].get("error").is_some(),
            status == "invalid"
        );
    }
}

#[tokio::test]
async fn deactivating() {
    let house = House::new().await;
    house.validator.fail("bad.example");
    let client = house.server.registered().await;
    let deactivate = json!({ "status": "deactivated" });
    let change = async |url: &str, payload: &Value| client.post(url, payload.clone()).await;

    for proved in [false, true] {
        let name = format!("n{proved}.example");
        let answer = preauthorize(&client, &name).await;
        let url = answer.header("location").unwrap();
        let challenge = answer.expect(201)["challenges"][0]["url"].clone();
        if proved {
            client.post(text(&challenge), json!({})).await.expect(200);
        }
        for refused in [
            json!({}),
            json!({ "status": "valid" }),
            json!({ "status": "pending" }),
        ] {
            change(url, &refused).await.expect_problem(400, "malformed");
        }
        assert_eq!(
            change(url, &deactivate).await.expect(200)["status"],
            "deactivated"
        );
        assert_eq!(
            change(url, &deactivate).await.expect(200)["status"],
            "deactivated"
        );
        assert_eq!(client.fetch(url).await.expect(200)["status"], "deactivated");
        // It authorizes nothing any more, and takes no proof.
        assert_eq!(
            client.order(&[&name]).await.expect(201)["status"],
            "pending"
        );
        let asked = house.validator.asked();
        if !proved {
            client
                .post(text(&challenge), json!({}))
                .await
                .expect_problem(400, "malformed");
        }
        assert_eq!(house.validator.asked(), asked);
    }

    let answer = preauthorize(&client, "bad.example").await;
    let challenge = answer.expect(201)["challenges"][0]["url"].clone();
    client.post(text(&challenge), json!({})).await.expect(200);
    let url = answer.header("location").unwrap();
    change(url, &deactivate)
        .await
        .expect_problem(400, "malformed");
}
