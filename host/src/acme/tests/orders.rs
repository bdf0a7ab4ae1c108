//! RFC 8555 §7.4, §7.1.2.1, §7.1.3

use std::time::Duration;

use serde_json::json;

use super::ca::Does;
use super::{House, csr, dns, text};
use crate::acme::testing::config;
use crate::order::{AuthorizationState, ChallengeType, OrderStatus};
use crate::time::UnixTime;

#[tokio::test]
async fn a_new_order_has_all_that_the_rfc_asks_for() {
    let house = House::new().await;
    let client = house.server.registered().await;
    let now = UnixTime::now();
    let not_after = now.plus(Duration::from_secs(3600)).to_string();
    let answer = client
        .order_with(json!({
            "identifiers": dns(&["A.example", "*.a.example"]),
            "notBefore": now.to_string(),
            "notAfter": not_after,
            "replaces": "something of a later RFC",
        }))
        .await;
    let order = answer.expect(201);
    assert_eq!(order["status"], "pending");
    assert_eq!(order["identifiers"], dns(&["a.example", "*.a.example"]));
    assert_eq!(order["notAfter"], not_after);
    assert_eq!(order["authorizations"].as_array().unwrap().len(), 2);
    assert!(order.get("certificate").is_none() && order.get("error").is_none());
    let expires = UnixTime::parse_rfc3339(text(&order["expires"])).unwrap();
    assert!(expires.since(now) >= Duration::from_secs(86_390));

    let url = answer.header("location").unwrap();
    assert_eq!(client.fetch(url).await.expect(200), order);
    assert_eq!(answer.links("index").len(), 1);

    let authorization = client
        .fetch(text(&order["authorizations"][1]))
        .await
        .expect(200);
    assert_eq!(
        authorization["identifier"],
        json!({"type": "dns", "value": "a.example"})
    );
    assert_eq!(authorization["wildcard"], true);
    let kinds: Vec<_> = authorization["challenges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|challenge| text(&challenge["type"]).to_owned())
        .collect();
    assert_eq!(kinds, ["dns-01"]);
}

#[tokio::test]
async fn what_can_not_be_ordered() {
    let mut config = config();
    config.denied_names = vec!["*.internal".into()];
    config.max_identifiers = 3;
    let house = House::with(config).await;
    let client = house.server.registered().await;
    let now = UnixTime::now();
    let at = |days: i64| UnixTime::from_secs(now.as_secs() + days * 86_400).to_string();
    for (payload, status, kind) in [
        (json!({}), 400, "malformed"),
        (json!({ "identifiers": [] }), 400, "malformed"),
        (json!({ "identifiers": "a.example" }), 400, "malformed"),
        (
            json!({ "identifiers": dns(&["a.b", "b.b", "c.b", "d.b"]) }),
            400,
            "malformed",
        ),
        (
            json!({ "identifiers": dns(&["10.0.0.5"]) }),
            400,
            "malformed",
        ),
        (
            json!({ "identifiers": dns(&["x.internal"]) }),
            403,
            "rejectedIdentifier",
        ),
        (
            json!({ "identifiers": [{ "type": "ip", "value": "192.0.2.1" }] }),
            400,
            "unsupportedIdentifier",
        ),
        (
            json!({ "identifiers": dns(&["x.internal", "a_b"]) }),
            400,
            "compound",
        ),
        (
            json!({ "identifiers": dns(&["a.b"]), "notBefore": "yesterday" }),
            400,
            "malformed",
        ),
        (
            json!({ "identifiers": dns(&["a.b"]), "notAfter": at(-1) }),
            400,
            "malformed",
        ),
        (
            json!({ "identifiers": dns(&["a.b"]), "notAfter": at(91) }),
            400,
            "malformed",
        ),
        (
            json!({ "identifiers": dns(&["a.b"]), "notBefore": at(2), "notAfter": at(1) }),
            400,
            "malformed",
        ),
    ] {
        let answer = client.order_with(payload.clone()).await;
        assert_eq!(answer.status.as_u16(), status, "{payload}");
        answer.expect_problem(status, kind);
    }
    let problem = client
        .order(&["ok.example", "x.internal", "a_b"])
        .await
        .expect(400);
    let subproblems = problem["subproblems"].as_array().unwrap();
    let subjects: Vec<_> = subproblems
        .iter()
        .map(|each| &each["identifier"]["value"])
        .collect();
    assert_eq!(subjects, ["x.internal", "a_b"]);
    assert!(house.store.orders(None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_valid_authorization_serves_the_next_order() {
    let house = House::new().await;
    let client = house.server.registered().await;
    let (_, first) = client.ready(&["a.example", "b.example"]).await;

    let second = client.order(&["b.example", "c.example"]).await.expect(201);
    assert_eq!(second["status"], "pending");
    assert_eq!(second["authorizations"][0], first["authorizations"][1]);
    assert_ne!(second["authorizations"][1], first["authorizations"][0]);
    let third = client.order(&["b.example", "a.example"]).await.expect(201);
    assert_eq!(third["status"], "ready");

    // Neither a wildcard over the name nor another account is served by it.
    let wildcard = client.order(&["*.a.example"]).await.expect(201);
    assert_eq!(wildcard["status"], "pending");
    let stranger = house.server.registered().await;
    let foreign = stranger.order(&["a.example"]).await.expect(201);
    assert_eq!(foreign["status"], "pending");
}

#[tokio::test]
async fn an_authorization_about_to_expire_is_not_used_again() {
    let house = House::new().await;
    let client = house.server.registered().await;
    let now = UnixTime::now();
    for (left, status) in [(500, "pending"), (700, "ready")] {
        let order = client.order(&["a.example"]).await.expect(201);
        let url = text(&order["authorizations"][0]);
        let id = url.rsplit('/').next().unwrap().parse().unwrap();
        let expires = now.plus(Duration::from_secs(left));
        let kind = ChallengeType::Http01;
        (house
            .store
            .settle_challenge(id, kind, Ok(()), now, expires)
            .await)
            .unwrap();

        let again = client.order(&["a.example"]).await.expect(201);
        assert_eq!(again["status"], status);
        if status == "ready" {
            // An order can't outlive what it rests on.
            assert_eq!(again["expires"], expires.to_string());
        }
    }
}

#[tokio::test]
async fn a_failed_authorization_shows_in_its_order() {
    let house = House::new().await;
    house.validator.fail("bad.example");
    let client = house.server.registered().await;
    let answer = client.order(&["good.example", "bad.example"]).await;
    client.prove(&answer.expect(201)).await;
    let order = client
        .fetch(answer.header("location").unwrap())
        .await
        .expect(200);
    assert_eq!(order["status"], "invalid");
    assert_eq!(
        order["error"]["type"],
        "urn:ietf:params:acme:error:unauthorized"
    );
    assert_eq!(
        order["error"]["subproblems"][0]["identifier"]["value"],
        "bad.example"
    );
}

#[tokio::test]
async fn the_list_of_orders_comes_in_pages() {
    let house = House::new().await;
    let client = house.server.registered().await;
    let account = client.kid.clone().unwrap();
    let mut next = client.fetch(&account).await.expect(200)["orders"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        client.fetch(&next).await.expect(200),
        json!({ "orders": [] })
    );

    let mut made = Vec::new();
    for n in 0..201 {
        let answer = client.order(&[&format!("n{n}.example")]).await;
        made.push(answer.header("location").unwrap().to_owned());
    }
    let (mut listed, mut pages) = (Vec::new(), Vec::new());
    loop {
        let page = client.fetch(&next).await;
        let orders = page.expect(200)["orders"].as_array().unwrap().clone();
        pages.push(orders.len());
        listed.extend(orders.iter().map(|url| text(url).to_owned()));
        match page.links("next").pop() {
            Some(link) => next = link,
            None => break,
        }
    }
    assert_eq!(pages, [100, 100, 1]);
    listed.sort();
    made.sort();
    assert_eq!(listed, made);

    let (list, _) = next.split_once('?').unwrap();
    client
        .fetch(&format!("{list}?after=x"))
        .await
        .expect_problem(404, "malformed");
}

/// RFC 8555 §7.1.6: what an order shows follows from its authorizations.
#[tokio::test]
async fn states_of_an_order() {
    for (ends, shown) in [
        (AuthorizationState::Pending, OrderStatus::Pending),
        (AuthorizationState::Valid, OrderStatus::Ready),
        (AuthorizationState::Invalid, OrderStatus::Invalid),
        (AuthorizationState::Deactivated, OrderStatus::Invalid),
    ] {
        let house = House::new().await;
        let client = house.server.registered().await;
        let answer = client.order(&["a.example"]).await;
        let order = answer.expect(201);
        let authorization = text(&order["authorizations"][0]);
        match ends {
            AuthorizationState::Valid => client.prove(&order).await,
            AuthorizationState::Invalid => {
                house.validator.fail("a.example");
                client.prove(&order).await;
            }
            AuthorizationState::Deactivated => {
                client
                    .post(authorization, json!({ "status": "deactivated" }))
                    .await
                    .expect(200);
            }
            AuthorizationState::Pending | AuthorizationState::Revoked => {}
        }
        let order = client
            .fetch(answer.header("location").unwrap())
            .await
            .expect(200);
        assert_eq!(order["status"], shown.as_str(), "{ends:?}");
    }
}

/// RFC 8555 §7.1.2.1: "SHOULD NOT include orders that are invalid".
#[tokio::test]
async fn the_list_leaves_out_what_failed() {
    let house = House::new().await;
    let client = house.server.registered().await;
    house.ca.now_does(Does::Deny);
    let (_, doomed) = client.ready(&["a.example"]).await;
    let denied = client.finalize(&doomed, &csr(&["a.example"]).0).await;
    assert_eq!(denied.expect(200)["status"], "invalid");
    let live = client.order(&["b.example"]).await;

    let account = client.fetch(client.kid.as_ref().unwrap()).await.expect(200);
    let list = client.fetch(text(&account["orders"])).await.expect(200);
    assert_eq!(list, json!({ "orders": [live.header("location")] }));
}
