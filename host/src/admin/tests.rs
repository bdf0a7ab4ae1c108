//! The commands' resources over a real store.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::ids::AccountId;
use crate::store::sqlite::SqliteStore;
use crate::store::{
    Account, AccountKey, AccountStatus, Accounts as _, ExternalKeys as _, Thumbprint,
};
use crate::time::UnixTime;

struct Setup {
    store: Arc<SqliteStore>,
    router: Router,
    _folder: tempfile::TempDir,
}

fn setup() -> Setup {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(folder.path().join("test.db")).unwrap());
    let plugin = views::Plugin {
        file: "libx.so".to_owned(),
        refused: Some("it is empty".to_owned()),
        ..views::Plugin::default()
    };
    let router = router(Admin {
        store: store.clone(),
        issuance: None,
        endpoints: Arc::new(BTreeSet::from(["default".parse().unwrap()])),
        plugins: Arc::new(move || vec![plugin.clone()]),
    });
    Setup {
        store,
        router,
        _folder: folder,
    }
}

impl Setup {
    async fn account(&self, number: u8) -> AccountId {
        let id = AccountId::from_bytes([number; 16]);
        let account = Account {
            id,
            endpoint: "default".parse().unwrap(),
            key: AccountKey {
                jwk: "{}".to_owned(),
                thumbprint: Thumbprint([number; 32]),
            },
            contacts: vec!["mailto:a@example.com".to_owned()],
            terms_agreed: true,
            status: AccountStatus::Valid,
            external_key: None,
            external_binding: None,
            created: UnixTime::from_secs(0),
        };
        self.store.create_account(account).await.unwrap();
        id
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let builder = Request::builder()
            .method(method)
            .uri(format!("/admin/v1{path}"))
            .header("content-type", "application/json");
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = builder.body(body).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    async fn refused(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        status: u16,
        text: &str,
    ) {
        let (found, answer) = self.call(method, path, body).await;
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(
            found == status && error.contains(text),
            "{path}: {found} {answer}"
        );
    }
}

#[tokio::test]
async fn accounts_are_listed_in_pages_and_deactivated() {
    let setup = setup();
    for number in 1..=3 {
        setup.account(number).await;
    }
    let (_, first) = setup.call("GET", "/accounts?limit=2", None).await;
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    let next = first["next"].as_str().unwrap();
    let (_, rest) = setup
        .call("GET", &format!("/accounts?limit=2&after={next}"), None)
        .await;
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);
    assert_eq!(rest.get("next"), None);

    let id = AccountId::from_bytes([2; 16]);
    let path = format!("/accounts/{id}/deactivate");
    let (status, account) = setup.call("POST", &path, None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(account["status"], "deactivated");
    setup
        .refused("POST", &path, None, 409, "not live any more")
        .await;
    setup
        .refused(
            "GET",
            "/accounts/nobody",
            None,
            404,
            "certdock account list",
        )
        .await;
    setup
        .refused("GET", "/accounts?after=x!", None, 400, "not an id")
        .await;
    setup
        .refused("GET", "/accounts?afer=x", None, 400, "unknown field")
        .await;
}

#[tokio::test]
async fn an_external_key_is_shown_once() {
    let setup = setup();
    let add = |endpoint: &str, id: Option<&str>| Some(json!({"endpoint": endpoint, "id": id}));
    let (status, key) = setup
        .call("POST", "/external-keys", add("default", None))
        .await;
    assert_eq!(status, StatusCode::OK);
    let (id, secret) = (
        key["id"].as_str().unwrap(),
        key["hmac_key"].as_str().unwrap(),
    );
    let stored = setup
        .store
        .external_key(&"default".parse().unwrap(), id)
        .await;
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .encode(stored.unwrap().unwrap().secret.as_slice());
    assert_eq!(encoded, secret);
    assert_eq!(encoded.len(), 43);

    setup
        .call("POST", "/external-keys", add("default", Some("mine")))
        .await;
    setup
        .refused(
            "POST",
            "/external-keys",
            add("default", Some("mine")),
            409,
            "already",
        )
        .await;
    setup
        .refused(
            "POST",
            "/external-keys",
            add("other", None),
            404,
            "configured are: default",
        )
        .await;
    setup
        .refused(
            "POST",
            "/external-keys",
            add("default", Some("a b")),
            400,
            "letters",
        )
        .await;
    setup
        .refused("POST", "/external-keys", Some(json!({})), 400, "endpoint")
        .await;

    let revoke = "/external-keys/default/mine/revoke";
    let (_, revoked) = setup.call("POST", revoke, None).await;
    assert!(revoked["revoked"].is_string(), "{revoked}");
    setup
        .refused("POST", revoke, None, 409, "revoked already")
        .await;
    setup
        .refused(
            "POST",
            "/external-keys/default/x/revoke",
            None,
            404,
            "certdock eab list",
        )
        .await;
    let (_, keys) = setup.call("GET", "/external-keys", None).await;
    assert_eq!(keys["items"].as_array().unwrap().len(), 2);
    assert!(!keys.to_string().contains(secret));
}

#[tokio::test]
async fn what_is_not_there_is_told() {
    let setup = setup();
    for path in ["/orders/x", "/certificates/x"] {
        setup.refused("GET", path, None, 404, "list").await;
    }
    let fingerprint = "aB:".repeat(31) + "ab";
    setup
        .refused(
            "GET",
            &format!("/certificates/{fingerprint}"),
            None,
            404,
            "there is no certificate",
        )
        .await;
    setup
        .refused("GET", "/elsewhere", None, 404, "no such resource")
        .await;
    let reason = |reason: &str| Some(json!({"reason": reason}));
    setup
        .refused(
            "POST",
            "/certificates/x/revoke",
            reason("why"),
            400,
            "known are unspecified",
        )
        .await;
    setup
        .refused(
            "POST",
            "/certificates/x/revoke",
            reason("superseded"),
            503,
            "certdock serve",
        )
        .await;
    for path in ["/orders", "/certificates"] {
        let (status, page) = setup.call("GET", path, None).await;
        assert_eq!((status, page), (StatusCode::OK, json!({"items": []})));
    }
    let (_, plugins) = setup.call("GET", "/plugins", None).await;
    assert_eq!(plugins["items"][0]["refused"], "it is empty");
}
