//! `/healthz`, `/readyz` and `/metrics`, on the admin listener.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{StatusCode, header};
use serde::Serialize;

use super::metrics::Metrics;
use crate::handlers::{self, HandlerStatus, Handlers};
use crate::plugins::Rejected;
use crate::store::Store;
use crate::time::UnixTime;

/// More than this many due enrollments are not counted.
const MOST_DUE: usize = 100;

/// What health is told from.
#[derive(Clone)]
pub struct Health {
    pub store: Arc<dyn Store>,
    pub handlers: Arc<Handlers>,
    /// Why the listeners don't serve, if they don't.
    pub listeners: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// What on the disk is not used.
    pub refusals: Arc<dyn Fn() -> Refusals + Send + Sync>,
    pub metrics: Metrics,
}

/// What on the disk is not used. It makes no server unready: what was in force before stays so.
#[derive(Clone, Debug, Default)]
pub struct Refusals {
    /// Why the configuration is not in force.
    pub configuration: Option<String>,
    /// Files in the plugins directory.
    pub plugins: Vec<Rejected>,
}

/// The routes, from the root.
pub fn router(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health)
}

#[derive(Serialize)]
struct Report {
    ready: bool,
    store: Part,
    listeners: Part,
    handlers: BTreeMap<String, HandlerReport>,
    configuration: Part,
    refused_plugins: Vec<Rejected>,
    /// Handlers that are down. Their endpoints answer 503; the others serve, so the server is ready.
    degraded: Vec<String>,
}

#[derive(Serialize)]
struct HandlerReport {
    #[serde(flatten)]
    status: HandlerStatus,
    generation: u64,
    /// Why what was to replace it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    replacement_refused: Option<String>,
    /// What the handler says of its CA, if it can tell. A CA that is down makes no server unready:
    /// clients are told when to come back.
    #[serde(skip_serializing_if = "Option::is_none")]
    ca: Option<handlers::Health>,
}

#[derive(Serialize)]
struct Part {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<Result<(), String>> for Part {
    fn from(result: Result<(), String>) -> Self {
        Self {
            ok: result.is_ok(),
            reason: result.err(),
        }
    }
}

async fn ready(State(health): State<Health>) -> Response {
    let store = health.store.ping().await;
    let store = Part::from(store.map_err(|error| error.to_string()));
    let listeners = Part::from((health.listeners)());
    let handlers: BTreeMap<_, _> = health
        .handlers
        .list()
        .iter()
        .map(|handler| {
            let report = HandlerReport {
                status: handler.status(),
                generation: handler.generation(),
                replacement_refused: handler.refused().map(|reason| reason.to_string()),
                ca: handler.health(),
            };
            (handler.name().to_string(), report)
        })
        .collect();
    let degraded = handlers
        .iter()
        .filter(|(_, report)| matches!(report.status, HandlerStatus::Down { .. }))
        .map(|(name, _)| name.clone())
        .collect();
    let refusals = (health.refusals)();
    let ready = store.ok && listeners.ok;
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let report = Report {
        ready,
        store,
        listeners,
        handlers,
        configuration: Part::from(refusals.configuration.map_or(Ok(()), Err)),
        refused_plugins: refusals.plugins,
        degraded,
    };
    (status, Json(report)).into_response()
}

async fn metrics(State(health): State<Health>) -> Response {
    let mut due = 0;
    for handler in health.handlers.list() {
        let some = (health.store).due_enrollments(handler.name(), UnixTime::now(), MOST_DUE);
        due += some.await.map_or(0, |due| due.len());
    }
    let text = health.metrics.render(&health.handlers, due);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use certdock_plugin_api::Fault;
    use http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;
    use crate::handlers::HandlerSettings;
    use crate::store::sqlite::SqliteStore;

    async fn get(health: &Health, path: &str) -> (u16, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router(health.clone()).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readiness_follows_store_and_listeners_and_tells_of_handlers() {
        let folder = tempfile::tempdir().unwrap();
        let settings = HandlerSettings {
            deadline: std::time::Duration::from_secs(5),
            threads: 1,
            queue: 1,
            patience: handlers::Patience::default(),
        };
        let opener = Arc::new(|| Err(Fault::misconfigured("the key is missing")));
        let handlers = Handlers::open([("down".parse().unwrap(), settings, opener as _)]).await;
        let store = Arc::new(SqliteStore::open(folder.path().join("test.db")).unwrap());
        let mut health = Health {
            store: store.clone(),
            handlers: Arc::new(handlers),
            listeners: Arc::new(|| Ok(())),
            refusals: Arc::new(Refusals::default),
            metrics: Metrics::detached(),
        };
        let (status, text) = get(&health, "/readyz").await;
        let report: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, &report["ready"]), (200, &true.into()));
        assert_eq!(report["degraded"], serde_json::json!(["down"]));
        let reason = report["handlers"]["down"]["reason"].as_str().unwrap();
        assert!(reason.contains("the key is missing"), "{text}");

        health.listeners = Arc::new(|| Err("there is no certificate".to_owned()));
        let (status, text) = get(&health, "/readyz").await;
        assert!(
            status == 503 && text.contains("there is no certificate"),
            "{text}"
        );
        assert_eq!(get(&health, "/healthz").await, (200, "ok\n".to_owned()));
        assert_eq!(get(&health, "/metrics").await.0, 200);
    }
}
