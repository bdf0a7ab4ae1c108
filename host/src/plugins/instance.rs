//! [`Instance`]: an open handler whose code runs in this process.

use certdock_plugin_api::abi::client;
use certdock_plugin_api::{
    CaCerts, Crl, EnrollRequest, Enrollment, Fault, News, Poll, PollRequest, PushRequest,
    RecoverRequest, Recovery, RevokeRequest,
};

use crate::handlers::{Abilities, HandlerInstance};

pub(super) struct Instance {
    pub(super) inner: client::Instance,
    pub(super) abilities: Abilities,
}

impl HandlerInstance for Instance {
    fn abilities(&self) -> Abilities {
        self.abilities
    }

    fn enroll(&self, request: &EnrollRequest) -> Result<Enrollment, Fault> {
        self.inner.enroll(request)
    }

    fn poll(&self, request: &PollRequest) -> Result<Poll, Fault> {
        self.inner.poll(request)
    }

    fn recover(&self, request: &RecoverRequest) -> Result<Recovery, Fault> {
        self.inner.recover(request)
    }

    fn push(&self, request: &PushRequest) -> Result<Vec<News>, Fault> {
        self.inner.push(request)
    }

    fn health(&self) -> Result<(), Fault> {
        self.inner.health()
    }

    fn revoke(&self, request: &RevokeRequest) -> Result<(), Fault> {
        self.inner.revoke(request)
    }

    fn ca_certs_get(&self) -> Result<CaCerts, Fault> {
        self.inner.ca_certs_get()
    }

    fn crl(&self) -> Result<Crl, Fault> {
        self.inner.crl()
    }
}
