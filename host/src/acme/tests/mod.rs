//! Whole requests over the router: orders, authorizations, challenges, certificates, revocation. Each
//! test has a store on disk, a CA of its own behind a real handler, and a validator that does as told.

mod authorizations;
mod ca;
mod certificates;
mod challenges;
mod endpoint;
mod finalizing;
mod foreign;
mod orders;
mod revocations;
mod validator;

use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Shared;
use super::nonce::Nonces;
use super::testing::{Answer, BASE_URL, Client, Server, base64url, config};
use crate::config::AcmeEndpoint;
use crate::handlers::{HandlerInstance, HandlerSettings, Handlers, Opener};
use crate::issuance::Issuance;
use crate::store::Store;
use crate::store::sqlite::SqliteStore;
use ca::TestCa;
use validator::TestValidator;

/// An endpoint with all that is behind it.
struct House {
    server: Server,
    ca: Arc<TestCa>,
    validator: Arc<TestValidator>,
    store: Arc<dyn Store>,
}

impl House {
    async fn new() -> Self {
        Self::with(config()).await
    }

    async fn with(config: AcmeEndpoint) -> Self {
        let directory = TempDir::new().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(directory.path().join("test.db")).unwrap());
        let ca = Arc::new(TestCa::new());
        let instance: Arc<dyn HandlerInstance> = Arc::<TestCa>::clone(&ca);
        let opener: Opener = Arc::new(move || Ok(Arc::clone(&instance)));
        let settings = HandlerSettings {
            deadline: Duration::from_secs(20),
            threads: 4,
            queue: 64,
            patience: crate::handlers::Patience::default(),
        };
        let handlers = Handlers::open([("local".parse().unwrap(), settings, opener)]).await;
        let validator = Arc::new(TestValidator::default());
        let shared = Shared {
            base_url: BASE_URL.into(),
            issuance: Issuance::new(Arc::clone(&store), Arc::new(handlers)),
            store: Arc::clone(&store),
            validator: Arc::<TestValidator>::clone(&validator),
            nonces: Arc::new(Nonces::new().unwrap()),
        };
        Self {
            server: Server::of("default", config, shared, directory),
            ca,
            validator,
            store,
        }
    }
}

impl Client {
    async fn order(&self, names: &[&str]) -> Answer {
        self.order_with(json!({ "identifiers": dns(names) })).await
    }

    async fn order_with(&self, payload: Value) -> Answer {
        self.post(&self.acme.urls.new_order(), payload).await
    }

    /// Responds to the first challenge of each of an order's authorizations.
    async fn prove(&self, order: &Value) {
        for url in order["authorizations"].as_array().unwrap() {
            let authorization = self.fetch(text(url)).await.expect(200);
            let challenge = text(&authorization["challenges"][0]["url"]);
            self.post(challenge, json!({})).await.expect(200);
        }
    }

    /// A ready order: its URL and its object.
    async fn ready(&self, names: &[&str]) -> (String, Value) {
        let answer = self.order(names).await;
        let order = answer.expect(201);
        self.prove(&order).await;
        let url = answer.header("location").unwrap().to_owned();
        let order = self.fetch(&url).await.expect(200);
        assert_eq!(order["status"], "ready", "{order}");
        (url, order)
    }

    async fn finalize(&self, order: &Value, csr: &[u8]) -> Answer {
        let payload = json!({ "csr": base64url(csr) });
        self.post(text(&order["finalize"]), payload).await
    }

    /// A valid order with a fresh certificate: the order's object and the certificate's key.
    async fn certified(&self, names: &[&str]) -> (Value, KeyPair) {
        let (_, order) = self.ready(names).await;
        let (csr, key) = csr(names);
        let order = self.finalize(&order, &csr).await.expect(200);
        assert_eq!(order["status"], "valid", "{order}");
        (order, key)
    }
}

fn dns(names: &[&str]) -> Value {
    names
        .iter()
        .map(|name| json!({ "type": "dns", "value": name }))
        .collect()
}

/// A PKCS #10 request with a fresh key.
fn csr(names: &[&str]) -> (Vec<u8>, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    let csr = params.serialize_request(&key).unwrap();
    (csr.der().to_vec(), key)
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
