//! `certdock.host-time/1`: the time, as the host has it.

use std::time::SystemTime;

use abi_stable::StableAbi;

use super::extension::ExtensionTable;
use super::host_base::serve;
use super::types::{Handle, Timestamp};

/// The table.
#[repr(C)]
#[derive(StableAbi)]
pub struct HostTime {
    /// Now. `[any-thread]`
    pub now: unsafe extern "C" fn(context: Handle) -> Timestamp,
}

impl ExtensionTable for HostTime {
    const ID: &'static str = "certdock.host-time/1";
}

pub(super) static TABLE: HostTime = HostTime { now };

unsafe extern "C" fn now(context: Handle) -> Timestamp {
    // SAFETY: the plugin calls the table with the context of the base it came from.
    let now = unsafe { serve(context, |host| Ok(host.now())) };
    now.unwrap_or_else(|_| SystemTime::now()).into()
}

/// Calls the table.
///
/// # Safety
/// `context` is that of the base which `table` came from, not yet released.
pub(super) unsafe fn send(table: &HostTime, context: Handle) -> SystemTime {
    // SAFETY: as the caller vouches.
    let now = unsafe { (table.now)(context) };
    now.to_system().unwrap_or_else(|_| SystemTime::now())
}
