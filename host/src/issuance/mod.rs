//! The engine that owns enrollments: policy, journal, call, check, store, poll. Knows neither HTTP nor
//! JWS.

use std::time::Duration;

use certdock_plugin_api::{Protocol, Requester};

use crate::ids::{CertificateId, EndpointName, HandlerName, OrderId};
use crate::order::{Failure, Identifier};
use crate::time::UnixTime;

/// What a protocol asks for on behalf of a client that it has authenticated and authorised.
#[derive(Clone, Debug)]
pub struct CertificateRequest {
    pub order: Option<OrderId>,
    pub handler: HandlerName,
    pub profile: Option<String>,
    pub protocol: Protocol,
    pub endpoint: EndpointName,
    pub requester: Requester,
    /// DER
    pub csr: Vec<u8>,
    pub identifiers: Vec<Identifier>,
    pub not_before: Option<UnixTime>,
    pub not_after: Option<UnixTime>,
    pub request_id: String,
}

/// What became of a request within the short while that a client is kept waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Issued(CertificateId),
    /// In the journal; ask again after this long.
    Processing {
        retry_after: Duration,
    },
    /// The handler or the check of its answer refused; the order is invalid.
    Failed(Failure),
    /// Somebody else moved the order on first; nothing was done. Read it again.
    Superseded,
}

/// Why a request was refused before anything was stored.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// One sentence that names what is wrong with the CSR: `badCSR`.
    #[error("{0}")]
    BadCsr(String),
    /// The handler is not in service; its endpoints answer 503.
    #[error("the CA behind this endpoint is not in service")]
    Unavailable { retry_after: Duration },
    #[error(transparent)]
    Store(#[from] crate::store::Error),
}
