use http::Method;
use serde_json::json;

use super::*;
use crate::acme::testing::{Server, config};
use crate::config::AcmeEndpoint;

#[tokio::test]
async fn an_account_is_made_once_for_a_key() {
    let server = Server::new();
    let mut client = server.client();
    let contact = json!(["mailto:admin@example.com"]);
    let made = client
        .register(json!({ "contact": contact, "unknown": 1 }))
        .await;
    let object = made.expect(201);
    let url = client.kid.clone().unwrap();
    assert!(url.starts_with("https://ca.example/acme/default/account/"));
    assert_eq!(
        object,
        json!({
            "status": "valid",
            "contact": contact,
            "termsOfServiceAgreed": false,
            "orders": format!("{url}/orders"),
        })
    );
    // RFC 8555 §7.3.1: its payload is not looked at.
    for payload in [
        json!({}),
        json!({ "onlyReturnExisting": true }),
        json!({ "contact": ["mailto:else@example.com"] }),
    ] {
        let again = client.register(payload).await;
        assert_eq!(again.expect(200), object);
        assert_eq!(client.kid.as_deref(), Some(url.as_str()));
    }
}

#[tokio::test]
async fn of_those_who_race_with_one_key_one_makes_the_account() {
    let server = Server::new();
    let client = server.client();
    let url = server.acme.urls.new_account();
    let post = || client.post(&url, json!({}));
    let answers = tokio::join!(post(), post(), post(), post());
    let answers = [answers.0, answers.1, answers.2, answers.3];
    let with = |status: u16| {
        answers
            .iter()
            .filter(|it| it.status.as_u16() == status)
            .count()
    };
    assert_eq!((with(201), with(200)), (1, 3));
    assert!(
        answers
            .iter()
            .all(|it| it.header("location") == answers[0].header("location"))
    );
}

#[tokio::test]
async fn only_return_existing_makes_none() {
    let server = Server::new();
    let mut client = server.client();
    let only = json!({ "onlyReturnExisting": true });
    client
        .register(only.clone())
        .await
        .expect_problem(400, "accountDoesNotExist");
    client
        .register(json!({ "onlyReturnExisting": false }))
        .await
        .expect(201);
    client.register(only).await.expect(200);
}

/// RFC 8555 §7.3.3
#[tokio::test]
async fn terms_of_service_are_agreed_to_first() {
    let terms = "https://ca.example/terms";
    let server = Server::with(AcmeEndpoint {
        terms_of_service: Some(terms.into()),
        ..config()
    });
    let mut client = server.client();
    for payload in [json!({}), json!({ "termsOfServiceAgreed": false })] {
        let answer = client.register(payload).await;
        answer.expect_problem(403, "userActionRequired");
        assert_eq!(answer.links("terms-of-service"), [terms]);
        assert_eq!(answer.links("index"), [server.acme.urls.directory()]);
        assert_eq!(answer.json()["instance"], terms);
    }
    let made = client
        .register(json!({ "termsOfServiceAgreed": true }))
        .await;
    assert_eq!(made.expect(201)["termsOfServiceAgreed"], true);
    // Whoever has an account is not asked again.
    client.register(json!({})).await.expect(200);
}

#[tokio::test]
async fn contacts_are_checked() {
    let server = Server::new();
    let mut client = server.client();
    for (contact, kind) in [
        (json!(["tel:+12025551212"]), "unsupportedContact"),
        (
            json!(["mailto:a@example.com?cc=b@example.com"]),
            "invalidContact",
        ),
        (
            json!(["mailto:a@example.com,b@example.com"]),
            "invalidContact",
        ),
        (json!(vec!["mailto:a@example.com"; 11]), "invalidContact"),
        (json!("mailto:a@example.com"), "malformed"),
    ] {
        let answer = client.register(json!({ "contact": contact })).await;
        answer.expect_problem(400, kind);
    }
    let only = json!({ "onlyReturnExisting": true });
    client
        .register(only)
        .await
        .expect_problem(400, "accountDoesNotExist");
}

/// RFC 8555 §7.3.2
#[tokio::test]
async fn contacts_are_updated_and_nothing_else() {
    let server = Server::new();
    let mut client = server.client();
    let one = json!(["mailto:one@example.com"]);
    client.register(json!({ "contact": one })).await.expect(201);
    let url = client.kid.clone().unwrap();
    let object = client.fetch(&url).await.expect(200);
    assert_eq!(object["contact"], one);

    let unchanged = [
        json!({}),
        json!({ "status": "revoked", "orders": "https://ca.example/", "termsOfServiceAgreed": true }),
        json!({ "status": "valid" }),
    ];
    for payload in unchanged {
        assert_eq!(client.post(&url, payload).await.expect(200), object);
    }
    let two = json!(["mailto:two@example.com"]);
    let updated = client.post(&url, json!({ "contact": two })).await;
    assert_eq!(updated.expect(200)["contact"], two);
    assert_eq!(client.fetch(&url).await.expect(200)["contact"], two);
    let bad = client.post(&url, json!({ "contact": ["mailto:"] })).await;
    bad.expect_problem(400, "invalidContact");
    client
        .post(&url, json!({ "contact": [] }))
        .await
        .expect(200);
    assert_eq!(client.fetch(&url).await.expect(200).get("contact"), None);
}

/// RFC 8555 §7.3.6
#[tokio::test]
async fn a_deactivated_account_can_do_nothing() {
    let server = Server::new();
    let mut client = server.registered().await;
    let url = client.kid.clone().unwrap();
    let late = client.key.sign(&client.header(&url), b"");
    let gone = client.post(&url, json!({ "status": "deactivated" })).await;
    assert_eq!(gone.expect(200)["status"], "deactivated");
    client
        .send(&url, &late)
        .await
        .expect_problem(401, "unauthorized");
    client
        .fetch(&server.acme.urls.directory())
        .await
        .expect_problem(401, "unauthorized");
    let again = client.post(&url, json!({ "status": "deactivated" })).await;
    again.expect_problem(401, "unauthorized");
    // Nor does its key get another.
    client
        .register(json!({}))
        .await
        .expect_problem(401, "unauthorized");
}

#[tokio::test]
async fn a_foreign_account_looks_like_an_unknown_one() {
    let server = Server::new();
    let client = server.registered().await;
    let other = server.registered().await.kid.unwrap();
    let unknown = server.acme.urls.account(AccountId::from_bytes([9; 16]));
    let no_id = unknown.replace("account/", "account/x");
    for payload in [&b""[..], br#"{"status":"deactivated"}"#] {
        let foreign = client.post_bytes(&other, payload).await;
        foreign.expect_problem(404, "malformed");
        for url in [&unknown, &no_id] {
            assert_eq!(client.post_bytes(url, payload).await.body, foreign.body);
        }
    }
    server
        .plain(Method::GET, &other)
        .await
        .expect_problem(405, "malformed");
}
