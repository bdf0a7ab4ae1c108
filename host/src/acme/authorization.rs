//! Authorizations: newAuthz (RFC 8555 §7.4.1), reading one (§7.5), deactivating one (§7.5.2).

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::acme::Acme;
use crate::acme::challenge::{ChallengeObject, LOOK_AGAIN};
use crate::acme::headers::{set_location, set_retry_after};
use crate::acme::identifiers::{NamePolicy, WireIdentifier};
use crate::acme::problem::Problem;
use crate::acme::request::{Resource, Signed, SignedOrFetch};
use crate::acme::urls::path;
use crate::config::AcmeEndpoint;
use crate::ids::{AuthorizationId, EndpointName};
use crate::observe::audit;
use crate::order::{
    Authorization, AuthorizationState, AuthorizationStatus, Challenge, ChallengeState, Identifier,
    Token,
};
use crate::store::Account;
use crate::time::UnixTime;

/// The most that an authorization must have left to be used again.
const TIME_TO_FINALIZE: Duration = Duration::from_secs(10 * 60);

pub(super) fn routes() -> Router<Acme> {
    Router::new()
        .route(path::NEW_AUTHZ, post(create))
        .route(path::AUTHORIZATION, post(read_or_deactivate))
}

/// RFC 8555 §7.4.1
#[derive(Debug, Deserialize)]
struct NewAuthorization {
    identifier: WireIdentifier,
}

async fn create(
    State(acme): State<Acme>,
    request: Signed<NewAuthorization>,
) -> Result<Response, Problem> {
    let Signed {
        account, payload, ..
    } = request;
    // RFC 8555 §7.4.1: "pre-authorization cannot be used to authorize issuance of certificates
    // containing wildcard domain names".
    if payload.identifier.value.starts_with("*.") {
        return Err(Problem::malformed(
            "a wildcard can't be authorised in advance; ask for it in an order",
        ));
    }
    let now = UnixTime::now();
    let identifier = NamePolicy::new(&acme.config).identifier(&payload.identifier)?;
    let names = std::slice::from_ref(&identifier.name);
    let valid = acme
        .store
        .valid_authorizations(account.id, names, usable_from(&acme.config, now))
        .await?;
    let (status, authorization) = match covering(&valid, &account.endpoint, &identifier) {
        Some(valid) => (StatusCode::OK, valid.clone()),
        None => {
            let new = open(&acme.config, &account, &identifier, now);
            // RFC 8555 §7.4.1: one that is pending already is the answer.
            match acme.store.create_authorization(new.clone()).await? {
                Some(pending) => (StatusCode::OK, pending),
                None => (StatusCode::CREATED, new),
            }
        }
    };
    let mut response = show(&acme, &authorization, now);
    *response.status_mut() = status;
    set_location(&mut response, &acme.urls.authorization(authorization.id));
    Ok(response)
}

/// RFC 8555 §7.5.2
#[derive(Debug, Deserialize)]
struct Update {
    status: Option<String>,
}

async fn read_or_deactivate(
    State(acme): State<Acme>,
    Resource(id): Resource<AuthorizationId>,
    request: SignedOrFetch<Update>,
) -> Result<Response, Problem> {
    let mut authorization = acme.authorization_of(&request.account, id).await?;
    if let Some(update) = request.payload {
        if update.status.as_deref() != Some("deactivated") {
            return Err(Problem::malformed(
                "the only change an authorization takes is {\"status\":\"deactivated\"}",
            ));
        }
        if acme.store.deactivate_authorization(id).await? {
            authorization.state = AuthorizationState::Deactivated;
        } else {
            // It has ended before, or this very moment.
            authorization = acme.authorization_of(&request.account, id).await?;
            if authorization.state != AuthorizationState::Deactivated {
                return Err(Problem::malformed(
                    "only a pending or valid authorization can be deactivated",
                ));
            }
        }
        audit::authorization_deactivated(&authorization, request.request_id.as_str());
    }
    Ok(show(&acme, &authorization, UnixTime::now()))
}

/// A new pending authorization with the endpoint's challenges.
pub(super) fn open(
    config: &AcmeEndpoint,
    account: &Account,
    identifier: &Identifier,
    now: UnixTime,
) -> Authorization {
    let Identifier { name, wildcard } = identifier;
    let kinds = config.challenges.iter().copied();
    Authorization {
        id: AuthorizationId::random(now),
        account: account.id,
        endpoint: account.endpoint.clone(),
        name: name.clone(),
        wildcard: *wildcard,
        created: now,
        expires: now.plus(config.order_lifetime),
        state: AuthorizationState::Pending,
        challenges: kinds
            .filter(|kind| !wildcard || kind.serves_wildcards())
            .map(|kind| Challenge {
                kind,
                token: Token::random(),
                state: ChallengeState::Pending,
            })
            .collect(),
    }
}

/// An authorization is used again only if it is valid beyond this: there must be time to finalize.
pub(super) fn usable_from(config: &AcmeEndpoint, now: UnixTime) -> UnixTime {
    let a_tenth = config.authorization_lifetime / 10;
    now.plus(a_tenth.min(TIME_TO_FINALIZE))
}

/// That one of an account's valid authorizations which speaks for exactly this identifier, and does so
/// longest.
pub(super) fn covering<'a>(
    valid: &'a [Authorization],
    endpoint: &EndpointName,
    identifier: &Identifier,
) -> Option<&'a Authorization> {
    valid
        .iter()
        .filter(|each| each.endpoint == *endpoint)
        .filter(|each| each.name == identifier.name && each.wildcard == identifier.wildcard)
        .max_by_key(|each| each.expires)
}

fn show(acme: &Acme, authorization: &Authorization, now: UnixTime) -> Response {
    let status = authorization.status(now);
    let challenges = told_in(status, authorization)
        .map(|challenge| ChallengeObject::new(acme, authorization.id, challenge))
        .collect();
    let mut response = Json(AuthorizationObject {
        identifier: WireIdentifier::dns(authorization.name.to_string()),
        status: status.as_str(),
        expires: authorization.expires.to_string(),
        challenges,
        wildcard: authorization.wildcard.then_some(true),
    })
    .into_response();
    let processing = |challenge: &Challenge| challenge.state == ChallengeState::Processing;
    if status == AuthorizationStatus::Pending && authorization.challenges.iter().any(processing) {
        set_retry_after(&mut response, LOOK_AGAIN);
    }
    response
}

/// RFC 8555 §7.1.4: of a valid authorization the challenge that was validated, of an invalid one that
/// which failed.
fn told_in(
    status: AuthorizationStatus,
    authorization: &Authorization,
) -> impl Iterator<Item = &Challenge> {
    let decided = match status {
        AuthorizationStatus::Valid => true,
        // A pending one that expired has none that failed.
        AuthorizationStatus::Invalid => authorization.state == AuthorizationState::Invalid,
        AuthorizationStatus::Pending
        | AuthorizationStatus::Deactivated
        | AuthorizationStatus::Expired
        | AuthorizationStatus::Revoked => false,
    };
    let open = |state: &ChallengeState| {
        matches!(state, ChallengeState::Pending | ChallengeState::Processing)
    };
    let challenges = authorization.challenges.iter();
    challenges.filter(move |challenge| !decided || !open(&challenge.state))
}

/// RFC 8555 §7.1.4
#[derive(Serialize)]
struct AuthorizationObject<'a> {
    identifier: WireIdentifier,
    status: &'static str,
    expires: String,
    challenges: Vec<ChallengeObject<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wildcard: Option<bool>,
}
