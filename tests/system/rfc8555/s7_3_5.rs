//! RFC 8555 §7.3.5: a new key for an account.

use certdock_tests::World;
use certdock_tests::acme::{Account, AccountKey, Client};
use serde_json::{Value, json};

use super::check_problem;

/// The inner JWS, right unless a test changes it.
struct Inner {
    protected: Value,
    payload: Value,
}

impl Inner {
    fn new(account: &Account, new: &AccountKey, url: &str) -> Self {
        Self {
            protected: json!({ "alg": new.alg(), "jwk": new.jwk(), "url": url }),
            payload: json!({ "account": account.kid, "oldKey": account.key.jwk() }),
        }
    }

    fn signed(&self, key: &AccountKey) -> Value {
        key.flattened(&self.protected, self.payload.to_string().as_bytes())
    }
}

async fn start() -> (World, Client, Account, String) {
    let world = World::start().await;
    let (client, account) = world.account().await;
    let url = client.directory.url("keyChange").to_owned();
    (world, client, account, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_new_key_takes_over_and_the_old_one_is_nobody() {
    let (_world, mut client, account, url) = start().await;
    let new = AccountKey::es384();
    let inner = Inner::new(&account, &new, &url).signed(&new);
    client
        .post(&account, &url, &inner)
        .await
        .unwrap()
        .expect(200)
        .unwrap();

    let old = client.post_as_get(&account, &account.kid).await.unwrap();
    assert!((400..=403).contains(&old.status), "{}", old.text());
    let account = Account {
        key: new,
        kid: account.kid,
    };
    let answer = client.post_as_get(&account, &account.kid).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let found = client.directory.url("newAccount").to_owned();
    let only = json!({ "onlyReturnExisting": true });
    let found = client
        .post_with_jwk(&account.key, &found, &only)
        .await
        .unwrap();
    assert_eq!(found.header("location"), Some(account.kid.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_inner_request_changes_nothing() {
    let (world, mut client, account, url) = start().await;
    let (_, other) = world.account().await;
    let new = AccountKey::es256();
    let right = || Inner::new(&account, &new, &url);
    let changed = |change: fn(&mut Inner)| {
        let mut inner = right();
        change(&mut inner);
        inner.signed(&new)
    };
    let mut foreign_account = right();
    foreign_account.payload["account"] = json!(other.kid);
    let mut foreign_key = right();
    foreign_key.payload["oldKey"] = other.key.jwk();
    let cases = [
        ("signed by the old key", right().signed(&account.key)),
        ("another account", foreign_account.signed(&new)),
        ("another old key", foreign_key.signed(&new)),
        (
            "no old key",
            changed(|inner| inner.payload = json!({ "account": inner.payload["account"] })),
        ),
        (
            "a nonce inside",
            changed(|inner| inner.protected["nonce"] = json!("AAAA")),
        ),
        (
            "another url inside",
            changed(|inner| inner.protected["url"] = json!("https://localhost/")),
        ),
        (
            "no jwk inside",
            changed(|inner| inner.protected["jwk"] = Value::Null),
        ),
        (
            "kid inside",
            changed(|inner| inner.protected["kid"] = json!("x")),
        ),
        (
            "alg none inside",
            changed(|inner| inner.protected["alg"] = json!("none")),
        ),
        ("not a JWS", json!({ "account": account.kid })),
    ];
    for (case, inner) in cases {
        let answer = client.post(&account, &url, &inner).await.unwrap();
        let types = [
            "malformed",
            "unauthorized",
            "badSignatureAlgorithm",
            "badPublicKey",
        ];
        check_problem(case, &answer, answer.status, &types);
        let alive = client.post_as_get(&account, &account.kid).await.unwrap();
        assert_eq!(alive.status, 200, "{case}: {}", alive.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_has_an_account_is_refused_with_its_address() {
    let (world, mut client, account, url) = start().await;
    let (_, other) = world.account().await;
    let inner = Inner::new(&account, &other.key, &url).signed(&other.key);
    let answer = client.post(&account, &url, &inner).await.unwrap();
    assert_eq!(answer.status, 409, "{}", answer.text());
    assert_eq!(answer.header("location"), Some(other.kid.as_str()));
}
