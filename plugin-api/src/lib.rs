//! All that a CA handler for certdock compiles against.
#![deny(unsafe_code)]
#![warn(missing_docs)]

// `config!` names this crate by its name, in this crate's own tests, too.
extern crate self as certdock_plugin_api;

#[allow(unsafe_code)]
pub mod abi;
pub mod config;
pub mod export;
pub mod fault;
pub mod handler;
pub mod host;
pub mod note;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

mod guard;

pub use config::HumanDuration;
pub use fault::{Fault, FaultClass};
pub use handler::{
    CaCerts, CaHandler, Chain, ConfigNote, Crl, EnrollRequest, Enrollment, Identifier, Poll,
    PollRequest, Protocol, Requester, RevocationReason, RevokeRequest, Severity,
};
pub use host::{Host, HostServices, Level, SecretRef, Versioned};

pub use schemars;
pub use serde;
pub use serde_json;
pub use zeroize;

/// What the macros expand to. Not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use abi_stable::library::LibHeader;

    pub use crate::abi::root::header;
    pub use crate::export::{Export, check};
    pub use crate::note::{Line, Note, TARGET, build, size};
}
