//! An EST client for tests (RFC 7030): as correct as the RFC by default, as wrong as a test wants.

mod authority;
mod client;
mod cms;
mod csr;
mod multipart;
mod raw;
mod world;

pub use authority::{Authority, Credential};
pub use client::{Caller, EstClient};
pub use cms::{certificates, certificates_of, decode_base64, signed_data};
pub use csr::Csr;
pub use multipart::Part;
pub use raw::{RawAnswer, exchange, http2, post_bound};
pub use world::{EstWorld, TLS_VERSIONS};
