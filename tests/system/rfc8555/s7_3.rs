//! RFC 8555 §7.3: accounts.

use certdock_tests::World;
use certdock_tests::acme::AccountKey;
use serde_json::{Value, json};

use super::check_problem;

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_made_found_and_shown() {
    let world = World::start().await;
    let mut client = world.client().await;
    let key = AccountKey::es256();
    let url = client.directory.url("newAccount").to_owned();

    let only = json!({ "onlyReturnExisting": true });
    let answer = client.post_with_jwk(&key, &url, &only).await.unwrap();
    check_problem("nobody yet", &answer, 400, &["accountDoesNotExist"]);

    let payload = json!({
        "termsOfServiceAgreed": true,
        "contact": ["mailto:one@example.com", "mailto:two@example.org"],
        // RFC 8555 §7.3: the server ignores these, and what it doesn't know.
        "orders": "https://localhost/mine",
        "status": "deactivated",
        "unknown": [1, 2],
    });
    let made = client
        .post_with_jwk(&key, &url, &payload)
        .await
        .unwrap()
        .expect(201)
        .unwrap();
    let kid = made.header("location").unwrap().to_owned();
    let json = made.json();
    assert_eq!(json["status"], "valid");
    assert_eq!(json["contact"], payload["contact"]);
    assert!(
        json["orders"]
            .as_str()
            .unwrap()
            .starts_with(&world.server.settings.base_url())
    );

    // RFC 8555 §7.3.1: found by its key, with 200, whatever else is asked.
    for payload in [
        only,
        json!({}),
        json!({ "contact": ["mailto:three@example.com"] }),
    ] {
        let found = client
            .post_with_jwk(&key, &url, &payload)
            .await
            .unwrap()
            .expect(200)
            .unwrap();
        assert_eq!(found.header("location"), Some(kid.as_str()));
        assert_eq!(found.json()["contact"], json["contact"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_are_checked() {
    let world = World::start().await;
    let mut client = world.client().await;
    let url = client.directory.url("newAccount").to_owned();
    let many: Value = (0..200)
        .map(|n| format!("mailto:a{n}@example.com"))
        .collect();
    let cases = [
        (json!(["tel:+358401234567"]), "unsupportedContact"),
        (json!(["https://example.com"]), "unsupportedContact"),
        (json!(["mailto:"]), "invalidContact"),
        (json!(["mailto:nobody"]), "invalidContact"),
        (
            json!(["mailto:a@example.com?subject=hello"]),
            "invalidContact",
        ),
        (
            json!(["mailto:a@example.com,b@example.com"]),
            "invalidContact",
        ),
        (json!("mailto:a@example.com"), "malformed"),
        (json!([1]), "malformed"),
        (many, "invalidContact"),
    ];
    for (contact, kind) in cases {
        let key = AccountKey::es256();
        let payload = json!({ "contact": contact, "termsOfServiceAgreed": true });
        let answer = client.post_with_jwk(&key, &url, &payload).await.unwrap();
        let types = [kind, "invalidContact", "malformed"];
        let types = if kind == "unsupportedContact" {
            &types[..1]
        } else {
            &types[..]
        };
        check_problem(&contact.to_string(), &answer, 400, types);
    }
}

/// RFC 8555 §7.3.2
#[tokio::test(flavor = "multi_thread")]
async fn contacts_are_changed_and_the_rest_is_ignored() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    let update = json!({ "contact": ["mailto:new@example.com"], "orders": "x", "unknown": 1 });
    let answer = client
        .post(&account, &account.kid, &update)
        .await
        .unwrap()
        .expect(200)
        .unwrap();
    assert_eq!(answer.json()["contact"], update["contact"]);
    let answer = client
        .post_as_get(&account, &account.kid)
        .await
        .unwrap()
        .expect(200)
        .unwrap();
    assert_eq!(answer.json()["contact"], update["contact"]);
    let bad = json!({ "contact": ["tel:1"] });
    let answer = client.post(&account, &account.kid, &bad).await.unwrap();
    check_problem("tel", &answer, 400, &["unsupportedContact"]);
    let ignored = json!({ "status": "revoked" });
    let answer = client.post(&account, &account.kid, &ignored).await.unwrap();
    assert_eq!(answer.expect(200).unwrap().json()["status"], "valid");
}

/// RFC 8555 §7.3.3
#[tokio::test(flavor = "multi_thread")]
async fn terms_of_service_are_asked_for() {
    let world = World::with(|settings| {
        settings.endpoint = "terms_of_service = \"https://ca.example/terms\"\n".to_owned();
    })
    .await;
    let mut client = world.client().await;
    assert_eq!(
        client.directory.json["meta"]["termsOfService"],
        "https://ca.example/terms"
    );
    let url = client.directory.url("newAccount").to_owned();
    let key = AccountKey::es256();
    for payload in [json!({}), json!({ "termsOfServiceAgreed": false })] {
        let answer = client.post_with_jwk(&key, &url, &payload).await.unwrap();
        check_problem("not agreed", &answer, 403, &["userActionRequired"]);
    }
    let only = json!({ "onlyReturnExisting": true });
    let answer = client.post_with_jwk(&key, &url, &only).await.unwrap();
    check_problem(
        "looking, not agreeing",
        &answer,
        400,
        &["accountDoesNotExist"],
    );
    let agreed = json!({ "termsOfServiceAgreed": true });
    let answer = client.post_with_jwk(&key, &url, &agreed).await.unwrap();
    assert_eq!(answer.status, 201);
    // Once agreed, an account is found without asking again.
    let answer = client.post_with_jwk(&key, &url, &json!({})).await.unwrap();
    assert_eq!(answer.status, 200);
}

/// RFC 8555 §7.3.6
#[tokio::test(flavor = "multi_thread")]
async fn a_deactivated_account_can_do_nothing() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    let gone = json!({ "status": "deactivated" });
    let answer = client
        .post(&account, &account.kid, &gone)
        .await
        .unwrap()
        .expect(200)
        .unwrap();
    assert_eq!(answer.json()["status"], "deactivated");
    let order = client.directory.url("newOrder").to_owned();
    for url in [account.kid.clone(), order] {
        let answer = client.post(&account, &url, &json!({})).await.unwrap();
        check_problem(&url, &answer, answer.status, &["unauthorized"]);
        assert!(matches!(answer.status, 401 | 403), "{}", answer.status);
    }
    let url = client.directory.url("newAccount").to_owned();
    let answer = client
        .post_with_jwk(&account.key, &url, &json!({}))
        .await
        .unwrap();
    check_problem("the key again", &answer, answer.status, &["unauthorized"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_has_one_account_however_often_it_asks_at_once() {
    let world = World::start().await;
    let key = AccountKey::es256();
    let mut requests = Vec::new();
    for _ in 0..8 {
        let mut client = world.client().await;
        let url = client.directory.url("newAccount").to_owned();
        let nonce = client.nonce().await.unwrap();
        let protected = json!({ "alg": "ES256", "jwk": key.jwk(), "nonce": nonce, "url": url });
        let jws = key.flattened(&protected, br#"{"termsOfServiceAgreed":true}"#);
        requests.push(tokio::spawn(async move {
            client.post_jws(&url, &jws).await.unwrap()
        }));
    }
    let (mut made, mut kids) = (0, std::collections::HashSet::new());
    for request in requests {
        let answer = request.await.unwrap();
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
        made += usize::from(answer.status == 201);
        kids.insert(answer.header("location").unwrap().to_owned());
    }
    assert_eq!((made, kids.len()), (1, 1));
}
