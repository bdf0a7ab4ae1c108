//! The directory (RFC 8555 §7.1.1).

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use bytes::Bytes;
use http::{HeaderValue, header};
use serde_json::{Map, Value, json};

use super::Acme;
use super::request::Fetch;
use super::urls::{Urls, path};
use crate::config::{AcmeEndpoint, EabPolicy};

pub(super) fn routes() -> Router<Acme> {
    Router::new().route(path::DIRECTORY, resource())
}

/// GET, HEAD and POST-as-GET (RFC 8555 §6.3).
pub(super) fn resource() -> MethodRouter<Acme> {
    get(async |State(acme): State<Acme>| document(&acme))
        .post(async |State(acme): State<Acme>, _: Fetch| document(&acme))
}

fn document(acme: &Acme) -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], acme.directory.clone()).into_response()
}

/// Written once: nothing in it changes while the endpoint lives.
pub(super) fn render(urls: &Urls, config: &AcmeEndpoint) -> Bytes {
    let mut meta = Map::new();
    if let Some(url) = &config.terms_of_service {
        meta.insert("termsOfService".into(), json!(url));
    }
    if let Some(url) = &config.website {
        meta.insert("website".into(), json!(url));
    }
    if !config.caa_identities.is_empty() {
        meta.insert("caaIdentities".into(), json!(config.caa_identities));
    }
    if config.eab == EabPolicy::Required {
        meta.insert("externalAccountRequired".into(), Value::Bool(true));
    }
    let mut directory = json!({
        "newNonce": urls.new_nonce(),
        "newAccount": urls.new_account(),
        "newOrder": urls.new_order(),
        "newAuthz": urls.new_authz(),
        "revokeCert": urls.revoke_cert(),
        "keyChange": urls.key_change(),
    });
    if let Some(members) = directory.as_object_mut().filter(|_| !meta.is_empty()) {
        members.insert("meta".into(), meta.into());
    }
    Bytes::from(directory.to_string())
}
