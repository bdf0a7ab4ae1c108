//! [`Refusal`]: the one place where an error becomes an EST answer: a status, and one sentence of plain
//! text with the request's id (RFC 7030 §4.2.3).

use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use certdock_plugin_api::{Fault, FaultClass};
use http::{HeaderValue, StatusCode, header};

use crate::est::enroll::SHORTLY;
use crate::issuance;
use crate::order::{Failure, FailureKind};
use crate::request_id::RequestId;

/// A refusal on its way to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: StatusCode,
    /// One sentence for the client.
    pub reason: String,
    /// Sent as `Retry-After`.
    pub retry_after: Option<Duration>,
    /// Sent as `WWW-Authenticate`: with 401, where a user and a password would help.
    pub authenticate: Option<&'static str>,
    /// Sent as `Allow`, with 405.
    pub allow: Option<&'static str>,
}

/// RFC 7617: what a client is asked for where a user and a password would help.
const BASIC: &str = "Basic realm=\"EST\", charset=\"UTF-8\"";

/// When to come back, where nobody knows better.
const OUT_OF_SERVICE: Duration = Duration::from_secs(30);

impl Refusal {
    #[must_use]
    pub fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.into(),
            retry_after: None,
            authenticate: None,
            allow: None,
        }
    }

    /// 400: the request itself is wrong.
    #[must_use]
    pub fn malformed(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    /// 401: a user and a password would help (RFC 7030 §3.2.3).
    #[must_use]
    pub fn unauthenticated(reason: impl Into<String>) -> Self {
        let mut refusal = Self::new(StatusCode::UNAUTHORIZED, reason);
        refusal.authenticate = Some(BASIC);
        refusal
    }

    /// 403: this client may not have what it asks for.
    #[must_use]
    pub fn forbidden(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, reason)
    }

    /// 429: too many attempts.
    #[must_use]
    pub fn too_many(reason: impl Into<String>, retry_after: Duration) -> Self {
        let mut refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, reason);
        refusal.retry_after = Some(retry_after);
        refusal
    }

    /// 503: the CA behind the label can't serve now.
    #[must_use]
    pub fn unavailable(retry_after: Duration) -> Self {
        Self::later("the CA behind this label is not in service", retry_after)
    }

    fn later(why: &str, retry_after: Duration) -> Self {
        let mut refusal = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{why}; try again later"),
        );
        refusal.retry_after = Some(retry_after);
        refusal
    }

    /// 503: of two requests that came in at once the other was first, and nothing is kept of this one.
    pub(super) fn at_once() -> Self {
        let mut refusal = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "another request came in at the same time; ask again",
        );
        refusal.retry_after = Some(SHORTLY);
        refusal
    }

    /// 503: no such handler could be opened.
    pub(super) fn no_handler() -> Self {
        Self::unavailable(OUT_OF_SERVICE)
    }

    /// What went wrong on our side is logged here and never told.
    #[must_use]
    pub fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the server could not complete the request",
        )
    }

    pub(super) fn unknown_label() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is no such EST label here")
    }

    pub(super) fn unknown_operation() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is no such EST operation here")
    }

    pub(super) fn wrong_method(allow: &'static str) -> Self {
        let mut refusal = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("this operation takes {allow} only"),
        );
        refusal.allow = Some(allow);
        refusal
    }

    pub(super) fn wrong_type(expected: &str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("the Content-Type of this operation's requests is {expected}"),
        )
    }

    pub(super) fn too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the request's body is too large",
        )
    }

    /// The answer, with the id under which the log has the request.
    #[must_use]
    pub fn response(&self, id: &RequestId) -> Response {
        let text = format!("{} (request {id})\n", self.reason);
        let mut response = (
            self.status,
            [(
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/plain; charset=utf-8"),
            )],
            text,
        )
            .into_response();
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, retry_after(wait));
        }
        if let Some(scheme) = self.authenticate {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
        }
        if let Some(methods) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        response
    }
}

/// Whole seconds, one at least: zero would ask clients to hammer.
pub(super) fn retry_after(wait: Duration) -> HeaderValue {
    HeaderValue::from(wait.as_secs().max(1))
}

impl From<issuance::Refusal> for Refusal {
    fn from(refusal: issuance::Refusal) -> Self {
        match refusal {
            issuance::Refusal::BadCsr(reason) => Self::malformed(reason),
            issuance::Refusal::Unavailable { retry_after } => Self::unavailable(retry_after),
            issuance::Refusal::Busy { retry_after } => {
                Self::later("the CA behind this label has too much to do", retry_after)
            }
            issuance::Refusal::Store(error) => error.into(),
        }
    }
}

impl From<crate::store::Error> for Refusal {
    fn from(error: crate::store::Error) -> Self {
        Self::internal(&error)
    }
}

/// A handler that could not even say what its CA's certificates are.
impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        let mut refusal = Self::unavailable(fault.retry_after.unwrap_or(OUT_OF_SERVICE));
        if fault.class == FaultClass::Unsupported {
            refusal.status = StatusCode::NOT_IMPLEMENTED;
            refusal.retry_after = None;
        }
        if !fault.public.is_empty() {
            refusal.reason = fault.public;
        }
        refusal
    }
}

/// What a handler refused for good, or answered wrongly.
impl From<&Failure> for Refusal {
    fn from(failure: &Failure) -> Self {
        let status = match failure.kind {
            FailureKind::BadCsr => StatusCode::BAD_REQUEST,
            FailureKind::RejectedIdentifier | FailureKind::Unauthorized | FailureKind::Caa => {
                StatusCode::FORBIDDEN
            }
            FailureKind::Connection
            | FailureKind::Dns
            | FailureKind::IncorrectResponse
            | FailureKind::ServerInternal
            | FailureKind::Tls => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, failure.detail.clone())
    }
}
