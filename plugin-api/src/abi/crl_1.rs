//! `certdock.crl/1`: the CA's current revocation list.

use abi_stable::StableAbi;
use abi_stable::std_types::{RResult, RVec};

use super::extension::ExtensionTable;
use super::shim;
use super::types::{Handle, Timestamp, WireFault};
use crate::fault::Fault;
use crate::handler::{CaHandler, Crl};

/// The table.
#[repr(C)]
#[derive(StableAbi)]
pub struct CrlTable {
    /// The current list, made anew if the last one is no longer good. `[any-thread]`
    pub crl: unsafe extern "C" fn(instance: Handle) -> RResult<CrlOut, WireFault>,
}

impl ExtensionTable for CrlTable {
    const ID: &'static str = "certdock.crl/1";
}

/// [`Crl`] on the wire.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct CrlOut {
    /// DER (RFC 5280 §5).
    pub der: RVec<u8>,
    /// Its nextUpdate.
    pub next_update: Timestamp,
}

/// The table of handlers of type `H`.
pub(super) fn table<H: CaHandler>() -> &'static CrlTable {
    &CrlTable { crl: crl::<H> }
}

unsafe extern "C" fn crl<H: CaHandler>(instance: Handle) -> RResult<CrlOut, WireFault> {
    let work = |handler: &H| {
        let crl = handler.crl()?;
        Ok(CrlOut {
            der: crl.der.into(),
            next_update: crl.next_update.into(),
        })
    };
    // SAFETY: the host calls the table with an open instance of the plugin it came from.
    unsafe { shim::call::<H, _>(instance, work) }
}

/// Calls the table.
///
/// # Safety
/// `instance` is open and of the plugin that `table` came from.
pub(super) unsafe fn send(table: &CrlTable, instance: Handle) -> Result<Crl, Fault> {
    // SAFETY: as the caller vouches.
    let answer = unsafe { (table.crl)(instance) };
    let wire = shim::result(answer)?;
    Ok(Crl {
        next_update: wire.next_update.to_system()?,
        der: wire.der.into(),
    })
}
