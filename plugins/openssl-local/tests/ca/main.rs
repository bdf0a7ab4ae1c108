//! The local CA as its host sees it, through [`CaHandler`](certdock_plugin_api::CaHandler) alone.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "these are tests, their helpers too"
)]

mod configuration;
mod creation;
mod identity;
mod issuance;
mod lint;
mod revocation;
mod support;
