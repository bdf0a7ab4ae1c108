//! `certdock.ca-certs/1`: the CA's certificates. Every plugin has it.

use abi_stable::StableAbi;
use abi_stable::std_types::{RResult, RVec};

use super::extension::ExtensionTable;
use super::shim;
use super::types::{Handle, WireFault, certificates_in, certificates_out};
use crate::fault::Fault;
use crate::handler::{CaCerts, CaHandler};

/// The table.
#[repr(C)]
#[derive(StableAbi)]
pub struct CaCertsGet {
    /// DER, the issuing CA first. `[any-thread]`
    pub ca_certs_get: unsafe extern "C" fn(instance: Handle) -> RResult<RVec<RVec<u8>>, WireFault>,
}

impl ExtensionTable for CaCertsGet {
    const ID: &'static str = "certdock.ca-certs/1";
}

/// The table of handlers of type `H`.
pub(super) fn table<H: CaHandler>() -> &'static CaCertsGet {
    &CaCertsGet {
        ca_certs_get: ca_certs_get::<H>,
    }
}

unsafe extern "C" fn ca_certs_get<H: CaHandler>(
    instance: Handle,
) -> RResult<RVec<RVec<u8>>, WireFault> {
    let work = |handler: &H| {
        handler
            .ca_certs_get()
            .map(|c| certificates_out(c.certificates))
    };
    // SAFETY: the host calls the table with an open instance of the plugin it came from.
    unsafe { shim::call::<H, _>(instance, work) }
}

/// Calls the table.
///
/// # Safety
/// `instance` is open and of the plugin that `table` came from.
pub(super) unsafe fn send(table: &CaCertsGet, instance: Handle) -> Result<CaCerts, Fault> {
    // SAFETY: as the caller vouches.
    let answer = unsafe { (table.ca_certs_get)(instance) };
    Ok(CaCerts {
        certificates: certificates_in(shim::result(answer)?)?,
    })
}
