use serde_json::{Value, json};

use crate::acme::testing::{Answer, Client, Server, TestKey, remove};

/// The parts of a key change, as they should be.
struct Change {
    header: Value,
    payload: Value,
}

fn change(client: &Client, new: &TestKey) -> Change {
    Change {
        header: json!({
            "alg": new.algorithm,
            "jwk": new.jwk(),
            "url": client.acme.urls.key_change(),
        }),
        payload: json!({ "account": client.kid, "oldKey": client.key.jwk() }),
    }
}

async fn send(client: &Client, new: &TestKey, change: &Change) -> Answer {
    let inner = new.sign(&change.header, change.payload.to_string().as_bytes());
    client.post(&client.acme.urls.key_change(), inner).await
}

#[tokio::test]
async fn the_new_key_takes_over() {
    let server = Server::new();
    for new in [TestKey::es256(), TestKey::rsa(), TestKey::ed25519()] {
        let mut client = server.registered().await;
        let url = client.kid.clone().unwrap();
        let changed = send(&client, &new, &change(&client, &new)).await;
        assert_eq!(changed.expect(200)["status"], "valid");
        assert_eq!(changed.header("location"), Some(url.as_str()));

        let refused = if new.algorithm == client.key.algorithm {
            "malformed"
        } else {
            "badSignatureAlgorithm"
        };
        client.fetch(&url).await.expect_problem(400, refused);
        client.key = new;
        client.fetch(&url).await.expect(200);
        client.register(json!({})).await.expect(200);
        assert_eq!(client.kid.as_deref(), Some(url.as_str()));
    }
}

#[tokio::test]
async fn key_changes_that_are_refused() {
    let server = Server::new();
    let client = server.registered().await;
    let new = TestKey::es384();
    let check = async |alter: &dyn Fn(&mut Change), kind: &str| {
        let mut change = change(&client, &new);
        alter(&mut change);
        send(&client, &new, &change).await.expect_problem(400, kind);
    };
    let other = server.registered().await;
    check(
        &|it| it.header["nonce"] = json!(client.nonce()),
        "malformed",
    )
    .await;
    check(
        &|it| it.header["url"] = json!("https://ca.example/"),
        "malformed",
    )
    .await;
    check(&|it| remove(&mut it.header, "url"), "malformed").await;
    check(&|it| remove(&mut it.header, "jwk"), "malformed").await;
    check(&|it| it.header["kid"] = json!(client.kid), "malformed").await;
    check(&|it| it.header["jwk"] = TestKey::es384().jwk(), "malformed").await;
    check(&|it| it.header["jwk"]["d"] = json!("AA"), "badPublicKey").await;
    check(
        &|it| it.header["alg"] = json!("ES256"),
        "badSignatureAlgorithm",
    )
    .await;
    check(
        &|it| it.header["alg"] = json!("HS256"),
        "badSignatureAlgorithm",
    )
    .await;
    check(&|it| it.payload["account"] = json!(other.kid), "malformed").await;
    check(&|it| it.payload["oldKey"] = other.key.jwk(), "malformed").await;
    check(&|it| it.payload["oldKey"] = new.jwk(), "malformed").await;
    check(&|it| remove(&mut it.payload, "account"), "malformed").await;
    check(&|it| remove(&mut it.payload, "oldKey"), "malformed").await;
    check(&|it| it.payload = json!([]), "malformed").await;
    let url = server.acme.urls.key_change();
    client
        .post(&url, json!({}))
        .await
        .expect_problem(400, "malformed");
    client.fetch(&url).await.expect_problem(400, "malformed");
    // Still the old key's.
    client.fetch(client.kid.as_ref().unwrap()).await.expect(200);
}

/// RFC 8555 §7.3.5: 409, and where the key is.
#[tokio::test]
async fn a_key_has_one_account() {
    let server = Server::new();
    let client = server.registered().await;
    let mut other = server.client();
    other.register(json!({})).await.expect(201);
    let taken = send(&client, &other.key, &change(&client, &other.key)).await;
    taken.expect_problem(409, "malformed");
    assert_eq!(taken.header("location"), other.kid.as_deref());
    let own = send(&client, &client.key, &change(&client, &client.key)).await;
    own.expect_problem(409, "malformed");
    assert_eq!(own.header("location"), client.kid.as_deref());
}

#[tokio::test]
async fn of_two_who_change_the_key_one_does() {
    let server = Server::new();
    let client = server.registered().await;
    let (one, two) = (TestKey::es256(), TestKey::es256());
    let (changes, url) = (
        (change(&client, &one), change(&client, &two)),
        client.kid.clone(),
    );
    let answers = tokio::join!(
        send(&client, &one, &changes.0),
        send(&client, &two, &changes.1)
    );
    let won = |answer: &Answer| answer.status.as_u16() == 200;
    assert_ne!(won(&answers.0), won(&answers.1), "{answers:?}");
    let client = Client {
        key: if won(&answers.0) { one } else { two },
        ..client
    };
    client.fetch(&url.unwrap()).await.expect(200);
}
