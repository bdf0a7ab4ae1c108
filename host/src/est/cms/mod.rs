//! The few CMS messages (RFC 5652) that EST needs.

mod certs_only;
mod cmc;
mod enveloped;
mod parse;
mod request;
mod signed;
#[cfg(test)]
mod tests;

use certs_only::{DATA, SIGNED_DATA, content_info};
pub(super) use certs_only::{certs_only, content};
pub use cmc::{Data, FailInfo, PKI_DATA, PKI_RESPONSE, Status, Wanted};
pub(super) use enveloped::Recipient;
pub use request::SignedRequest;
pub(super) use signed::SignedData;
