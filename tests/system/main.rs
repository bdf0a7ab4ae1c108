//! Whole-system tests: the real program with the real plugin files, spoken to as clients do.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a panic is a failed test, and what is printed is what a test saw"
)]

mod certifier;
mod clients;
mod crash;
mod operating;
mod own_client;
mod plugin;
mod rfc7030;
mod rfc8555;
mod rfc8737;
mod waiting;
