//! An ACME client for tests: as correct as the RFC by default, as wrong as a test wants.

mod client;
mod jws;

pub use client::{Account, Client, Directory};
pub use jws::{AccountKey, b64, unb64};

pub use crate::http::{Answer, Connection};
