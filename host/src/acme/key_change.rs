//! keyChange: an account gets another key (RFC 8555 §7.3.5).

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::jwk::Jwk;
use super::problem::Problem;
use super::request::Signed;
use super::urls::path;
use super::{Acme, account, jws};
use crate::ids::AccountId;
use crate::observe::audit;
use crate::store::{AccountKey, KeyChange};

pub(super) fn routes() -> Router<Acme> {
    Router::new().route(path::KEY_CHANGE, post(key_change))
}

/// The inner JWS's payload.
#[derive(Deserialize)]
struct Change {
    account: String,
    #[serde(rename = "oldKey")]
    old_key: Box<RawValue>,
}

async fn key_change(
    State(acme): State<Acme>,
    request: Signed<Box<RawValue>>,
) -> Result<Response, Problem> {
    let mut account = request.account;
    // The outer `url` is the request's own, which is the only one that keyChange has.
    let (new, payload) =
        jws::verify_inner(request.payload.get().as_bytes(), &acme.urls.key_change())?;
    let change = change(&payload)?;
    if change.account != acme.urls.account(account.id) {
        return Err(Problem::malformed(
            "the key change's 'account' is not the account that signed the request",
        ));
    }
    if !is_key(change.old_key.get(), &account.key) {
        return Err(Problem::malformed(
            "the key change's 'oldKey' is not the account's key",
        ));
    }
    let old = account.key.thumbprint;
    if new.key.thumbprint == old {
        return Err(in_use(&acme, account.id));
    }
    match (acme.store)
        .change_key(account.id, old, new.key.clone())
        .await?
    {
        KeyChange::Changed => {
            audit::account_key_changed(account.id, &acme.name, request.request_id.as_str());
            account.key = new.key;
            Ok(account::represent(&acme, &account, StatusCode::OK))
        }
        KeyChange::InUse(other) => Err(in_use(&acme, other)),
        KeyChange::Stale => Err(Problem::unauthorized(
            "the account's key was changed, or the account deactivated, in the meantime",
        )),
    }
}

fn change(payload: &[u8]) -> Result<Change, Problem> {
    if !jws::is_object(payload) {
        return Err(Problem::malformed("the key change must be a JSON object"));
    }
    serde_json::from_slice(payload).map_err(|error| {
        Problem::malformed(format!("the key change is not as it should be: {error}"))
    })
}

fn is_key(jwk: &str, key: &AccountKey) -> bool {
    Jwk::parse(jwk).is_ok_and(|jwk| jwk.key == *key)
}

/// RFC 8555 §7.3.5: 409, with the account that has the key as `Location`.
fn in_use(acme: &Acme, account: AccountId) -> Problem {
    let mut problem =
        Problem::malformed("an account has the new key already").status(StatusCode::CONFLICT);
    problem.location = Some(acme.urls.account(account).into());
    problem
}

#[cfg(test)]
mod tests;
