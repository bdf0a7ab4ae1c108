//! The few CMS messages (RFC 5652) that EST needs.

mod certs_only;

pub(super) use certs_only::certs_only;
