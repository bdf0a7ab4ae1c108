//! RFC 8555 §7.5 and §7.4.1: authorizations.

use certdock_tests::World;
use certdock_tests::issue::{authorize_http01, challenge, new_order};
use serde_json::json;

use super::check_problem;

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_offers_the_endpoint_s_challenges() {
    let world = World::with(|settings| {
        settings.endpoint = "challenges = [\"http-01\", \"dns-01\"]\n".to_owned();
    })
    .await;
    let (mut client, account) = world.account().await;
    let order = new_order(&mut client, &account, &["a.test", "*.a.test"])
        .await
        .unwrap()
        .json();
    for url in order["authorizations"].as_array().unwrap() {
        let answer = client
            .post_as_get(&account, url.as_str().unwrap())
            .await
            .unwrap();
        let json = answer.expect(200).unwrap().json();
        assert_eq!(json["status"], "pending");
        assert_eq!(
            json["identifier"],
            json!({ "type": "dns", "value": "a.test" })
        );
        assert!(json["expires"].is_string());
        let wildcard = json["wildcard"] == true;
        let mut kinds: Vec<_> = json["challenges"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["type"].as_str().unwrap())
            .collect();
        kinds.sort_unstable();
        // RFC 8555 §8.3, RFC 8737 §3: a wildcard is proven by DNS alone.
        assert_eq!(
            kinds,
            if wildcard {
                vec!["dns-01"]
            } else {
                vec!["dns-01", "http-01"]
            }
        );
        for one in json["challenges"].as_array().unwrap() {
            assert_eq!(one["status"], "pending");
            // RFC 8555 §8.3: 128 bits at least.
            assert!(one["token"].as_str().unwrap().len() >= 22);
        }
    }
}

/// RFC 8555 §7.5.2
#[tokio::test(flavor = "multi_thread")]
async fn a_deactivated_authorization_stays_so() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    let made = new_order(&mut client, &account, &["off.test"])
        .await
        .unwrap();
    let order_url = made.header("location").unwrap().to_owned();
    let url = made.json()["authorizations"][0]
        .as_str()
        .unwrap()
        .to_owned();
    let bad = client
        .post(&account, &url, &json!({ "status": "valid" }))
        .await
        .unwrap();
    check_problem("only deactivated", &bad, 400, &["malformed"]);
    let off = json!({ "status": "deactivated" });
    let answer = client
        .post(&account, &url, &off)
        .await
        .unwrap()
        .expect(200)
        .unwrap();
    assert_eq!(answer.json()["status"], "deactivated");
    let order = client
        .post_as_get(&account, &order_url)
        .await
        .unwrap()
        .json();
    assert_eq!(order["status"], "invalid", "{order}");
    let challenge_url = challenge(&answer.json(), "http-01").unwrap()["url"].clone();
    let late = client
        .post(&account, challenge_url.as_str().unwrap(), &json!({}))
        .await
        .unwrap();
    assert_ne!(late.json()["status"], "valid");
    let state = client.post_as_get(&account, &url).await.unwrap().json();
    assert_eq!(state["status"], "deactivated");
}

/// RFC 8555 §7.4.1
#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_made_before_serves_an_order() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    let url = client.directory.url("newAuthz").to_owned();
    let payload = json!({ "identifier": { "type": "dns", "value": "early.test" } });
    let answer = client
        .post(&account, &url, &payload)
        .await
        .unwrap()
        .expect(201)
        .unwrap();
    let authorization = answer.header("location").unwrap().to_owned();
    assert_eq!(answer.json()["status"], "pending");
    authorize_http01(&mut client, &account, &authorization, &world.http01)
        .await
        .unwrap();
    let order = new_order(&mut client, &account, &["early.test"])
        .await
        .unwrap()
        .json();
    assert_eq!(order["status"], "ready", "{order}");
    assert_eq!(order["authorizations"], json!([authorization]));

    for (case, identifier) in [
        (
            "a wildcard",
            json!({ "type": "dns", "value": "*.early.test" }),
        ),
        ("an address", json!({ "type": "dns", "value": "10.0.0.1" })),
        ("an unknown type", json!({ "type": "tn", "value": "1" })),
        ("nothing", json!(null)),
    ] {
        let answer = client
            .post(&account, &url, &json!({ "identifier": identifier }))
            .await
            .unwrap();
        let types = ["malformed", "rejectedIdentifier", "unsupportedIdentifier"];
        check_problem(case, &answer, answer.status, &types);
    }
}

/// RFC 8555 §7.5.1: an object, whatever is in it; anything else is malformed.
#[tokio::test(flavor = "multi_thread")]
async fn the_challenge_response_is_an_object() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    let order = new_order(&mut client, &account, &["object.test"])
        .await
        .unwrap()
        .json();
    let url = order["authorizations"][0].as_str().unwrap().to_owned();
    let authorization = client.post_as_get(&account, &url).await.unwrap().json();
    let one = challenge(&authorization, "http-01").unwrap();
    let (challenge_url, token) = (one["url"].as_str().unwrap(), one["token"].as_str().unwrap());
    for payload in [json!([]), json!("ready"), json!(1), json!(null)] {
        let answer = client
            .post(&account, challenge_url, &payload)
            .await
            .unwrap();
        check_problem(&payload.to_string(), &answer, 400, &["malformed"]);
    }
    let state = client
        .post_as_get(&account, challenge_url)
        .await
        .unwrap()
        .json();
    assert_eq!(state["status"], "pending");
    let key_authorization = format!("{token}.{}", account.key.thumbprint());
    world.http01.set(token, &key_authorization);
    // What older drafts sent.
    let payload = json!({ "keyAuthorization": key_authorization, "resource": "challenge" });
    let answer = client
        .post(&account, challenge_url, &payload)
        .await
        .unwrap()
        .expect(200)
        .unwrap();
    assert_eq!(
        answer.json()["status"],
        "valid",
        "answered when the work is done"
    );
    assert!(answer.json()["validated"].is_string());
    let state = client.post_as_get(&account, &url).await.unwrap().json();
    assert_eq!(state["status"], "valid");
}
