//! Challenges: reading one, and responding to it (RFC 8555 §7.5.1).

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::acme::Acme;
use crate::acme::headers::{add_link, set_retry_after};
use crate::acme::problem::Problem;
use crate::acme::request::{Resource, SignedOrFetch};
use crate::acme::urls::path;
use crate::acme::validations::Wanted;
use crate::ids::AuthorizationId;
use crate::order::{Authorization, AuthorizationStatus, Challenge, ChallengeState, ChallengeType};
use crate::time::UnixTime;

/// How long a client is kept waiting for the result before it is told to come back: most checks end
/// within this, and their clients need not poll.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// When to look again at a challenge in processing.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(2);

pub(super) fn routes() -> Router<Acme> {
    Router::new().route(path::CHALLENGE, post(read_or_respond))
}

/// RFC 8555 §7.5.1: an object; what it holds means nothing for the challenges of today.
#[derive(Debug, Deserialize)]
struct Respond {}

async fn read_or_respond(
    State(acme): State<Acme>,
    Resource((id, kind)): Resource<(AuthorizationId, ChallengeType)>,
    request: SignedOrFetch<Respond>,
) -> Result<Response, Problem> {
    let SignedOrFetch {
        account,
        payload,
        request_id,
    } = request;
    let authorization = match payload {
        None => acme.authorization_of(&account, id).await?,
        Some(Respond {}) => {
            let wanted = Wanted {
                account: account.clone(),
                authorization: id,
                kind,
                request_id: request_id.as_str().to_owned(),
            };
            let result = acme.validations.start_or_join(&acme, wanted)?;
            match tokio::time::timeout(PATIENCE, result.settled()).await {
                Ok(settled) => settled?,
                Err(_) => {
                    acme.authorization_of(&account, id).await?;
                    // From here on the check outlives this request, and this process.
                    acme.store.claim_challenge(id, kind).await?;
                    acme.authorization_of(&account, id).await?
                }
            }
        }
    };
    show(&acme, &authorization, kind)
}

fn show(
    acme: &Acme,
    authorization: &Authorization,
    kind: ChallengeType,
) -> Result<Response, Problem> {
    let challenge = authorization
        .challenge(kind)
        .ok_or_else(Problem::not_found)?;
    let mut response =
        Json(ChallengeObject::new(acme, authorization.id, challenge)).into_response();
    let up = acme.urls.authorization(authorization.id);
    add_link(&mut response, &up, "up");
    if challenge.state == ChallengeState::Processing
        && authorization.status(UnixTime::now()) == AuthorizationStatus::Pending
    {
        set_retry_after(&mut response, LOOK_AGAIN);
    }
    Ok(response)
}

/// RFC 8555 §8
#[derive(Serialize)]
pub(super) struct ChallengeObject<'a> {
    #[serde(rename = "type")]
    kind: ChallengeType,
    url: String,
    status: &'static str,
    token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    validated: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

impl<'a> ChallengeObject<'a> {
    pub(super) fn new(
        acme: &Acme,
        authorization: AuthorizationId,
        challenge: &'a Challenge,
    ) -> Self {
        let (status, validated, error) = match &challenge.state {
            ChallengeState::Pending => ("pending", None, None),
            ChallengeState::Processing => ("processing", None, None),
            ChallengeState::Valid { validated } => ("valid", Some(validated.to_string()), None),
            ChallengeState::Invalid { failure, validated } => {
                ("invalid", Some(validated.to_string()), Some(failure.into()))
            }
        };
        Self {
            kind: challenge.kind,
            url: acme.urls.challenge(authorization, challenge.kind),
            status,
            token: challenge.token.as_str(),
            validated,
            error,
        }
    }
}
