//! `certdock.host-paths/1`: makes paths of the configuration absolute.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use abi_stable::StableAbi;
use abi_stable::std_types::{RSlice, RVec};

use super::extension::ExtensionTable;
use super::host_base::serve;
use super::types::Handle;

/// The table.
#[repr(C)]
#[derive(StableAbi)]
pub struct HostPaths {
    /// The absolute form of `path`: relative to the file that holds the handler's configuration.
    /// Touches no file. `[any-thread]`
    pub resolve: unsafe extern "C" fn(context: Handle, path: RSlice<'_, u8>) -> RVec<u8>,
}

impl ExtensionTable for HostPaths {
    const ID: &'static str = "certdock.host-paths/1";
}

pub(super) static TABLE: HostPaths = HostPaths { resolve };

unsafe extern "C" fn resolve(context: Handle, path: RSlice<'_, u8>) -> RVec<u8> {
    let given = path.as_slice();
    let work = |host: &dyn crate::host::HostServices| {
        Ok(host
            .resolve(Path::new(OsStr::from_bytes(given)))
            .into_os_string()
            .as_bytes()
            .to_vec())
    };
    // SAFETY: the plugin calls the table with the context of the base it came from.
    let resolved = unsafe { serve(context, work) };
    resolved.unwrap_or_else(|_| given.to_vec()).into()
}

/// Calls the table.
///
/// # Safety
/// `context` is that of the base which `table` came from, not yet released.
pub(super) unsafe fn send(table: &HostPaths, context: Handle, path: &Path) -> PathBuf {
    // SAFETY: as the caller vouches; the path outlives the call.
    let resolved = unsafe { (table.resolve)(context, path.as_os_str().as_bytes().into()) };
    PathBuf::from(OsStr::from_bytes(&resolved))
}
