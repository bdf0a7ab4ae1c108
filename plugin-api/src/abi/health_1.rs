//! `certdock.health/1`: whether the CA can be reached and would work.

use abi_stable::StableAbi;
use abi_stable::std_types::RResult;

use super::extension::ExtensionTable;
use super::shim;
use super::types::{Handle, WireFault};
use crate::fault::Fault;
use crate::handler::CaHandler;

/// The table.
#[repr(C)]
#[derive(StableAbi)]
pub struct HealthTable {
    /// Asks the CA something that changes nothing. `[any-thread]`
    pub health: unsafe extern "C" fn(instance: Handle) -> RResult<(), WireFault>,
}

impl ExtensionTable for HealthTable {
    const ID: &'static str = "certdock.health/1";
}

/// The table of handlers of type `H`.
pub(super) fn table<H: CaHandler>() -> &'static HealthTable {
    &HealthTable {
        health: health::<H>,
    }
}

unsafe extern "C" fn health<H: CaHandler>(instance: Handle) -> RResult<(), WireFault> {
    // SAFETY: the host calls the table with an open instance of the plugin it came from.
    unsafe { shim::call::<H, _>(instance, H::health) }
}

/// Calls the table.
///
/// # Safety
/// `instance` is open and of the plugin that `table` came from.
pub(super) unsafe fn send(table: &HealthTable, instance: Handle) -> Result<(), Fault> {
    // SAFETY: as the caller vouches.
    let answer = unsafe { (table.health)(instance) };
    shim::result(answer)
}
