//! The commands' resources over a real store.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::ids::{AccountId, EndpointName};
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

struct Fixed(views::Plugin);

#[async_trait::async_trait]
impl Configured for Fixed {
    fn endpoints(&self) -> BTreeSet<EndpointName> {
        BTreeSet::from(["default".parse().unwrap()])
    }

    fn labels(&self) -> BTreeSet<EndpointName> {
        BTreeSet::from(["devices".parse().unwrap()])
    }

    fn plugins(&self) -> Vec<views::Plugin> {
        vec![self.0.clone()]
    }

    async fn exchange(&self, handler: &str, _: Exchange) -> Result<views::Generation, Error> {
        Err(Error::NotFound(format!("there is no handler '{handler}'")))
    }
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
        configured: Arc::new(Fixed(plugin)),
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

#[tokio::test]
async fn est_users_are_added_listed_and_removed() {
    use crate::store::EstUsers as _;
    let setup = setup();
    let (status, made) = setup
        .call(
            "POST",
            "/est-users",
            Some(
                json!({"name": "pump-7", "once": true, "expires": "2999-01-01T00:00:00Z",
                "names": ["Pump-7.Example", "*.pumps.example"], "labels": ["devices"]}),
            ),
        )
        .await;
    assert_eq!(status, StatusCode::OK, "{made}");
    let password = made["password"].as_str().unwrap();
    assert_eq!(password.len(), 24);
    let stored = setup.store.est_user("pump-7").await.unwrap().unwrap();
    assert!(crate::password::verify(
        password.as_bytes(),
        &stored.password
    ));

    let given = json!({"name": "a@b", "password": "correct horse"});
    let (_, added) = setup.call("POST", "/est-users", Some(given.clone())).await;
    assert_eq!(
        added,
        json!({"name": "a@b"}),
        "a given password is not shown"
    );
    setup
        .refused(
            "POST",
            "/est-users",
            Some(given),
            409,
            "there is a user 'a@b' already",
        )
        .await;
    let changed = json!({"name": "a@b", "password": "another horse", "replace": true});
    let (status, _) = setup.call("POST", "/est-users", Some(changed)).await;
    assert_eq!(status, StatusCode::OK);
    let stored = setup.store.est_user("a@b").await.unwrap().unwrap();
    assert!(crate::password::verify(b"another horse", &stored.password));

    let (_, page) = setup.call("GET", "/est-users", None).await;
    let names: Vec<_> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| &user["name"])
        .collect();
    assert_eq!(names, ["a@b", "pump-7"]);
    let pump = &page["items"][1];
    assert_eq!(pump["status"], "valid");
    assert_eq!(pump["names"], json!(["pump-7.example", "*.pumps.example"]));
    assert!(!page.to_string().contains("argon2"), "{page}");

    let (status, _) = setup.call("POST", "/est-users/a@b/remove", None).await;
    assert_eq!(status, StatusCode::OK);
    setup
        .refused(
            "POST",
            "/est-users/a@b/remove",
            None,
            404,
            "there is no user 'a@b'",
        )
        .await;
}

#[tokio::test]
async fn est_users_that_could_not_log_in_are_refused() {
    let setup = setup();
    for (user, text) in [
        (json!({"name": "a:b"}), "a user's name has 1 to 64"),
        (json!({"name": ""}), "a user's name has 1 to 64"),
        (json!({"name": "-x"}), "begins with a letter"),
        (json!({"name": "ä"}), "a user's name"),
        (
            json!({"name": "u", "password": "short"}),
            "a password has 8 to 512 bytes",
        ),
        (
            json!({"name": "u", "password": "with\nline break"}),
            "no control characters",
        ),
        (
            json!({"name": "u", "password": "x".repeat(513)}),
            "8 to 512",
        ),
        (
            json!({"name": "u", "expires": "2001-01-01T00:00:00Z"}),
            "which is past",
        ),
        (json!({"name": "u", "expires": "tomorrow"}), "is no time"),
        (
            json!({"name": "u", "names": ["10.0.0.1"]}),
            "'10.0.0.1': the name is an IP address",
        ),
        (json!({"name": "u", "nmae": 1}), "unknown field"),
    ] {
        setup
            .refused("POST", "/est-users", Some(user), 400, text)
            .await;
    }
    let elsewhere = json!({"name": "u", "labels": ["none"]});
    setup
        .refused(
            "POST",
            "/est-users",
            Some(elsewhere),
            404,
            "configured are: devices",
        )
        .await;
    let (_, page) = setup.call("GET", "/est-users", None).await;
    assert_eq!(page["items"], json!([]));
}
