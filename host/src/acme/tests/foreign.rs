//! Whose a resource is: a stranger and nobody's resource are answered alike.

use serde_json::{Value, json};

use super::ca::Does;
use super::{House, csr, text};
use crate::acme::testing::{Answer, base64url};

#[tokio::test]
async fn a_stranger_sees_nothing() {
    let house = House::new().await;
    house.ca.now_does(Does::IssueWithAlternate);
    let owner = house.server.registered().await;
    let stranger = house.server.registered().await;
    let pending = owner.order(&["p.example"]).await;
    let pending_url = pending.header("location").unwrap();
    let pending = pending.expect(201);
    let (_, ready) = owner.ready(&["r.example"]).await;
    let (valid, _) = owner.certified(&["v.example"]).await;
    let certificate = text(&valid["certificate"]);
    let alternate = owner.fetch(certificate).await.links("alternate").remove(0);
    let authorization = text(&pending["authorizations"][0]);
    let challenge = owner.fetch(authorization).await.expect(200)["challenges"][0].clone();
    let challenge = text(&challenge["url"]);
    let orders = owner.fetch(owner.kid.as_ref().unwrap()).await.expect(200)["orders"].clone();
    let finalize = json!({ "csr": base64url(&csr(&["r.example"]).0) });

    // Each way to every resource that belongs to somebody.
    let ways: &[(&str, Option<Value>)] = &[
        (text(&orders), None),
        (pending_url, None),
        (text(&ready["finalize"]), Some(finalize)),
        (authorization, None),
        (authorization, Some(json!({ "status": "deactivated" }))),
        (challenge, None),
        (challenge, Some(json!({}))),
        (certificate, None),
        (&alternate, None),
    ];
    for (url, payload) in ways {
        let ask = async |url: &str| -> Answer {
            match payload {
                None => stranger.fetch(url).await,
                Some(payload) => stranger.post(url, payload.clone()).await,
            }
        };
        let foreign = ask(url).await;
        foreign.expect_problem(404, "malformed");
        // An id nobody has, and what is no id.
        let (before, id) = split_id(url);
        for other in ["AAAAAAAAAAAAAAAAAAAAAA", "x", "%2e%2e"] {
            let unknown = ask(&format!("{before}{}", id.replacen(id_of(id), other, 1))).await;
            assert_eq!(unknown.status, foreign.status, "{url}");
            assert_eq!(unknown.body, foreign.body, "{url}");
        }
    }
    assert_eq!(house.ca.enrolled(), 1);
    assert_eq!(
        owner.fetch(authorization).await.expect(200)["status"],
        "pending"
    );
    assert_eq!(
        house.store.processing_authorizations().await.unwrap().len(),
        0
    );
}

/// Splits before the id: after "/acme/default/KIND/".
fn split_id(url: &str) -> (&str, &str) {
    let (at, _) = url.match_indices('/').nth(5).unwrap();
    url.split_at(at + 1)
}

fn id_of(rest: &str) -> &str {
    rest.split('/').next().unwrap()
}

#[tokio::test]
async fn nothing_is_read_by_get() {
    let house = House::new().await;
    let owner = house.server.registered().await;
    let order = owner.order(&["a.example"]).await;
    let url = order.header("location").unwrap();
    let order = order.expect(201);
    let urls = owner.acme.urls();
    for url in [
        url,
        text(&order["finalize"]),
        text(&order["authorizations"][0]),
        &urls.new_order(),
        &urls.new_authz(),
        &urls.revoke_cert(),
    ] {
        let answer = house.server.plain(http::Method::GET, url).await;
        answer.expect_problem(405, "malformed");
    }
}
