//! What whole-system tests and the benchmark share: the real server as a child process, a DNS
//! server, responders for challenges, and an ACME client that can also say wrong things.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "test code: a panic is a failed test"
)]

pub mod acme;
pub mod certificate;
pub mod certifier;
pub mod challenge;
pub mod der;
pub mod dns;
pub mod est;
pub mod faults;
pub mod http;
pub mod issue;
pub mod load;
pub mod officer;
pub mod ports;
pub mod program;
pub mod server;
pub mod settings;
pub mod skip;
pub mod tls;
pub mod versions;
pub mod world;

pub use skip::skip;
pub use world::World;
