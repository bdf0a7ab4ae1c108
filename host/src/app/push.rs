//! `POST /push/HANDLER`: a CA tells of its own accord that it has something new.
//!
//! Off for a handler without `push_secret`. Whoever sends must know that secret; what is sent is for
//! the handler's plugin to read, and what comes of it goes the way of every other answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use bytes::Bytes;
use certdock_plugin_api::{Fault, FaultClass, News, Poll, PushRequest};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::handlers::{Handlers, read_secret};
use crate::ids::HandlerName;
use crate::issuance::Issuance;
use crate::request_id::RequestId;
use crate::store;

/// When a sender should come back, if the handler does not say.
const LATER: Duration = Duration::from_secs(30);

/// The handlers that take pushes, with their secrets.
pub(super) type Secrets = BTreeMap<HandlerName, Zeroizing<Vec<u8>>>;

/// Reads the secrets.
///
/// # Errors
/// One can't be read.
pub(super) fn secrets(config: &Config) -> anyhow::Result<Secrets> {
    let mut secrets = Secrets::new();
    for (name, handler) in &config.handlers {
        let Some(reference) = &handler.push_secret else {
            continue;
        };
        let secret = read_secret(reference, &handler.base_dir);
        let secret = secret.with_context(|| format!("push_secret of the handler {name}"))?;
        secrets.insert(name.clone(), secret);
    }
    Ok(secrets)
}

#[derive(Clone)]
struct Push {
    secrets: Arc<Secrets>,
    handlers: Arc<Handlers>,
    issuance: Arc<Issuance>,
}

pub(super) fn router(secrets: Secrets, handlers: Arc<Handlers>, issuance: Arc<Issuance>) -> Router {
    if secrets.is_empty() {
        return Router::new();
    }
    Router::new()
        .route("/push/{handler}", post(push))
        .with_state(Push {
            secrets: Arc::new(secrets),
            handlers,
            issuance,
        })
}

/// What became of a push.
#[derive(Serialize)]
struct Taken {
    /// What the handler made of it.
    news: usize,
    /// Enrollments that were moved on by it.
    enrollments: Vec<String>,
}

async fn push(
    State(push): State<Push>,
    name: Result<Path<String>, PathRejection>,
    Extension(request_id): Extension<RequestId>,
    headers: HeaderMap,
    payload: Bytes,
) -> Response {
    // Whether there is such a handler is nobody's business without its secret.
    let Some((name, handler)) = name
        .ok()
        .and_then(|Path(name)| push.secrets.get_key_value(name.as_str()))
        .filter(|(_, secret)| authentic(&headers, secret))
        .and_then(|(name, _)| Some((name.clone(), push.handlers.get(name.as_str())?)))
    else {
        let challenge = (header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return (StatusCode::UNAUTHORIZED, [challenge]).into_response();
    };
    let mut request = PushRequest::new(payload);
    request.headers = open_headers(&headers);
    request.request_id = request_id.as_str().to_owned();
    match handler.push(request).await {
        Ok(news) => {
            let count = news.len();
            // Goes on, though the sender may be gone.
            let issuance = Arc::clone(&push.issuance);
            let taken = tokio::spawn(async move { take(&issuance, &name, news).await });
            match taken.await {
                Ok(Ok(enrollments)) => Json(Taken {
                    news: count,
                    enrollments,
                })
                .into_response(),
                Ok(Err(error)) => {
                    tracing::error!(%error, "a push was not written down");
                    later(None)
                }
                Err(_) => later(None),
            }
        }
        Err(fault) => {
            tracing::warn!(handler = %name, %request_id, %fault, "a push was not understood");
            refuse(&fault)
        }
    }
}

/// Hands each piece of news to the engine; the ids of the enrollments it was about.
async fn take(
    issuance: &Arc<Issuance>,
    handler: &HandlerName,
    news: Vec<News>,
) -> Result<Vec<String>, store::Error> {
    let mut enrollments = Vec::new();
    for piece in news {
        let about = match piece.answer {
            Some(Poll::Issued(chain)) => issuance.deliver(handler, chain).await?,
            _ => None,
        };
        let about = match about {
            Some(about) => vec![about],
            None if piece.poll_id.is_empty() => Vec::new(),
            None => issuance.poll_now(handler, &piece.poll_id).await?,
        };
        if about.is_empty() {
            tracing::info!(%handler, poll_id = piece.poll_id, "a push is about nothing that waits");
        }
        for (enrollment, outcome) in about {
            tracing::info!(%handler, %enrollment, ?outcome, "moved on by a push");
            enrollments.push(enrollment.to_string());
        }
    }
    Ok(enrollments)
}

/// Hashes are compared, since they are of one length.
fn authentic(headers: &HeaderMap, secret: &[u8]) -> bool {
    let given = headers.get(header::AUTHORIZATION);
    let given = given.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let hash = |bytes: &[u8]| digest(&SHA256, bytes);
    given.is_some_and(|given| hash(given).as_ref().ct_eq(hash(secret).as_ref()).into())
}

/// The headers that a plugin may see.
fn open_headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    let secret = [header::AUTHORIZATION, header::COOKIE];
    headers
        .iter()
        .filter(|(name, _)| !secret.contains(name))
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect()
}

fn refuse(fault: &Fault) -> Response {
    let text = format!("{}\n", fault.public);
    match fault.class {
        FaultClass::Malformed => (StatusCode::BAD_REQUEST, text).into_response(),
        FaultClass::Denied => (StatusCode::UNPROCESSABLE_ENTITY, text).into_response(),
        FaultClass::Unsupported => (StatusCode::NOT_IMPLEMENTED, text).into_response(),
        _ => later(fault.retry_after),
    }
}

fn later(wait: Option<Duration>) -> Response {
    let wait = wait.unwrap_or(LATER).as_secs().to_string();
    (
        StatusCode::SERVICE_UNAVAILABLE,
        [(header::RETRY_AFTER, wait)],
    )
        .into_response()
}
