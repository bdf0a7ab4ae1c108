//! RFC 8555 §6.5 and §7.2: nonces.

use std::collections::HashSet;

use certdock_tests::World;
use certdock_tests::acme::AccountKey;
use http::Method;
use serde_json::json;

use super::{check_index_link, check_problem};

#[tokio::test(flavor = "multi_thread")]
async fn new_nonce_answers_head_and_get() {
    let world = World::start().await;
    let mut client = world.client().await;
    let url = client.directory.url("newNonce").to_owned();
    let mut seen = HashSet::new();
    for (method, status) in [(Method::HEAD, 200), (Method::GET, 204), (Method::GET, 204)] {
        let answer = client.plain(method, &url).await.unwrap();
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(answer.body.is_empty());
        check_index_link(&answer);
        let nonce = answer.header("replay-nonce").unwrap().to_owned();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        assert!(nonce.bytes().all(fits), "{nonce}");
        assert!(seen.insert(nonce));
    }
    // RFC 8555 §6.3: POST-as-GET is taken too, but must be one.
    assert_eq!(client.plain(Method::POST, &url).await.unwrap().status, 415);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_serves_once() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    let nonce = client.nonce().await.unwrap();
    let protected = client.protected(&account, &nonce, &account.kid);
    let jws = account.key.flattened(&protected, b"");
    assert_eq!(
        client.post_jws(&account.kid, &jws).await.unwrap().status,
        200
    );
    for _ in 0..2 {
        let again = client.post_jws(&account.kid, &jws).await.unwrap();
        check_problem("used before", &again, 400, &["badNonce"]);
    }
}

/// Several clients don't try again after badNonce.
#[tokio::test(flavor = "multi_thread")]
async fn nonces_in_any_order_and_from_errors_are_good() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    client.forget_nonces();
    let url = client.directory.url("newNonce").to_owned();
    let mut nonces = Vec::new();
    for _ in 0..200 {
        let answer = client.plain(Method::HEAD, &url).await.unwrap();
        nonces.push(answer.header("replay-nonce").unwrap().to_owned());
    }
    nonces.reverse();
    for nonce in nonces {
        let protected = client.protected(&account, &nonce, &account.kid);
        let jws = account.key.flattened(&protected, b"");
        assert_eq!(
            client.post_jws(&account.kid, &jws).await.unwrap().status,
            200
        );
    }
    client.forget_nonces();
    let bad = client.post_jws(&account.kid, &json!({})).await.unwrap();
    let nonce = bad.header("replay-nonce").unwrap().to_owned();
    let protected = client.protected(&account, &nonce, &account.kid);
    let jws = account.key.flattened(&protected, b"");
    assert_eq!(
        client.post_jws(&account.kid, &jws).await.unwrap().status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_with_a_bad_nonce_stores_nothing() {
    let world = World::start().await;
    let mut client = world.client().await;
    let key = AccountKey::es256();
    let url = client.directory.url("newAccount").to_owned();
    let protected = json!({ "alg": "ES256", "jwk": key.jwk(), "nonce": "AAAA", "url": url });
    let answer = client
        .post_jws(&url, &key.flattened(&protected, b"{}"))
        .await
        .unwrap();
    check_problem("never given", &answer, 400, &["badNonce"]);
    let only = json!({ "onlyReturnExisting": true });
    let answer = client.post_with_jwk(&key, &url, &only).await.unwrap();
    check_problem("no account", &answer, 400, &["accountDoesNotExist"]);
}
