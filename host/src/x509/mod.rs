//! Reading certificate requests and certificates, over x509-parser. Strict: what can't be read is
//! refused, and what is compared is the DER, not a friendly copy of it.

mod cert_name;
mod chain;
mod csr;
pub mod encode;
mod name_pattern;
mod names;
mod signature;

#[cfg(test)]
mod tests;

pub use cert_name::{CertName, InvalidName};
pub(crate) use chain::signed_by;
pub use chain::{
    ChainError, IssuedCertificate, VerifiedIssuers, certificate_names, certifier, complete,
    public_key_of,
};
pub use csr::{CHANGE_SUBJECT_NAME, Csr, CsrAttribute, CsrError};
pub use name_pattern::NamePattern;
pub(crate) use signature::{public_key, verify_signature};
