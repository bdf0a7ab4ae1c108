//! An ACME client for tests: as correct as the RFC by default, as wrong as a test wants.

mod client;
mod http;
mod jws;

pub use client::{Account, Client, Directory};
pub use http::{Answer, Connection};
pub use jws::{AccountKey, b64, unb64};
