//! Who asks, and what they may have: TLS client certificates, HTTP Basic, the policy of names.

mod client;

use http::request::Parts;

pub use client::Client;

use crate::est::status::Refusal;
use crate::est::{Label, Operation};
use crate::x509::{CertName, Csr};

/// Says who sent the request with this head (RFC 7030 §3.2.3, §3.3.2).
///
/// # Errors
/// 401 where a user and a password would help, else 403.
pub async fn authenticate(label: &Label, parts: &Parts) -> Result<Client, Refusal> {
    let _ = (label, parts);
    Err(Refusal::forbidden("no way to authenticate is configured"))
}

/// The names that the client is granted of those that the CSR asks for: all of them, or a refusal
/// that says which is not granted and why.
///
/// # Errors
/// 400 or 403.
pub async fn authorise(
    label: &Label,
    client: &Client,
    csr: &Csr,
    operation: Operation,
) -> Result<Vec<CertName>, Refusal> {
    let _ = (label, client, operation);
    Ok(csr.names())
}
