//! RFC 8555, one file per resource.

mod account;
mod authorization;
mod certificate;
mod challenge;
mod contact;
mod directory;
mod external_account;
mod finalize;
mod headers;
pub mod identifiers;
pub mod jwk;
pub mod jws;
mod key_change;
pub mod nonce;
mod order;
mod ownership;
pub mod problem;
pub mod request;
mod revocation;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod urls;
mod validations;

use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::middleware;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use self::nonce::Nonces;
use self::problem::Problem;
use self::urls::Urls;
use self::validations::Validations;
use crate::config::AcmeEndpoint;
use crate::ids::EndpointName;
use crate::issuance::Issuance;
use crate::store::Store;
use crate::validation::Validator;

/// One ACME directory. Cheap to clone.
#[derive(Clone)]
pub struct Acme(Arc<Endpoint>);

/// What every resource of an endpoint works with.
pub struct Endpoint {
    pub name: EndpointName,
    pub config: AcmeEndpoint,
    pub urls: Urls,
    pub store: Arc<dyn Store>,
    pub issuance: Arc<Issuance>,
    pub validator: Arc<dyn Validator>,
    /// Shared by all endpoints: a nonce is good for any of them once.
    pub nonces: Arc<Nonces>,
    validations: Validations,
    /// The directory's JSON.
    directory: Bytes,
    /// `Link: <directory>;rel="index"`
    index: Option<HeaderValue>,
}

/// What endpoints share.
#[derive(Clone)]
pub struct Shared {
    /// What URLs in answers begin with; no final slash.
    pub base_url: String,
    pub store: Arc<dyn Store>,
    pub issuance: Arc<Issuance>,
    pub validator: Arc<dyn Validator>,
    pub nonces: Arc<Nonces>,
}

impl Acme {
    #[must_use]
    pub fn new(name: EndpointName, config: AcmeEndpoint, shared: Shared) -> Self {
        Self::with(name, config, shared, Validations::default())
    }

    fn with(
        name: EndpointName,
        config: AcmeEndpoint,
        shared: Shared,
        validations: Validations,
    ) -> Self {
        let urls = Urls::new(&shared.base_url, &name);
        let index = format!("<{}>;rel=\"index\"", urls.directory());
        Self(Arc::new(Endpoint {
            directory: directory::render(&urls, &config),
            index: HeaderValue::try_from(index).ok(),
            name,
            config,
            urls,
            store: shared.store,
            issuance: shared.issuance,
            validator: shared.validator,
            nonces: shared.nonces,
            validations,
        }))
    }

    /// The endpoint with another configuration. Checks of challenges go on and can be joined.
    #[must_use]
    pub fn renewed(&self, config: AcmeEndpoint, shared: Shared) -> Self {
        let validations = self.validations.clone();
        Self::with(self.name.clone(), config, shared, validations)
    }

    #[must_use]
    pub fn urls(&self) -> &Urls {
        &self.urls
    }
}

impl Deref for Acme {
    type Target = Endpoint;

    fn deref(&self) -> &Endpoint {
        &self.0
    }
}

/// The routes of one endpoint, from the root. Those of several can be merged.
pub fn router(acme: Acme) -> Router {
    let resources = Router::new()
        .merge(nonce::routes())
        .merge(account::routes())
        .merge(key_change::routes())
        .merge(order::routes())
        .merge(authorization::routes())
        .merge(challenge::routes())
        .merge(finalize::routes())
        .merge(certificate::routes())
        .merge(revocation::routes())
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::map_response_with_state(acme.clone(), add_index))
        .merge(directory::routes().method_not_allowed_fallback(method_not_allowed));
    let mut router = Router::new().nest(acme.urls.prefix(), resources);
    if acme.name.as_str() == "default" {
        router = router.merge(
            Router::new()
                .route("/acme/directory", directory::resource())
                .route("/directory", directory::resource())
                .method_not_allowed_fallback(method_not_allowed),
        );
    }
    router
        .layer(middleware::map_response_with_state(acme.clone(), add_nonce))
        .with_state(acme)
}

/// RFC 8555 §6.3: plain GET is for the directory and newNonce.
async fn method_not_allowed() -> Problem {
    Problem::malformed("this resource does not take that method; read it by POST-as-GET")
        .status(StatusCode::METHOD_NOT_ALLOWED)
}

/// RFC 8555 §7.1: "index" on all resources but the directory itself.
async fn add_index(State(acme): State<Acme>, mut response: Response) -> Response {
    if let Some(index) = acme.index.clone() {
        response.headers_mut().append(header::LINK, index);
    }
    response
}

/// RFC 8555 §6.5, §6.5.1: a fresh nonce on every answer, errors too, and no cache may keep it.
async fn add_nonce(State(acme): State<Acme>, mut response: Response) -> Response {
    let headers = response.headers_mut();
    match acme.nonces.issue() {
        Ok(nonce) => {
            headers.insert("replay-nonce", nonce);
        }
        Err(error) => tracing::error!(%error, "no nonce could be made"),
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
