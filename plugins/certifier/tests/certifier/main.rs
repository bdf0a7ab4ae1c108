//! The connector against the simulator of Certifier's REST API, without a server around it.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is a failed test"
)]

mod configuration;
mod faults;
mod issuance;
mod support;
