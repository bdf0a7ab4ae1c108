//! `/crl/HANDLER`: the handlers' revocation lists, DER (RFC 5280 §4.2.1.13, RFC 2585 §3).

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};

use crate::handlers::Handlers;

pub(super) fn router(handlers: Arc<Handlers>) -> Router {
    Router::new()
        .route("/crl/{handler}", get(crl))
        .with_state(handlers)
}

async fn crl(
    State(handlers): State<Arc<Handlers>>,
    // Not to be read where it is not UTF-8, and no handler's name is that.
    name: Result<Path<String>, PathRejection>,
) -> Response {
    let Ok(Path(name)) = name else {
        return StatusCode::NOT_FOUND.into_response();
    };
    // Whether a handler is unknown, or known and without a list, is the same to a client; one that
    // has never been open may have one yet.
    let Some(handler) = handlers.get(&name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if handler.abilities().is_some_and(|able| !able.crl) {
        return StatusCode::NOT_FOUND.into_response();
    }
    match handler.crl().await {
        Ok(list) => {
            let good_for = list
                .next_update
                .duration_since(SystemTime::now())
                .unwrap_or_default();
            // Caches in between may keep it no longer than we would.
            let max_age = good_for.as_secs().min(300);
            (
                [
                    (
                        header::CONTENT_TYPE,
                        HeaderValue::from_static("application/pkix-crl"),
                    ),
                    (header::CACHE_CONTROL, cache_control(max_age)),
                ],
                list.der.clone(),
            )
                .into_response()
        }
        Err(fault) => {
            tracing::warn!(handler = name, %fault, "no CRL");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                [(header::RETRY_AFTER, "30")],
            )
                .into_response()
        }
    }
}

fn cache_control(max_age: u64) -> HeaderValue {
    HeaderValue::try_from(format!("public, max-age={max_age}"))
        .unwrap_or(HeaderValue::from_static("no-cache"))
}
