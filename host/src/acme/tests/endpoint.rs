//! What holds for every resource, and for those that need no account.

use http::Method;
use serde_json::json;

use crate::acme::testing::{BASE_URL, Server, config};
use crate::config::{AcmeEndpoint, EabPolicy};

#[tokio::test]
async fn the_directory_names_what_is_served() {
    let server = Server::new();
    let url = server.acme.urls.directory();
    let directory = server.plain(Method::GET, &url).await;
    let of = |name: &str| json!(format!("{BASE_URL}/acme/default/{name}"));
    assert_eq!(
        directory.expect(200),
        json!({
            "newNonce": of("new-nonce"),
            "newAccount": of("new-account"),
            "newOrder": of("new-order"),
            "newAuthz": of("new-authz"),
            "revokeCert": of("revoke-cert"),
            "keyChange": of("key-change"),
        })
    );
    assert_eq!(directory.header("content-type"), Some("application/json"));
    assert!(directory.links("index").is_empty());

    for alias in ["/acme/directory", "/directory"] {
        let answer = server.plain(Method::GET, alias).await;
        assert_eq!(answer.body, directory.body, "{alias}");
    }
    assert!(server.plain(Method::HEAD, &url).await.body.is_empty());
}

#[tokio::test]
async fn the_directory_says_what_the_operator_says() {
    let server = Server::with(AcmeEndpoint {
        terms_of_service: Some("https://ca.example/terms".into()),
        website: Some("https://ca.example/".into()),
        caa_identities: vec!["ca.example".into()],
        eab: EabPolicy::Required,
        ..config()
    });
    let directory = server.plain(Method::GET, "/directory").await.expect(200);
    assert_eq!(
        directory["meta"],
        json!({
            "termsOfService": "https://ca.example/terms",
            "website": "https://ca.example/",
            "caaIdentities": ["ca.example"],
            "externalAccountRequired": true,
        })
    );
}

/// RFC 8555 §6.3: GET, and POST-as-GET too.
#[tokio::test]
async fn the_directory_and_new_nonce_take_post_as_get() {
    let server = Server::new();
    let client = server.registered().await;
    let plain = server.plain(Method::GET, "/directory").await;
    for path in ["/acme/default/directory", "/acme/directory", "/directory"] {
        let answer = client.fetch(&[BASE_URL, path].concat()).await;
        answer.expect(200);
        assert_eq!(answer.body, plain.body);
    }
    client
        .fetch(&server.acme.urls.new_nonce())
        .await
        .expect(204);
    let payload = client.post(&server.acme.urls.directory(), json!({})).await;
    payload.expect_problem(400, "malformed");
}

/// RFC 8555 §7.2
#[tokio::test]
async fn new_nonce() {
    let server = Server::new();
    let url = server.acme.urls.new_nonce();
    for (method, status) in [(Method::HEAD, 200), (Method::GET, 204)] {
        let answer = server.plain(method, &url).await;
        answer.expect(status);
        assert_eq!(answer.links("index"), [server.acme.urls.directory()]);
        let nonce = answer.header("replay-nonce").unwrap();
        assert!(server.acme.nonces.open(nonce).is_some());
    }
}

/// RFC 8555 §6.5: on errors too. §7.1: "index".
#[tokio::test]
async fn every_answer_carries_a_nonce_and_is_not_kept() {
    let server = Server::new();
    for (method, path, status) in [
        (Method::GET, "/directory", 200),
        (Method::POST, "/directory", 415),
        (Method::DELETE, "/directory", 405),
        (Method::GET, "/acme/default/new-account", 405),
        (Method::PUT, "/acme/default/new-account", 405),
        (Method::POST, "/acme/default/new-account", 415),
        (
            Method::GET,
            "/acme/default/account/AAAAAAAAAAAAAAAAAAAAAA",
            405,
        ),
        (Method::POST, "/acme/default/account/nobody", 404),
        (Method::GET, "/acme/default/nothing", 404),
        (Method::POST, "/acme/default/nothing", 404),
    ] {
        let answer = server.plain(method.clone(), path).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let nonce = answer.header("replay-nonce").unwrap();
        assert!(server.acme.nonces.open(nonce).is_some(), "{method} {path}");
        if status != 200 {
            answer.expect_problem(status, "malformed");
        }
        if status == 405 {
            assert!(answer.header("allow").is_some(), "{method} {path}");
        }
    }
}
