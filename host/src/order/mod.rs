//! What an order is and what it may become next (RFC 8555 §7.1.6): pure types and functions, no I/O
//! and no clock.

mod authorization;
mod failure;
mod identifier;
mod pattern;
mod state;
mod validity;

pub use authorization::{
    Authorization, AuthorizationState, AuthorizationStatus, Challenge, ChallengeState,
    ChallengeType, Token,
};
pub use failure::{Failure, FailureKind};
pub use identifier::{DnsName, Identifier, InvalidIdentifier};
pub use state::{Order, OrderStatus, Progress};
pub use validity::{InvalidValidity, Validity};
