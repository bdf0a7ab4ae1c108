//! RFC 8555 §7.3.4: external account binding.

use aws_lc_rs::hmac;
use certdock_tests::World;
use certdock_tests::acme::{AccountKey, Client, b64, unb64};
use serde_json::{Value, json};

use super::check_problem;

/// A key as `certdock eab add` gives it out.
struct Eab {
    kid: String,
    mac: Vec<u8>,
}

async fn add(world: &World) -> Eab {
    let outcome = world
        .server
        .command(&["eab", "add", "--json"])
        .run()
        .await
        .success();
    let json: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let text = |name: &str| {
        json[name]
            .as_str()
            .unwrap_or_else(|| panic!("no {name}: {json}"))
    };
    Eab {
        kid: text("id").to_owned(),
        mac: unb64(text("hmac_key")),
    }
}

impl Eab {
    fn binding(&self, protected: &Value, payload: &str) -> Value {
        let (protected, payload) = (b64(protected.to_string()), b64(payload));
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.mac);
        let tag = hmac::sign(&key, format!("{protected}.{payload}").as_bytes());
        json!({ "protected": protected, "payload": payload, "signature": b64(tag) })
    }

    fn right(&self, key: &AccountKey, url: &str) -> Value {
        let protected = json!({ "alg": "HS256", "kid": self.kid, "url": url });
        self.binding(&protected, &key.jwk().to_string())
    }
}

async fn world() -> (World, Client, String) {
    let world = World::with(|settings| settings.endpoint = "eab = \"required\"\n".to_owned()).await;
    let client = world.client().await;
    let url = client.directory.url("newAccount").to_owned();
    (world, client, url)
}

fn payload(binding: &Value) -> Value {
    json!({ "termsOfServiceAgreed": true, "externalAccountBinding": binding })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_is_required_checked_and_echoed() {
    let (world, mut client, url) = world().await;
    assert_eq!(
        client.directory.json["meta"]["externalAccountRequired"],
        true
    );
    let eab = add(&world).await;
    let key = AccountKey::es256();

    let none = json!({ "termsOfServiceAgreed": true });
    let answer = client.post_with_jwk(&key, &url, &none).await.unwrap();
    check_problem("none", &answer, 403, &["externalAccountRequired"]);

    let other = AccountKey::es256().jwk().to_string();
    let own = key.jwk().to_string();
    let header = |alg: &str, kid: &str, url: &str| json!({ "alg": alg, "kid": kid, "url": url });
    let mut nonce = header("HS256", &eab.kid, &url);
    nonce["nonce"] = json!("AAAA");
    let foreign = Eab {
        kid: eab.kid.clone(),
        mac: vec![1; 32],
    };
    let cases = [
        (
            "another account's key",
            eab.binding(&header("HS256", &eab.kid, &url), &other),
        ),
        (
            "another url",
            eab.binding(&header("HS256", &eab.kid, "https://localhost/"), &own),
        ),
        (
            "no MAC algorithm",
            eab.binding(&header("ES256", &eab.kid, &url), &own),
        ),
        (
            "alg none",
            eab.binding(&header("none", &eab.kid, &url), &own),
        ),
        (
            "an unknown kid",
            eab.binding(&header("HS256", "unknown", &url), &own),
        ),
        ("a nonce", eab.binding(&nonce, &own)),
        (
            "another MAC key",
            foreign.binding(&header("HS256", &eab.kid, &url), &own),
        ),
        ("not a JWS", json!("binding")),
    ];
    for (case, binding) in cases {
        let answer = client
            .post_with_jwk(&key, &url, &payload(&binding))
            .await
            .unwrap();
        let types = [
            "malformed",
            "unauthorized",
            "badSignatureAlgorithm",
            "externalAccountRequired",
        ];
        check_problem(case, &answer, answer.status, &types);
        assert!(
            (400..=403).contains(&answer.status),
            "{case}: {}",
            answer.status
        );
    }

    let binding = eab.right(&key, &url);
    let answer = client
        .post_with_jwk(&key, &url, &payload(&binding))
        .await
        .unwrap();
    let answer = answer.expect(201).unwrap();
    assert_eq!(answer.json()["externalAccountBinding"], binding);
    // An existing account is found before anything is asked of it.
    let answer = client.post_with_jwk(&key, &url, &json!({})).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_binds_no_more() {
    let (world, mut client, url) = world().await;
    let eab = add(&world).await;
    world
        .server
        .command(&["eab", "revoke", &eab.kid])
        .run()
        .await
        .success();
    let key = AccountKey::es256();
    let answer = client
        .post_with_jwk(&key, &url, &payload(&eab.right(&key, &url)))
        .await
        .unwrap();
    check_problem(
        "revoked",
        &answer,
        answer.status,
        &["unauthorized", "malformed"],
    );
    let list = world
        .server
        .command(&["eab", "list", "--json"])
        .run()
        .await
        .success();
    assert!(list.stdout.contains(&eab.kid), "{}", list.stdout);
    assert!(
        !list.stdout.contains(&b64(&eab.mac)),
        "the list shows the secret"
    );
}
