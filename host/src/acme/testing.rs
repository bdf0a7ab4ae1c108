//! An endpoint over a store on disk, and clients that sign requests to it, for the tests of all
//! resources.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

use super::nonce::Nonces;
use super::{Acme, Shared, router};
use crate::config::{AcmeEndpoint, EabPolicy};
use crate::handlers::Handlers;
use crate::issuance::Issuance;
use crate::order::{ChallengeType, Failure};
use crate::store::Store;
use crate::store::sqlite::SqliteStore;
use crate::validation::{Proof, Validator};

pub(crate) const BASE_URL: &str = "https://ca.example";

/// An endpoint's configuration with nothing special.
pub(crate) fn config() -> AcmeEndpoint {
    AcmeEndpoint {
        handler: "local".parse().unwrap(),
        profile: None,
        challenges: vec![
            ChallengeType::Http01,
            ChallengeType::Dns01,
            ChallengeType::TlsAlpn01,
        ],
        eab: EabPolicy::Off,
        terms_of_service: None,
        website: None,
        caa_identities: Vec::new(),
        order_lifetime: Duration::from_hours(24),
        authorization_lifetime: Duration::from_hours(24),
        max_identifiers: 100,
        wildcards: true,
        allowed_names: Vec::new(),
        denied_names: Vec::new(),
        max_validity: Duration::from_hours(24 * 90),
        finalize_wait: Duration::from_secs(2),
        revocation: crate::config::RevocationPolicy::AtOnce,
    }
}

/// Finds every proof, or none.
pub(crate) struct StubValidator(pub(crate) Result<(), Failure>);

#[async_trait]
impl Validator for StubValidator {
    async fn validate(&self, _: &Proof) -> Result<(), Failure> {
        self.0.clone()
    }
}

/// An endpoint in service.
pub(crate) struct Server {
    pub(crate) acme: Acme,
    pub(crate) router: Router,
    _directory: TempDir,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self::with(config())
    }

    /// The endpoint `default`, whose validator finds every proof and whose handler is not in service.
    pub(crate) fn with(config: AcmeEndpoint) -> Self {
        let directory = TempDir::new().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(directory.path().join("test.db")).unwrap());
        let shared = Shared {
            base_url: BASE_URL.into(),
            issuance: Issuance::new(Arc::clone(&store), Arc::new(Handlers::default())),
            store,
            validator: Arc::new(StubValidator(Ok(()))),
            nonces: Arc::new(Nonces::new().unwrap()),
        };
        Self::of("default", config, shared, directory)
    }

    /// Any endpoint.
    pub(crate) fn of(name: &str, config: AcmeEndpoint, shared: Shared, directory: TempDir) -> Self {
        let acme = Acme::new(name.parse().unwrap(), config, shared);
        Self {
            router: router(acme.clone()),
            acme,
            _directory: directory,
        }
    }

    /// A client with a fresh P-256 key and no account.
    pub(crate) fn client(&self) -> Client {
        self.client_with(TestKey::es256())
    }

    pub(crate) fn client_with(&self, key: TestKey) -> Client {
        Client {
            acme: self.acme.clone(),
            router: self.router.clone(),
            key,
            kid: None,
        }
    }

    /// A client with an account.
    pub(crate) async fn registered(&self) -> Client {
        let mut client = self.client();
        client.register(json!({})).await;
        client
    }

    pub(crate) async fn plain(&self, method: Method, url: &str) -> Answer {
        send(&self.router, method, url, None, Body::empty()).await
    }
}

/// One key and, once registered, its account.
pub(crate) struct Client {
    pub(crate) acme: Acme,
    pub(crate) router: Router,
    pub(crate) key: TestKey,
    pub(crate) kid: Option<String>,
}

impl Client {
    /// newAccount; keeps the account's URL.
    pub(crate) async fn register(&mut self, payload: Value) -> Answer {
        let url = self.acme.urls.new_account();
        let mut header = self.header(&url);
        remove(&mut header, "kid");
        header["jwk"] = self.key.jwk();
        let answer = self
            .send(
                &url,
                &self.key.sign(&header, payload.to_string().as_bytes()),
            )
            .await;
        self.kid = answer.header("location").map(str::to_owned);
        answer
    }

    /// A request with a JSON payload.
    pub(crate) async fn post(&self, url: &str, payload: Value) -> Answer {
        self.post_bytes(url, payload.to_string().as_bytes()).await
    }

    /// POST-as-GET.
    pub(crate) async fn fetch(&self, url: &str) -> Answer {
        self.post_bytes(url, b"").await
    }

    pub(crate) async fn post_bytes(&self, url: &str, payload: &[u8]) -> Answer {
        self.send(url, &self.key.sign(&self.header(url), payload))
            .await
    }

    /// The protected header of a proper request: by `kid` if there is an account, else by `jwk`.
    pub(crate) fn header(&self, url: &str) -> Value {
        let mut header = json!({
            "alg": self.key.algorithm,
            "nonce": self.nonce(),
            "url": url,
        });
        match &self.kid {
            Some(kid) => header["kid"] = json!(kid),
            None => header["jwk"] = self.key.jwk(),
        }
        header
    }

    pub(crate) fn nonce(&self) -> String {
        self.acme
            .nonces
            .issue()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    }

    /// Sends whatever it is given.
    pub(crate) async fn send(&self, url: &str, jws: &Value) -> Answer {
        let content_type = Some("application/jose+json");
        send(
            &self.router,
            Method::POST,
            url,
            content_type,
            jws.to_string().into(),
        )
        .await
    }
}

/// Removes a member of a JSON object.
pub(crate) fn remove(object: &mut Value, member: &str) {
    object.as_object_mut().unwrap().remove(member);
}

pub(crate) async fn send(
    router: &Router,
    method: Method,
    url: &str,
    content_type: Option<&str>,
    body: Body,
) -> Answer {
    // As HTTP/1.1 has it: the path alone, and the host in a header.
    let path = url.strip_prefix(BASE_URL).unwrap_or(url);
    let mut request = Request::builder().method(method).uri(path);
    if let Some(content_type) = content_type {
        request = request.header(header::CONTENT_TYPE, content_type);
    }
    let response = (router.clone())
        .oneshot(request.body(body).unwrap())
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The targets of `Link` headers of this relation.
    pub(crate) fn links(&self, relation: &str) -> Vec<String> {
        let ending = format!(">;rel=\"{relation}\"");
        (self.headers.get_all(header::LINK).iter())
            .filter_map(|link| link.to_str().unwrap().strip_suffix(&ending))
            .map(|link| link.trim_start_matches('<').to_owned())
            .collect()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The body of an answer that must have this status.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        if self.body.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }

    /// Asserts a problem document of this status and type; its detail.
    #[track_caller]
    pub(crate) fn expect_problem(&self, status: u16, kind: &str) -> String {
        let problem = self.expect(status);
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(
            problem["type"],
            format!("urn:ietf:params:acme:error:{kind}"),
            "{problem}"
        );
        assert_eq!(problem["status"], status);
        problem["detail"].as_str().unwrap().to_owned()
    }
}

/// A private key that signs as clients do.
pub(crate) struct TestKey {
    pub(crate) algorithm: &'static str,
    pair: Pair,
}

enum Pair {
    Ec(&'static str, EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl TestKey {
    pub(crate) fn es256() -> Self {
        Self::ec("ES256", "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING)
    }

    pub(crate) fn es384() -> Self {
        Self::ec("ES384", "P-384", &ECDSA_P384_SHA384_FIXED_SIGNING)
    }

    pub(crate) fn es512() -> Self {
        Self::ec("ES512", "P-521", &ECDSA_P521_SHA512_FIXED_SIGNING)
    }

    pub(crate) fn ed25519() -> Self {
        Self {
            algorithm: "EdDSA",
            pair: Pair::Ed25519(Ed25519KeyPair::generate().unwrap()),
        }
    }

    pub(crate) fn rsa() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        Self {
            algorithm: "RS256",
            pair: Pair::Rsa(Box::new(pair)),
        }
    }

    /// P-256, from PKCS #8.
    pub(crate) fn es256_of(pkcs8: &[u8]) -> Self {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).unwrap();
        Self {
            algorithm: "ES256",
            pair: Pair::Ec("P-256", pair),
        }
    }

    fn ec(
        algorithm: &'static str,
        curve: &'static str,
        signing: &'static EcdsaSigningAlgorithm,
    ) -> Self {
        Self {
            algorithm,
            pair: Pair::Ec(curve, EcdsaKeyPair::generate(signing).unwrap()),
        }
    }

    pub(crate) fn jwk(&self) -> Value {
        match &self.pair {
            Pair::Ec(curve, pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({ "kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y) })
            }
            Pair::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key().as_ref()) })
            }
            Pair::Rsa(pair) => {
                // RSAPublicKey in DER: two headers and a zero before the modulus of 2048 bits.
                let modulus = &pair.public_key().as_ref()[9..265];
                json!({ "kty": "RSA", "n": base64url(modulus), "e": "AQAB" })
            }
        }
    }

    /// A flattened JWS over `payload` with `header` protected.
    pub(crate) fn sign(&self, header: &Value, payload: &[u8]) -> Value {
        flattened(header, payload, |message| self.signature(message))
    }

    pub(crate) fn signature(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ec(_, pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .unwrap();
                signature
            }
        }
    }
}

/// A flattened JWS signed by whatever `sign` does.
pub(crate) fn flattened(
    header: &Value,
    payload: &[u8],
    sign: impl FnOnce(&[u8]) -> Vec<u8>,
) -> Value {
    let protected = base64url(header.to_string().as_bytes());
    let payload = base64url(payload);
    let signature = sign(format!("{protected}.{payload}").as_bytes());
    json!({ "protected": protected, "payload": payload, "signature": base64url(&signature) })
}

pub(crate) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
