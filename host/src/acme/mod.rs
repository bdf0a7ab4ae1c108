//! RFC 8555, one file per resource.

pub mod identifiers;
pub mod problem;
