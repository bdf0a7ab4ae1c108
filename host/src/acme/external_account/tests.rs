use aws_lc_rs::hmac;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::acme::testing::{Server, TestKey, config, flattened, remove};
use crate::config::{AcmeEndpoint, EabPolicy};
use crate::store::ExternalKey;
use crate::time::UnixTime;

const SECRET: &[u8] = b"a secret of thirty-two bytes, yes";

async fn server(eab: EabPolicy) -> Server {
    let server = Server::with(AcmeEndpoint { eab, ..config() });
    let key = ExternalKey {
        endpoint: server.acme.name.clone(),
        id: "key-1".into(),
        secret: Zeroizing::new(SECRET.to_vec()),
        created: UnixTime::from_secs(0),
        revoked: None,
    };
    assert!(server.acme.store.add_external_key(key).await.unwrap());
    server
}

fn header(server: &Server) -> Value {
    json!({ "alg": "HS256", "kid": "key-1", "url": server.acme.urls.new_account() })
}

fn bind(header: &Value, key: &TestKey, by: hmac::Algorithm, secret: &[u8]) -> Value {
    flattened(header, key.jwk().to_string().as_bytes(), |message| {
        hmac::sign(&hmac::Key::new(by, secret), message)
            .as_ref()
            .to_vec()
    })
}

#[tokio::test]
async fn a_binding_is_echoed() {
    let server = server(EabPolicy::Required).await;
    for (alg, by) in [
        ("HS256", hmac::HMAC_SHA256),
        ("HS384", hmac::HMAC_SHA384),
        ("HS512", hmac::HMAC_SHA512),
    ] {
        let mut client = server.client();
        let mut header = header(&server);
        header["alg"] = json!(alg);
        let binding = bind(&header, &client.key, by, SECRET);
        let made = client
            .register(json!({ "externalAccountBinding": binding }))
            .await;
        assert_eq!(made.expect(201)["externalAccountBinding"], binding);
        let url = client.kid.clone().unwrap();
        assert_eq!(
            client.fetch(&url).await.expect(200)["externalAccountBinding"],
            binding
        );
        // Whoever has an account is not asked again.
        client.register(json!({})).await.expect(200);
    }
}

#[tokio::test]
async fn policies() {
    let required = server(EabPolicy::Required).await;
    let mut client = required.client();
    client
        .register(json!({}))
        .await
        .expect_problem(403, "externalAccountRequired");

    let optional = server(EabPolicy::Optional).await;
    optional.client().register(json!({})).await.expect(201);
    let mut client = optional.client();
    let bad = bind(
        &header(&optional),
        &client.key,
        hmac::HMAC_SHA256,
        b"another",
    );
    let refused = client
        .register(json!({ "externalAccountBinding": bad }))
        .await;
    refused.expect_problem(403, "unauthorized");

    // One that was not verified is not echoed.
    let off = server(EabPolicy::Off).await;
    let made = off
        .client()
        .register(json!({ "externalAccountBinding": { "any": "thing" } }))
        .await;
    assert_eq!(made.expect(201).get("externalAccountBinding"), None);
}

#[tokio::test]
async fn bindings_that_are_refused() {
    let server = server(EabPolicy::Required).await;
    let check = async |change: &dyn Fn(&mut Value), status: u16, kind: &str| {
        let mut client = server.client();
        let mut header = header(&server);
        change(&mut header);
        let binding = bind(&header, &client.key, hmac::HMAC_SHA256, SECRET);
        let answer = client
            .register(json!({ "externalAccountBinding": binding }))
            .await;
        answer.expect_problem(status, kind);
        answer
    };
    check(&|it| it["alg"] = json!("HS512"), 403, "unauthorized").await;
    let answer = check(
        &|it| it["alg"] = json!("ES256"),
        400,
        "badSignatureAlgorithm",
    )
    .await;
    assert_eq!(
        answer.json()["algorithms"],
        json!(["HS256", "HS384", "HS512"])
    );
    check(
        &|it| it["alg"] = json!("none"),
        400,
        "badSignatureAlgorithm",
    )
    .await;
    check(&|it| it["nonce"] = json!("AAAA"), 400, "malformed").await;
    check(
        &|it| it["url"] = json!("https://ca.example/"),
        400,
        "malformed",
    )
    .await;
    check(&|it| remove(it, "url"), 400, "malformed").await;
    check(&|it| remove(it, "kid"), 400, "malformed").await;
    check(&|it| it["crit"] = json!([]), 400, "malformed").await;
    let jwk = TestKey::es256().jwk();
    check(&|it| it["jwk"] = jwk.clone(), 400, "malformed").await;
    let unknown = check(&|it| it["kid"] = json!("key-2"), 403, "unauthorized").await;

    // Another key's binding.
    let mut client = server.client();
    let other = bind(
        &header(&server),
        &TestKey::es256(),
        hmac::HMAC_SHA256,
        SECRET,
    );
    let answer = client
        .register(json!({ "externalAccountBinding": other }))
        .await;
    answer.expect_problem(400, "malformed");
    for none in [json!([]), json!({}), json!("x")] {
        let answer = client
            .register(json!({ "externalAccountBinding": none }))
            .await;
        answer.expect_problem(400, "malformed");
    }

    // A revoked key looks like an unknown one.
    let revoked = (server.acme.store)
        .revoke_external_key(&server.acme.name, "key-1", UnixTime::from_secs(1))
        .await;
    assert!(revoked.unwrap());
    let revoked = check(&|_| (), 403, "unauthorized").await;
    assert_eq!(revoked.body, unknown.body);
}
