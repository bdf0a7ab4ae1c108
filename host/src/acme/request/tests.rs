use http_body_util::channel::Channel;
use serde_json::{Value, json};

use super::*;
use crate::acme::testing::{BASE_URL, Client, Server, TestKey, flattened, remove, send};
use crate::config::AcmeEndpoint;

/// Sends a POST-as-GET to the client's own account after `change` was made to its header.
async fn changed(client: &Client, change: impl FnOnce(&mut Value)) -> crate::acme::testing::Answer {
    let url = client.kid.clone().unwrap();
    let mut header = client.header(&url);
    change(&mut header);
    client.send(&url, &client.key.sign(&header, b"")).await
}

#[tokio::test]
async fn every_key_type_can_have_an_account() {
    let server = Server::new();
    for key in [
        TestKey::rsa(),
        TestKey::es256(),
        TestKey::es384(),
        TestKey::es512(),
        TestKey::ed25519(),
    ] {
        let mut client = server.client_with(key);
        client.register(json!({})).await.expect(201);
        let url = client.kid.clone().unwrap();
        client.fetch(&url).await.expect(200);
    }
}

#[tokio::test]
async fn the_content_type_is_jose() {
    let server = Server::new();
    let client = server.registered().await;
    let url = client.kid.clone().unwrap();
    for (content_type, status) in [
        (None, 415),
        (Some("application/json"), 415),
        (Some("application/jose"), 415),
        (Some("application/jose+json"), 200),
        (Some("Application/JOSE+JSON; charset=utf-8"), 200),
    ] {
        let jws = client.key.sign(&client.header(&url), b"");
        let body = jws.to_string().into();
        let answer = send(&server.router, http::Method::POST, &url, content_type, body).await;
        assert_eq!(answer.status.as_u16(), status, "{content_type:?}");
    }
}

#[tokio::test]
async fn bodies_are_bounded() {
    let server = Server::new();
    let client = server.registered().await;
    let url = client.kid.clone().unwrap();
    let jws = client.key.sign(&client.header(&url), b"").to_string();
    let of_length = |length: usize| format!("{jws}{}", " ".repeat(length - jws.len()));
    let content_type = Some("application/jose+json");
    let post =
        async |body: Body| send(&server.router, http::Method::POST, &url, content_type, body).await;
    post(of_length(BODY_LIMIT + 1).into())
        .await
        .expect_problem(413, "malformed");
    // In pieces, with no length said in advance.
    let (mut pieces, body) = Channel::<Bytes>::new(1);
    let sender = async move { while pieces.send_data(vec![b' '; 1024].into()).await.is_ok() {} };
    let (answer, ()) = tokio::join!(post(Body::new(body)), sender);
    answer.expect_problem(413, "malformed");
    post(of_length(BODY_LIMIT).into()).await.expect(200);
}

#[tokio::test]
async fn a_jws_that_is_none_is_malformed() {
    let server = Server::new();
    let client = server.registered().await;
    let url = client.kid.clone().unwrap();
    let good = client.key.sign(&client.header(&url), b"");
    for jws in [json!({}), json!([]), json!("x"), Value::Null] {
        client
            .send(&url, &jws)
            .await
            .expect_problem(400, "malformed");
    }
    let mut unprotected = good.clone();
    unprotected["header"] = json!({ "kid": url });
    client
        .send(&url, &unprotected)
        .await
        .expect_problem(400, "malformed");
    let mut forged = good.clone();
    forged["signature"] = json!("AAAA");
    client
        .send(&url, &forged)
        .await
        .expect_problem(400, "malformed");
    // None of them used the nonce up.
    client.send(&url, &good).await.expect(200);
}

#[tokio::test]
async fn algorithms() {
    let server = Server::new();
    let client = server.registered().await;
    for name in ["none", "HS256", "PS256", "RS512", "ES256K"] {
        let answer = changed(&client, |header| header["alg"] = json!(name)).await;
        answer.expect_problem(400, "badSignatureAlgorithm");
        assert_eq!(
            answer.json()["algorithms"],
            json!(crate::acme::jws::ALGORITHMS)
        );
    }
    // One that the account's key does not go with.
    let answer = changed(&client, |header| header["alg"] = json!("RS256")).await;
    answer.expect_problem(400, "badSignatureAlgorithm");
    assert_eq!(answer.json()["algorithms"], json!(["ES256"]));

    // The public key's text as the key of a MAC.
    let url = client.kid.clone().unwrap();
    let mut header = client.header(&url);
    header["alg"] = json!("HS256");
    let jws = flattened(&header, b"", |message| {
        let key = aws_lc_rs::hmac::Key::new(
            aws_lc_rs::hmac::HMAC_SHA256,
            client.key.jwk().to_string().as_bytes(),
        );
        aws_lc_rs::hmac::sign(&key, message).as_ref().to_vec()
    });
    client
        .send(&url, &jws)
        .await
        .expect_problem(400, "badSignatureAlgorithm");
}

#[tokio::test]
async fn headers_that_are_refused() {
    let server = Server::new();
    let client = server.registered().await;
    let jwk = client.key.jwk();
    changed(&client, |it| it["jwk"] = jwk.clone())
        .await
        .expect_problem(400, "malformed");
    changed(&client, |it| it["crit"] = json!(["exp"]))
        .await
        .expect_problem(400, "malformed");
    changed(&client, |it| it["b64"] = json!(false))
        .await
        .expect_problem(400, "malformed");
    for member in ["kid", "url", "nonce", "alg"] {
        changed(&client, |it| remove(it, member))
            .await
            .expect_problem(400, "malformed");
    }
    // `jwk` where a `kid` belongs, and the other way round.
    let answer = changed(&client, |it| {
        remove(it, "kid");
        it["jwk"] = jwk.clone();
    });
    assert!(
        answer
            .await
            .expect_problem(400, "malformed")
            .contains("kid")
    );
    let new_account = server.acme.urls.new_account();
    client
        .post(&new_account, json!({}))
        .await
        .expect_problem(400, "malformed");
    // Parameters that nobody knows.
    changed(&client, |it| it["typ"] = json!("jose+json"))
        .await
        .expect(200);
}

/// RFC 8555 §6.4
#[tokio::test]
async fn the_url_is_the_request_s_own() {
    let server = Server::new();
    let client = server.registered().await;
    let url = client.kid.clone().unwrap();
    for other in [
        url.replace("https:", "http:"),
        url.replace("ca.example", "CA.example"),
        url.replace("ca.example", "ca.example:443"),
        format!("{url}/"),
        format!("{url}?a=b"),
        url.strip_prefix(BASE_URL).unwrap().to_owned(),
        server.acme.urls.new_order(),
        String::new(),
    ] {
        let answer = changed(&client, |it| it["url"] = json!(other)).await;
        answer.expect_problem(403, "unauthorized");
    }
    // A query belongs to it.
    let queried = format!("{url}?a=b");
    client.fetch(&queried).await.expect(200);
    let jws = client.key.sign(&client.header(&url), b"");
    client
        .send(&queried, &jws)
        .await
        .expect_problem(403, "unauthorized");
}

/// RFC 8555 §6.5
#[tokio::test]
async fn nonces_are_used_once() {
    let server = Server::new();
    let client = server.registered().await;
    let url = client.kid.clone().unwrap();
    let jws = client.key.sign(&client.header(&url), b"");
    client.send(&url, &jws).await.expect(200);
    let replayed = client.send(&url, &jws).await;
    replayed.expect_problem(400, "badNonce");
    let next = replayed.header("replay-nonce").unwrap();
    changed(&client, |it| it["nonce"] = json!(next))
        .await
        .expect(200);
    for nonce in ["", "AAAA", &"A".repeat(32)] {
        let answer = changed(&client, |it| it["nonce"] = json!(nonce)).await;
        answer.expect_problem(400, "badNonce");
    }
    for nonce in ["\u{e9}", "AA==", "a/b+"] {
        let answer = changed(&client, |it| it["nonce"] = json!(nonce)).await;
        answer.expect_problem(400, "malformed");
    }
    // A signed request is used up whatever became of it.
    let jws = client.key.sign(&client.header(&url), b"[]");
    client
        .send(&url, &jws)
        .await
        .expect_problem(400, "malformed");
    client
        .send(&url, &jws)
        .await
        .expect_problem(400, "badNonce");
}

#[tokio::test]
async fn of_two_who_send_the_same_request_one_is_heard() {
    let server = Server::new();
    let client = server.registered().await;
    let url = client.kid.clone().unwrap();
    for _ in 0..20 {
        let jws = client.key.sign(&client.header(&url), b"");
        let (one, two) = tokio::join!(client.send(&url, &jws), client.send(&url, &jws));
        let mut statuses = [one.status.as_u16(), two.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 400]);
    }
}

#[tokio::test]
async fn kids_that_are_no_account_s() {
    let server = Server::new();
    let client = server.registered().await;
    let url = client.kid.clone().unwrap();
    let unknown = server
        .acme
        .urls
        .account(crate::ids::AccountId::from_bytes([9; 16]));
    for kid in [
        unknown,
        String::new(),
        url.rsplit('/').next().unwrap().to_owned(),
        url.replace("/acme/default/", "/acme/other/"),
        format!("{url}/"),
    ] {
        let answer = changed(&client, |it| it["kid"] = json!(kid)).await;
        answer.expect_problem(400, "accountDoesNotExist");
    }
    // Another account's signature.
    let other = server.registered().await;
    let answer = changed(&client, |it| it["kid"] = json!(other.kid)).await;
    answer.expect_problem(400, "malformed");
}

/// An account belongs to one endpoint, though its id is unique among all.
#[tokio::test]
async fn another_endpoint_s_account_is_unknown() {
    let server = Server::new();
    let client = server.registered().await;
    let acme = Acme::new(
        "other".parse().unwrap(),
        AcmeEndpoint::clone(&server.acme.config),
        crate::acme::Shared {
            base_url: BASE_URL.into(),
            store: std::sync::Arc::clone(&server.acme.store),
            issuance: std::sync::Arc::clone(&server.acme.issuance),
            validator: std::sync::Arc::clone(&server.acme.validator),
            nonces: std::sync::Arc::clone(&server.acme.nonces),
        },
    );
    let other = Client {
        router: crate::acme::router(acme.clone()).merge(server.router.clone()),
        kid: (client.kid.as_ref()).map(|url| url.replace("/acme/default/", "/acme/other/")),
        key: client.key,
        acme,
    };
    let url = other.kid.clone().unwrap();
    other
        .fetch(&url)
        .await
        .expect_problem(400, "accountDoesNotExist");
}

#[tokio::test]
async fn payloads() {
    let server = Server::new();
    let client = server.registered().await;
    let account = client.kid.clone().unwrap();
    let directory = server.acme.urls.directory();
    for payload in [r"[]", "null", "1", "{", r#"{"contact":1}"#, "{}{}", " "] {
        let answer = client.post_bytes(&account, payload.as_bytes()).await;
        answer.expect_problem(400, "malformed");
    }
    // What nobody reads may be as deep as it likes.
    let deep = format!(r#"{{"x":{}1{}}}"#, "[".repeat(5000), "]".repeat(5000));
    client
        .post_bytes(&account, deep.as_bytes())
        .await
        .expect(200);
    client
        .post(&account, json!({ "unknown": { "member": [] } }))
        .await
        .expect(200);
    for payload in ["{}", " ", "null"] {
        let answer = client.post_bytes(&directory, payload.as_bytes()).await;
        answer.expect_problem(400, "malformed");
    }
}
