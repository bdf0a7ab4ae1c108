//! certdock: one door, ACME and EST over HTTPS, in front of any number of CAs.
//!
//! A request flows from left to right once and its answer flows back; nothing calls to the left:
//!
//! ```text
//! server ─► acme  ─┐               ┌─► handlers ─► plugins ─► .so
//!        ├► est   ─┼─► issuance ───┤
//!        └► admin ─┘               └─► store
//! ```
#![deny(unsafe_code)]

pub mod acme;
pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod conformance;
pub mod est;
pub mod handlers;
pub mod ids;
pub mod issuance;
pub mod observe;
pub mod order;
pub mod password;
pub mod plugins;
pub mod random;
pub mod request_id;
pub mod server;
pub mod store;
pub mod time;
pub mod validation;
pub mod worker;
pub mod x509;
