//! [`respond`]: what every request gets, whatever it asks for: an id, a span, limits, a line in the
//! log.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody as _};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use tower::ServiceExt;
use tracing::Instrument;

use crate::request_id::RequestId;
use crate::server::connection::{Peer, Service};

/// Runs one request through the router.
pub(super) async fn respond(
    service: &Service,
    request: Request<Incoming>,
    peer: Peer,
) -> Response<Body> {
    // A client's own id is not taken over: it could pass for another request's.
    let id = RequestId::random();
    let span = tracing::info_span!("request", id = id.as_str());
    let mut response = run(service, request, &id, peer).instrument(span).await;
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    response
}

async fn run(
    service: &Service,
    mut request: Request<Incoming>,
    id: &RequestId,
    peer: Peer,
) -> Response<Body> {
    let start = Instant::now();
    let line = Line {
        method: request.method().clone(),
        // The path alone: a query may hold what is nobody's business.
        path: request.uri().path().to_owned(),
        peer: peer.address,
    };
    request.extensions_mut().insert(id.clone());
    request.extensions_mut().insert(peer);
    let limit = service.limits.body;
    // Whoever reads a body that is too long comes upon an error, and says so in the words of its own
    // protocol.
    let request = if declared_length(&request) > limit as u64 {
        let (head, body) = request.into_parts();
        discard(body).await;
        Request::from_parts(head, Body::new(Limited::new(Body::from("too long"), 0)))
    } else {
        request.map(|body| Body::new(Limited::new(body, limit)))
    };
    let answer = contain(service.routes.current(), request);
    let response = match tokio::time::timeout(service.limits.request_timeout, answer).await {
        Ok(response) => response,
        Err(_) => {
            let text = "the request took too long; try again later\n";
            let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, text);
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
            response
        }
    };
    line.write(&response, start);
    response
}

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Whether an error of reading a body is that there is too much of it: more than the server takes, or
/// than whoever reads it.
pub fn is_too_long(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<LengthLimitError>() {
            return true;
        }
        next = error.source();
    }
    false
}

fn declared_length(request: &Request<Incoming>) -> u64 {
    request.body().size_hint().lower()
}

/// Takes in what a client is sending, up to a point: many read the answer only once they have sent
/// everything, and lose it if the connection is reset before.
async fn discard(body: Incoming) {
    let mut body = Limited::new(body, DISCARDED);
    let all = async { while let Some(Ok(_)) = body.frame().await {} };
    // Whoever sends nothing more is answered all the same.
    let _ = tokio::time::timeout(DISCARDING, all).await;
}

const DISCARDED: usize = 1024 * 1024;
const DISCARDING: Duration = Duration::from_secs(1);

/// A handler that panics is a bug of ours; the client gets an answer all the same.
async fn contain(router: Router, request: Request<Body>) -> Response<Body> {
    let mut answer = std::pin::pin!(router.oneshot(request));
    let caught = std::future::poll_fn(move |context| {
        let poll = || Pin::as_mut(&mut answer).poll(context);
        match std::panic::catch_unwind(AssertUnwindSafe(poll)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(Ok(response))) => Poll::Ready(Some(response)),
            Err(_) => Poll::Ready(None),
        }
    });
    caught.await.unwrap_or_else(|| {
        tracing::error!("a request handler panicked");
        plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the server could not complete the request\n",
        )
    })
}

/// An answer of the server itself, before or beside any protocol.
fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// The access log's line. What went well is for debugging: the audit log has what was done.
struct Line {
    method: Method,
    path: String,
    peer: Option<std::net::SocketAddr>,
}

impl Line {
    fn write(&self, response: &Response<Body>, start: Instant) {
        let Self { method, path, peer } = self;
        let peer = peer.map(tracing::field::display);
        let status = response.status().as_u16();
        let bytes = response.body().size_hint().exact();
        let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        if response.status().is_client_error() || response.status().is_server_error() {
            tracing::info!(target: "certdock::access", %method, path, status, micros, bytes, peer);
        } else {
            tracing::debug!(target: "certdock::access", %method, path, status, micros, bytes, peer);
        }
    }
}
