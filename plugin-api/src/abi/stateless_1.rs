//! `certdock.stateless/1`: a promise, made by being there. To enroll changes nothing: of a call whose
//! answer is lost nothing is left, neither at the CA nor in the handler.

use abi_stable::StableAbi;

use super::extension::ExtensionTable;

/// The table. It has no functions: that it is there says all.
#[repr(C)]
#[derive(StableAbi)]
pub struct Stateless {
    /// Zero.
    pub reserved: u64,
}

impl ExtensionTable for Stateless {
    const ID: &'static str = "certdock.stateless/1";
}

/// The table of every handler that makes the promise.
pub(super) fn table() -> &'static Stateless {
    &Stateless { reserved: 0 }
}
