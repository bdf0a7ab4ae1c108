//! Keys for external account binding (RFC 8555 §7.3.4).

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::error::Error;
use super::{Admin, views};
use crate::ids::EndpointName;
use crate::observe::audit;
use crate::store::ExternalKey;
use crate::time::UnixTime;

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/external-keys", get(list).post(add))
        .route("/external-keys/{endpoint}/{id}/revoke", post(revoke))
}

async fn list(State(admin): State<Admin>) -> Result<Json<views::Page<views::ExternalKey>>, Error> {
    let keys = admin.store.external_keys().await?;
    let items = keys.iter().map(views::ExternalKey::from).collect();
    Ok(Json(views::Page { items, next: None }))
}

async fn add(
    State(admin): State<Admin>,
    request: Result<Json<views::NewExternalKey>, JsonRejection>,
) -> Result<Json<views::AddedExternalKey>, Error> {
    let Json(request) = request?;
    let endpoint = endpoint(&admin, &request.endpoint)?;
    let id = match request.id {
        Some(id) => check_id(id)?,
        None => well_begun::<12>().1,
    };
    let (secret, hmac_key) = well_begun::<32>();
    let added = admin
        .store
        .add_external_key(ExternalKey {
            endpoint: endpoint.clone(),
            id: id.clone(),
            secret,
            created: UnixTime::now(),
            revoked: None,
        })
        .await?;
    if !added {
        return Err(Error::Conflict(format!(
            "the endpoint {endpoint} has a key '{id}' already; choose another id"
        )));
    }
    audit::external_key_added(&endpoint, &id);
    Ok(Json(views::AddedExternalKey {
        endpoint: endpoint.to_string(),
        id,
        hmac_key,
    }))
}

async fn revoke(
    State(admin): State<Admin>,
    Path((endpoint, id)): Path<(String, String)>,
) -> Result<Json<views::ExternalKey>, Error> {
    let missing = || {
        Error::NotFound(format!(
            "the endpoint {endpoint} has no key '{id}'; `certdock eab list` shows them"
        ))
    };
    // A key may outlive its endpoint's configuration, so the name need only be one.
    let name: EndpointName = endpoint.parse().map_err(|_| missing())?;
    let revoked = admin
        .store
        .revoke_external_key(&name, &id, UnixTime::now())
        .await?;
    let key = (admin.store.external_key(&name, &id).await?).ok_or_else(missing)?;
    if !revoked {
        return Err(Error::Conflict(format!(
            "the key '{id}' is revoked already"
        )));
    }
    audit::external_key_revoked(&name, &id);
    Ok(Json(views::ExternalKey::from(&key)))
}

/// Random bytes, and their base64url, which begins with a letter or digit: programs take an argument
/// that begins with '-' for an option.
fn well_begun<const N: usize>() -> (Zeroizing<Vec<u8>>, String) {
    loop {
        let bytes = Zeroizing::new(crate::random::bytes::<N>().to_vec());
        let text = URL_SAFE_NO_PAD.encode(bytes.as_slice());
        if text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return (bytes, text);
        }
    }
}

fn endpoint(admin: &Admin, text: &str) -> Result<EndpointName, Error> {
    let name: Option<EndpointName> = text.parse().ok();
    let known = admin.configured.endpoints();
    name.filter(|name| known.contains(name)).ok_or_else(|| {
        let known: Vec<&str> = known.iter().map(EndpointName::as_str).collect();
        Error::NotFound(format!(
            "there is no ACME endpoint '{text}'; configured are: {}",
            known.join(", ")
        ))
    })
}

/// Ids travel in URLs, JWS headers and shell commands.
fn check_id(id: String) -> Result<String, Error> {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let well_begun = id.starts_with(|c: char| c.is_ascii_alphanumeric());
    if well_begun && id.len() <= 64 && id.bytes().all(fine) {
        Ok(id)
    } else {
        Err(Error::Invalid(
            "a key's id has 1 to 64 letters, digits, '-', '_' or '.', and begins with a letter or digit"
                .to_owned(),
        ))
    }
}
