//! Accounts: newAccount (RFC 8555 §7.3), and an account's own resource (§7.3.2, §7.3.6).

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::problem::{Problem, ProblemType};
use super::request::{Resource, SignedBy, SignedOrFetch, Signer, check_status};
use super::urls::path;
use super::{Acme, contact, external_account};
use crate::ids::AccountId;
use crate::observe::audit;
use crate::store::{Account, AccountCreation, AccountStatus};
use crate::time::UnixTime;

pub(super) fn routes() -> Router<Acme> {
    Router::new()
        .route(path::NEW_ACCOUNT, post(new_account))
        .route(path::ACCOUNT, post(account))
}

/// RFC 8555 §7.3
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewAccount {
    contact: Option<Vec<String>>,
    terms_of_service_agreed: Option<bool>,
    only_return_existing: Option<bool>,
    external_account_binding: Option<Box<RawValue>>,
}

async fn new_account(
    State(acme): State<Acme>,
    request: SignedBy<NewAccount>,
) -> Result<Response, Problem> {
    let wanted = request.payload;
    let Signer::Key(jwk) = request.signer else {
        return Err(Problem::malformed(
            "newAccount takes requests signed by the new account's key: use 'jwk', not 'kid'",
        ));
    };
    // RFC 8555 §7.3.1: whoever has an account learns its URL, before any further demand.
    if let Some(account) = (acme.store)
        .account_by_key(&acme.name, &jwk.key.thumbprint)
        .await?
    {
        return existing(&acme, &account);
    }
    if wanted.only_return_existing == Some(true) {
        return Err(Problem::new(
            ProblemType::AccountDoesNotExist,
            "there is no account with this key",
        ));
    }
    let agreed = wanted.terms_of_service_agreed == Some(true);
    if let Some(terms) = acme.config.terms_of_service.as_ref().filter(|_| !agreed) {
        return Err(Problem::agree_first(terms));
    }
    let contacts = wanted.contact.unwrap_or_default();
    contact::check(&contacts)?;
    let binding = wanted.external_account_binding.as_deref();
    let binding = external_account::check(&acme, binding, &jwk).await?;
    let (external_key, external_binding) = binding.map(|it| (it.key_id, it.jws)).unzip();

    let now = UnixTime::now();
    let account = Account {
        id: AccountId::random(now),
        endpoint: acme.name.clone(),
        key: jwk.key,
        contacts,
        terms_agreed: agreed,
        status: AccountStatus::Valid,
        external_key,
        external_binding,
        created: now,
    };
    match acme.store.create_account(account.clone()).await? {
        AccountCreation::Created => {
            let key = account.external_key.as_deref();
            audit::account_created(account.id, &acme.name, key, request.request_id.as_str());
            Ok(represent(&acme, &account, StatusCode::CREATED))
        }
        AccountCreation::Exists(account) => existing(&acme, &account),
        AccountCreation::NoSuchExternalKey => Err(external_account::refused()),
    }
}

fn existing(acme: &Acme, account: &Account) -> Result<Response, Problem> {
    check_status(account)?;
    Ok(represent(acme, account, StatusCode::OK))
}

/// RFC 8555 §7.3.2: `termsOfServiceAgreed`, `orders` and any other member are ignored.
#[derive(Deserialize)]
struct AccountUpdate {
    contact: Option<Vec<String>>,
    status: Option<String>,
}

async fn account(
    State(acme): State<Acme>,
    Resource(id): Resource<AccountId>,
    request: SignedOrFetch<AccountUpdate>,
) -> Result<Response, Problem> {
    let mut account = request.account;
    if account.id != id {
        return Err(Problem::not_found());
    }
    let update = request.payload.unwrap_or(AccountUpdate {
        contact: None,
        status: None,
    });
    // RFC 8555 §7.3.6; other values of `status` are not ours to set (§7.3.2).
    if update.status.as_deref() == Some("deactivated") {
        if !acme.store.deactivate_account(id).await? {
            return Err(deactivated_meanwhile());
        }
        let by = audit::By::Request(request.request_id.as_str());
        audit::account_deactivated(id, &acme.name, by);
        account.status = AccountStatus::Deactivated;
    } else if let Some(contacts) = update.contact {
        contact::check(&contacts)?;
        if !acme.store.set_contacts(id, contacts.clone()).await? {
            return Err(deactivated_meanwhile());
        }
        audit::account_updated(id, &acme.name, request.request_id.as_str());
        account.contacts = contacts;
    }
    Ok(represent(&acme, &account, StatusCode::OK))
}

fn deactivated_meanwhile() -> Problem {
    Problem::unauthorized("the account is deactivated").status(StatusCode::UNAUTHORIZED)
}

/// RFC 8555 §7.1.2
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccountObject<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    contact: &'a [String],
    terms_of_service_agreed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_account_binding: Option<&'a RawValue>,
    orders: String,
}

/// The account's object, with its URL as `Location`.
pub(super) fn represent(acme: &Acme, account: &Account, status: StatusCode) -> Response {
    let object = AccountObject {
        status: account.status.as_str(),
        contact: &account.contacts,
        terms_of_service_agreed: account.terms_agreed,
        external_account_binding: (account.external_binding.as_deref())
            .and_then(|jws| serde_json::from_str(jws).ok()),
        orders: acme.urls.orders(account.id),
    };
    let location = [(header::LOCATION, acme.urls.account(account.id))];
    (status, location, Json(object)).into_response()
}

#[cfg(test)]
mod tests;
