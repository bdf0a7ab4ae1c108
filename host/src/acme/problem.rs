//! [`Problem`]: the one place where an error becomes an ACME problem document (RFC 8555 §6.7,
//! RFC 7807).

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::json;

use crate::acme::identifiers::WireIdentifier;
use crate::order::{Failure, FailureKind};

/// RFC 8555 §6.7, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemType {
    AccountDoesNotExist,
    AlreadyRevoked,
    BadCsr,
    BadNonce,
    BadPublicKey,
    BadRevocationReason,
    BadSignatureAlgorithm,
    Caa,
    Compound,
    Connection,
    Dns,
    ExternalAccountRequired,
    IncorrectResponse,
    InvalidContact,
    Malformed,
    OrderNotReady,
    RateLimited,
    RejectedIdentifier,
    ServerInternal,
    Tls,
    Unauthorized,
    UnsupportedContact,
    UnsupportedIdentifier,
    UserActionRequired,
}

impl ProblemType {
    #[must_use]
    pub fn urn(self) -> &'static str {
        match self {
            Self::AccountDoesNotExist => "urn:ietf:params:acme:error:accountDoesNotExist",
            Self::AlreadyRevoked => "urn:ietf:params:acme:error:alreadyRevoked",
            Self::BadCsr => "urn:ietf:params:acme:error:badCSR",
            Self::BadNonce => "urn:ietf:params:acme:error:badNonce",
            Self::BadPublicKey => "urn:ietf:params:acme:error:badPublicKey",
            Self::BadRevocationReason => "urn:ietf:params:acme:error:badRevocationReason",
            Self::BadSignatureAlgorithm => "urn:ietf:params:acme:error:badSignatureAlgorithm",
            Self::Caa => "urn:ietf:params:acme:error:caa",
            Self::Compound => "urn:ietf:params:acme:error:compound",
            Self::Connection => "urn:ietf:params:acme:error:connection",
            Self::Dns => "urn:ietf:params:acme:error:dns",
            Self::ExternalAccountRequired => "urn:ietf:params:acme:error:externalAccountRequired",
            Self::IncorrectResponse => "urn:ietf:params:acme:error:incorrectResponse",
            Self::InvalidContact => "urn:ietf:params:acme:error:invalidContact",
            Self::Malformed => "urn:ietf:params:acme:error:malformed",
            Self::OrderNotReady => "urn:ietf:params:acme:error:orderNotReady",
            Self::RateLimited => "urn:ietf:params:acme:error:rateLimited",
            Self::RejectedIdentifier => "urn:ietf:params:acme:error:rejectedIdentifier",
            Self::ServerInternal => "urn:ietf:params:acme:error:serverInternal",
            Self::Tls => "urn:ietf:params:acme:error:tls",
            Self::Unauthorized => "urn:ietf:params:acme:error:unauthorized",
            Self::UnsupportedContact => "urn:ietf:params:acme:error:unsupportedContact",
            Self::UnsupportedIdentifier => "urn:ietf:params:acme:error:unsupportedIdentifier",
            Self::UserActionRequired => "urn:ietf:params:acme:error:userActionRequired",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::ExternalAccountRequired
            | Self::OrderNotReady
            | Self::RejectedIdentifier
            | Self::Unauthorized
            | Self::Caa
            | Self::UserActionRequired => StatusCode::FORBIDDEN,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::ServerInternal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::AccountDoesNotExist
            | Self::AlreadyRevoked
            | Self::BadCsr
            | Self::BadNonce
            | Self::BadPublicKey
            | Self::BadRevocationReason
            | Self::BadSignatureAlgorithm
            | Self::Compound
            | Self::Connection
            | Self::Dns
            | Self::IncorrectResponse
            | Self::InvalidContact
            | Self::Malformed
            | Self::Tls
            | Self::UnsupportedContact
            | Self::UnsupportedIdentifier => StatusCode::BAD_REQUEST,
        }
    }
}

impl From<FailureKind> for ProblemType {
    fn from(kind: FailureKind) -> Self {
        match kind {
            FailureKind::BadCsr => Self::BadCsr,
            FailureKind::Caa => Self::Caa,
            FailureKind::Connection => Self::Connection,
            FailureKind::Dns => Self::Dns,
            FailureKind::IncorrectResponse => Self::IncorrectResponse,
            FailureKind::RejectedIdentifier => Self::RejectedIdentifier,
            FailureKind::ServerInternal => Self::ServerInternal,
            FailureKind::Tls => Self::Tls,
            FailureKind::Unauthorized => Self::Unauthorized,
        }
    }
}

/// A refusal on its way to the client.
#[derive(Clone, Debug)]
pub struct Problem {
    pub kind: ProblemType,
    pub status: StatusCode,
    pub detail: String,
    /// RFC 8555 §6.7.1: the identifier as the client wrote it, and its problem.
    pub subproblems: Vec<(WireIdentifier, Self)>,
    /// RFC 8555 §6.2: sent with badSignatureAlgorithm.
    pub algorithms: Option<&'static [&'static str]>,
    pub retry_after: Option<Duration>,
    /// RFC 8555 §7.3.5: the account that has the new key already.
    pub location: Option<Box<str>>,
    /// RFC 8555 §7.3.3: the terms of service to agree to.
    pub terms: Option<Box<str>>,
}

impl Problem {
    #[must_use]
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self {
            kind,
            status: kind.status(),
            detail: detail.into(),
            subproblems: Vec::new(),
            algorithms: None,
            retry_after: None,
            location: None,
            terms: None,
        }
    }

    #[must_use]
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(ProblemType::Malformed, detail)
    }

    #[must_use]
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(ProblemType::Unauthorized, detail)
    }

    /// RFC 8555 §7.3, §7.3.3: the terms of service come first.
    #[must_use]
    pub fn agree_first(terms: &str) -> Self {
        let mut problem = Self::new(
            ProblemType::UserActionRequired,
            format!("agree to the terms of service first: {terms}"),
        );
        problem.terms = Some(terms.into());
        problem
    }

    /// A resource that is not there, or is somebody else's: the two look alike.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(ProblemType::Malformed, "there is no such resource").status(StatusCode::NOT_FOUND)
    }

    /// What went wrong on our side is logged here and never told.
    #[must_use]
    pub fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "request failed");
        Self::new(
            ProblemType::ServerInternal,
            "the server could not complete the request",
        )
    }

    /// The CA behind the endpoint can't serve now.
    #[must_use]
    pub fn unavailable(retry_after: Duration) -> Self {
        Self::later("the CA behind this endpoint is not in service", retry_after)
    }

    /// 503: more calls wait for the handler than may.
    #[must_use]
    pub fn busy(retry_after: Duration) -> Self {
        Self::later(
            "the CA behind this endpoint has too much to do",
            retry_after,
        )
    }

    fn later(why: &str, retry_after: Duration) -> Self {
        let mut problem = Self::new(
            ProblemType::ServerInternal,
            format!("{why}; try again later"),
        );
        problem.status = StatusCode::SERVICE_UNAVAILABLE;
        problem.retry_after = Some(retry_after);
        problem
    }

    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The JSON form, as it also stands in orders and challenges (RFC 8555 §7.1.3, §8).
    #[must_use]
    pub fn document(&self) -> serde_json::Value {
        let mut document = json!({
            "type": self.kind.urn(),
            "detail": self.detail,
            "status": self.status.as_u16(),
        });
        if let Some(members) = document.as_object_mut() {
            if let Some(algorithms) = self.algorithms {
                members.insert("algorithms".into(), json!(algorithms));
            }
            if let Some(terms) = &self.terms {
                members.insert("instance".into(), json!(terms));
            }
            // Never null or empty: certbot stumbles over that.
            if !self.subproblems.is_empty() {
                let subproblems: Vec<_> = self.subproblems.iter().map(subproblem).collect();
                members.insert("subproblems".into(), subproblems.into());
            }
        }
        document
    }
}

fn subproblem((identifier, problem): &(WireIdentifier, Problem)) -> serde_json::Value {
    json!({
        "type": problem.kind.urn(),
        "detail": problem.detail,
        "identifier": identifier,
    })
}

impl From<&Failure> for Problem {
    fn from(failure: &Failure) -> Self {
        Self::new(failure.kind.into(), failure.detail.clone())
    }
}

impl From<crate::store::Error> for Problem {
    fn from(error: crate::store::Error) -> Self {
        Self::internal(&error)
    }
}

impl Serialize for Problem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.document().serialize(serializer)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (
            self.status,
            [(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/problem+json"),
            )],
            self.document().to_string(),
        )
            .into_response();
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after {
            headers.insert(
                header::RETRY_AFTER,
                HeaderValue::from(wait.as_secs().max(1)),
            );
        }
        if let Some(location) = self
            .location
            .and_then(|url| HeaderValue::try_from(&*url).ok())
        {
            headers.insert(header::LOCATION, location);
        }
        if let Some(link) = self
            .terms
            .and_then(|url| HeaderValue::try_from(format!("<{url}>;rel=\"terms-of-service\"")).ok())
        {
            headers.append(header::LINK, link);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_what_there_is_to_say_and_no_more() {
        let plain = Problem::malformed("no");
        assert_eq!(
            plain.document(),
            json!({ "type": "urn:ietf:params:acme:error:malformed", "detail": "no", "status": 400 })
        );
        let mut whole = Problem::new(ProblemType::RejectedIdentifier, "not these");
        let one = Problem::new(ProblemType::Caa, "not this one");
        whole
            .subproblems
            .push((WireIdentifier::dns("a.example".into()), one));
        let document = whole.document();
        assert_eq!(document["status"], 403);
        assert_eq!(
            document["subproblems"],
            json!([{
                "type": "urn:ietf:params:acme:error:caa",
                "detail": "not this one",
                "identifier": { "type": "dns", "value": "a.example" },
            }])
        );
    }

    #[test]
    fn what_belongs_in_headers_stands_there() {
        let header = |problem: Problem, name: http::HeaderName| {
            let response = problem.into_response();
            let value = response.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let busy = Problem::unavailable(Duration::from_millis(300));
        assert_eq!(busy.status, StatusCode::SERVICE_UNAVAILABLE);
        // Zero would ask clients to hammer.
        assert_eq!(header(busy, header::RETRY_AFTER).as_deref(), Some("1"));
        let terms = Problem::agree_first("https://ca.example/terms");
        assert_eq!(
            header(terms, header::LINK).as_deref(),
            Some("<https://ca.example/terms>;rel=\"terms-of-service\"")
        );
        let odd = Problem::agree_first("https://ca.example/\n");
        assert_eq!(header(odd, header::LINK), None);
    }

    #[test]
    fn inner_errors_are_not_told() {
        let document = Problem::internal(&"/secret/path").document().to_string();
        assert!(document.contains("serverInternal"));
        assert!(!document.contains("secret"));
    }
}
