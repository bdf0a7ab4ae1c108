//! [`HandlerInstance`]: an open handler as this room sees it, wherever its code runs.

use certdock_plugin_api::abi::client::Provided;
use certdock_plugin_api::{
    CaCerts, Crl, EnrollRequest, Enrollment, Fault, News, Poll, PollRequest, PushRequest,
    RecoverRequest, Recovery, RevokeRequest,
};
use serde::{Deserialize, Serialize};

/// What a handler can do beside `enroll` and `ca_certs_get`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abilities {
    pub poll: bool,
    pub recover: bool,
    pub idempotent: bool,
    pub stateless: bool,
    pub push: bool,
    pub health: bool,
    pub revoke: bool,
    pub crl: bool,
    pub validate_config: bool,
}

impl From<Provided> for Abilities {
    fn from(provided: Provided) -> Self {
        let Provided {
            poll,
            recover,
            idempotent,
            stateless,
            push,
            health,
            revoke,
            crl,
            validate_config,
        } = provided;
        Self {
            poll,
            recover,
            idempotent,
            stateless,
            push,
            health,
            revoke,
            crl,
            validate_config,
        }
    }
}

/// An open handler. Calls block; they may come from several threads at once. An ability that is
/// absent answers with an `Unsupported` fault.
pub trait HandlerInstance: Send + Sync + 'static {
    fn abilities(&self) -> Abilities;

    /// Why it will answer no more calls, if so: it is to be opened again.
    fn broken(&self) -> Option<String> {
        None
    }

    /// # Errors
    /// Whatever the handler answers, or a fault of its carrier.
    fn enroll(&self, request: &EnrollRequest) -> Result<Enrollment, Fault>;

    /// # Errors
    /// Whatever the handler answers, or a fault of its carrier.
    fn poll(&self, request: &PollRequest) -> Result<Poll, Fault>;

    /// # Errors
    /// Whatever the handler answers, or a fault of its carrier.
    fn recover(&self, request: &RecoverRequest) -> Result<Recovery, Fault> {
        let _ = request;
        Err(Fault::unsupported("this handler does not recover"))
    }

    /// # Errors
    /// Whatever the handler answers, or a fault of its carrier.
    fn push(&self, request: &PushRequest) -> Result<Vec<News>, Fault> {
        let _ = request;
        Err(Fault::unsupported("this handler takes no pushes"))
    }

    /// # Errors
    /// Whatever the handler answers, or a fault of its carrier.
    fn health(&self) -> Result<(), Fault> {
        Err(Fault::unsupported("this handler can't tell its health"))
    }

    /// # Errors
    /// Whatever the handler answers, or a fault of its carrier.
    fn revoke(&self, request: &RevokeRequest) -> Result<(), Fault>;

    /// # Errors
    /// Whatever the handler answers, or a fault of its carrier.
    fn ca_certs_get(&self) -> Result<CaCerts, Fault>;

    /// # Errors
    /// Whatever the handler answers, or a fault of its carrier.
    fn crl(&self) -> Result<Crl, Fault>;
}
