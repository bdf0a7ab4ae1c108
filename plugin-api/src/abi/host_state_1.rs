//! `certdock.host-state/1`: the handler's durable state in the host's store.

use std::collections::BTreeMap;

use abi_stable::StableAbi;
use abi_stable::std_types::{ROption, RResult, RSlice, RStr, RString, RVec};

use super::extension::ExtensionTable;
use super::host_base::serve;
use super::shim;
use super::text;
use super::types::{Handle, WireFault};
use crate::fault::Fault;
use crate::host::{HostServices, Versioned};

/// The table. Keys are UTF-8; writes are durable on return.
#[repr(C)]
#[derive(StableAbi)]
pub struct HostState {
    /// Reads a key. `[any-thread]`
    pub get: unsafe extern "C" fn(
        context: Handle,
        key: RStr<'_>,
    ) -> RResult<ROption<WireVersioned>, WireFault>,
    /// Writes a key whatever it held; answers its new version. `[any-thread]`
    pub put: unsafe extern "C" fn(
        context: Handle,
        key: RStr<'_>,
        value: RSlice<'_, u8>,
    ) -> RResult<u64, WireFault>,
    /// Writes a key if it has the version `expected`, or if there is no such key and `expected` is
    /// absent; answers the new version, absent if somebody else wrote first. `[any-thread]`
    pub compare_and_swap: unsafe extern "C" fn(
        context: Handle,
        key: RStr<'_>,
        expected: ROption<u64>,
        value: RSlice<'_, u8>,
    ) -> RResult<ROption<u64>, WireFault>,
    /// Deletes a key; answers whether it was there. `[any-thread]`
    pub delete: unsafe extern "C" fn(context: Handle, key: RStr<'_>) -> RResult<bool, WireFault>,
    /// Up to `limit` entries in byte order of their keys, which begin with `prefix` and come after
    /// `after`. `[any-thread]`
    pub list: unsafe extern "C" fn(
        context: Handle,
        prefix: RStr<'_>,
        after: ROption<RStr<'_>>,
        limit: u64,
    ) -> RResult<RVec<StateEntry>, WireFault>,
}

impl ExtensionTable for HostState {
    const ID: &'static str = "certdock.host-state/1";
}

/// [`Versioned`] on the wire.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct WireVersioned {
    /// The value.
    pub value: RVec<u8>,
    /// Changes with every write; never zero.
    pub version: u64,
}

/// One entry of a listing.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct StateEntry {
    /// The key.
    pub key: RString,
    /// What it holds.
    pub state: WireVersioned,
}

impl From<Versioned> for WireVersioned {
    fn from(state: Versioned) -> Self {
        Self {
            value: state.value.into(),
            version: state.version,
        }
    }
}

impl From<WireVersioned> for Versioned {
    fn from(wire: WireVersioned) -> Self {
        Self {
            value: wire.value.into(),
            version: wire.version,
        }
    }
}

pub(super) static TABLE: HostState = HostState {
    get,
    put,
    compare_and_swap,
    delete,
    list,
};

unsafe extern "C" fn get(
    context: Handle,
    key: RStr<'_>,
) -> RResult<ROption<WireVersioned>, WireFault> {
    let work = |host: &dyn HostServices| {
        Ok(host
            .state_get(checked(&key)?)?
            .map(WireVersioned::from)
            .into())
    };
    // SAFETY: the plugin calls the table with the context of the base it came from.
    shim::answer(unsafe { serve(context, work) })
}

unsafe extern "C" fn put(
    context: Handle,
    key: RStr<'_>,
    value: RSlice<'_, u8>,
) -> RResult<u64, WireFault> {
    let work = |host: &dyn HostServices| host.state_put(checked(&key)?, value.as_slice());
    // SAFETY: as for `get`.
    shim::answer(unsafe { serve(context, work) })
}

unsafe extern "C" fn compare_and_swap(
    context: Handle,
    key: RStr<'_>,
    expected: ROption<u64>,
    value: RSlice<'_, u8>,
) -> RResult<ROption<u64>, WireFault> {
    let work = |host: &dyn HostServices| {
        let written =
            host.state_compare_and_swap(checked(&key)?, expected.into_option(), value.as_slice())?;
        Ok(written.into())
    };
    // SAFETY: as for `get`.
    shim::answer(unsafe { serve(context, work) })
}

unsafe extern "C" fn delete(context: Handle, key: RStr<'_>) -> RResult<bool, WireFault> {
    let work = |host: &dyn HostServices| host.state_delete(checked(&key)?);
    // SAFETY: as for `get`.
    shim::answer(unsafe { serve(context, work) })
}

unsafe extern "C" fn list(
    context: Handle,
    prefix: RStr<'_>,
    after: ROption<RStr<'_>>,
    limit: u64,
) -> RResult<RVec<StateEntry>, WireFault> {
    let work = |host: &dyn HostServices| {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let after = after.into_option();
        let after = after.as_ref().map(checked).transpose()?;
        let found = host.state_list(checked(&prefix)?, after, limit)?;
        let entry = |(key, state): (String, Versioned)| StateEntry {
            key: key.into(),
            state: state.into(),
        };
        Ok(found.into_iter().map(entry).collect())
    };
    // SAFETY: as for `get`.
    shim::answer(unsafe { serve(context, work) })
}

fn checked<'a>(key: &'a RStr<'_>) -> Result<&'a str, Fault> {
    text::whole(key).ok_or_else(|| Fault::malformed("a key of the state is UTF-8"))
}

/// Calls `get`.
///
/// # Safety
/// `context` is that of the base which `table` came from, not yet released.
pub(super) unsafe fn send_get(
    table: &HostState,
    context: Handle,
    key: &str,
) -> Result<Option<Versioned>, Fault> {
    // SAFETY: as the caller vouches; all that is borrowed outlives the call.
    let answer = unsafe { (table.get)(context, key.into()) };
    Ok(shim::result(answer)?.into_option().map(Versioned::from))
}

/// Calls `put`.
///
/// # Safety
/// As for [`send_get`].
pub(super) unsafe fn send_put(
    table: &HostState,
    context: Handle,
    key: &str,
    value: &[u8],
) -> Result<u64, Fault> {
    // SAFETY: as for `send_get`.
    shim::result(unsafe { (table.put)(context, key.into(), value.into()) })
}

/// Calls `compare_and_swap`.
///
/// # Safety
/// As for [`send_get`].
pub(super) unsafe fn send_compare_and_swap(
    table: &HostState,
    context: Handle,
    key: &str,
    expected: Option<u64>,
    value: &[u8],
) -> Result<Option<u64>, Fault> {
    // SAFETY: as for `send_get`.
    let answer =
        unsafe { (table.compare_and_swap)(context, key.into(), expected.into(), value.into()) };
    Ok(shim::result(answer)?.into_option())
}

/// Calls `delete`.
///
/// # Safety
/// As for [`send_get`].
pub(super) unsafe fn send_delete(
    table: &HostState,
    context: Handle,
    key: &str,
) -> Result<bool, Fault> {
    // SAFETY: as for `send_get`.
    shim::result(unsafe { (table.delete)(context, key.into()) })
}

/// Calls `list`.
///
/// # Safety
/// As for [`send_get`].
pub(super) unsafe fn send_list(
    table: &HostState,
    context: Handle,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<BTreeMap<String, Versioned>, Fault> {
    let after = after.map(RStr::from).into();
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    // SAFETY: as for `send_get`.
    let answer = unsafe { (table.list)(context, prefix.into(), after, limit) };
    let entries = shim::result(answer)?;
    Ok(entries
        .into_iter()
        .map(|e| (e.key.into_string(), e.state.into()))
        .collect())
}
