//! All that a CA handler for certdock compiles against.
#![warn(missing_docs)]

pub mod fault;
pub mod handler;
pub mod host;

pub use fault::{Fault, FaultClass};
pub use handler::{
    CaCerts, CaHandler, Chain, ConfigNote, Crl, EnrollRequest, Enrollment, Identifier, Poll,
    PollRequest, Protocol, Requester, RevocationReason, RevokeRequest, Severity,
};
pub use host::{Host, HostServices, Level, SecretRef, Versioned};

pub use schemars;
pub use serde;
