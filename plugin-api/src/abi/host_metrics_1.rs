//! `certdock.host-metrics/1`: the plugin's own counters and gauges.

use abi_stable::StableAbi;
use abi_stable::std_types::{RSlice, RStr};

use super::extension::ExtensionTable;
use super::host_base::serve;
use super::text::cut;
use super::types::{Handle, MAX_NAME, Pair};

/// The table.
#[repr(C)]
#[derive(StableAbi)]
pub struct HostMetrics {
    /// Adds to a counter. `[any-thread]`
    pub add: unsafe extern "C" fn(
        context: Handle,
        name: RStr<'_>,
        labels: RSlice<'_, Pair<'_>>,
        value: u64,
    ),
    /// Sets a gauge. `[any-thread]`
    pub set: unsafe extern "C" fn(
        context: Handle,
        name: RStr<'_>,
        labels: RSlice<'_, Pair<'_>>,
        value: f64,
    ),
}

impl ExtensionTable for HostMetrics {
    const ID: &'static str = "certdock.host-metrics/1";
}

pub(super) static TABLE: HostMetrics = HostMetrics { add, set };

unsafe extern "C" fn add(
    context: Handle,
    name: RStr<'_>,
    labels: RSlice<'_, Pair<'_>>,
    value: u64,
) {
    let work = |host: &dyn crate::host::HostServices| {
        let labels = Pair::checked(&labels);
        let labels: Vec<_> = labels.iter().map(|(n, v)| (&**n, &**v)).collect();
        host.metric_add(&cut(&name, MAX_NAME), &labels, value);
        Ok(())
    };
    // A lost metric is nothing to tell the plugin about.
    // SAFETY: the plugin calls the table with the context of the base it came from.
    let _ = unsafe { serve(context, work) };
}

unsafe extern "C" fn set(
    context: Handle,
    name: RStr<'_>,
    labels: RSlice<'_, Pair<'_>>,
    value: f64,
) {
    let work = |host: &dyn crate::host::HostServices| {
        let labels = Pair::checked(&labels);
        let labels: Vec<_> = labels.iter().map(|(n, v)| (&**n, &**v)).collect();
        host.metric_set(&cut(&name, MAX_NAME), &labels, value);
        Ok(())
    };
    // As above.
    // SAFETY: the plugin calls the table with the context of the base it came from.
    let _ = unsafe { serve(context, work) };
}

/// Calls `add`.
///
/// # Safety
/// `context` is that of the base which `table` came from, not yet released.
pub(super) unsafe fn send_add(
    table: &HostMetrics,
    context: Handle,
    name: &str,
    labels: &[(&str, &str)],
    value: u64,
) {
    let labels = Pair::list(labels.iter().copied());
    // SAFETY: as the caller vouches; all that is borrowed outlives the call.
    unsafe { (table.add)(context, name.into(), labels.as_slice().into(), value) }
}

/// Calls `set`.
///
/// # Safety
/// As for [`send_add`].
pub(super) unsafe fn send_set(
    table: &HostMetrics,
    context: Handle,
    name: &str,
    labels: &[(&str, &str)],
    value: f64,
) {
    let labels = Pair::list(labels.iter().copied());
    // SAFETY: as the caller vouches; all that is borrowed outlives the call.
    unsafe { (table.set)(context, name.into(), labels.as_slice().into(), value) }
}
