//! `certdock.idempotent/1`: a promise, made by being there. Asked to enroll again under one id, the
//! handler makes no second certificate.

use abi_stable::StableAbi;

use super::extension::ExtensionTable;

/// The table. It has no functions: that it is there says all.
#[repr(C)]
#[derive(StableAbi)]
pub struct Idempotent {
    /// Zero.
    pub reserved: u64,
}

impl ExtensionTable for Idempotent {
    const ID: &'static str = "certdock.idempotent/1";
}

/// The table of every handler that makes the promise.
pub(super) fn table() -> &'static Idempotent {
    &Idempotent { reserved: 0 }
}
