//! `certdock.host-secret/1`: resolves `{ env = "NAME" }` and `{ file = "PATH" }`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use abi_stable::StableAbi;
use abi_stable::std_types::{RResult, RSlice, RVec};
use zeroize::{Zeroize, Zeroizing};

use super::extension::ExtensionTable;
use super::host_base::serve;
use super::shim;
use super::types::{Handle, WireFault};
use crate::fault::Fault;
use crate::host::SecretRef;

/// The table.
#[repr(C)]
#[derive(StableAbi)]
pub struct HostSecret {
    /// The secret's bytes; the caller wipes them. `place` is the variable's name (UTF-8) or the
    /// path (bytes). `[any-thread]`
    pub secret: unsafe extern "C" fn(
        context: Handle,
        kind: SecretKind,
        place: RSlice<'_, u8>,
    ) -> RResult<RVec<u8>, WireFault>,
}

impl ExtensionTable for HostSecret {
    const ID: &'static str = "certdock.host-secret/1";
}

/// Where a secret is. The host answers `Misconfigured` to a kind that it does not know.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretKind(pub u32);

impl SecretKind {
    /// [`SecretRef::Env`]
    pub const ENV: Self = Self(1);
    /// [`SecretRef::File`]
    pub const FILE: Self = Self(2);
}

pub(super) static TABLE: HostSecret = HostSecret { secret };

unsafe extern "C" fn secret(
    context: Handle,
    kind: SecretKind,
    place: RSlice<'_, u8>,
) -> RResult<RVec<u8>, WireFault> {
    let work = |host: &dyn crate::host::HostServices| {
        let reference = match kind {
            SecretKind::ENV => {
                SecretRef::Env(String::from_utf8_lossy(place.as_slice()).into_owned())
            }
            SecretKind::FILE => SecretRef::File(PathBuf::from(OsStr::from_bytes(place.as_slice()))),
            SecretKind(other) => {
                return Err(
                    Fault::misconfigured("this kind of secret is not known to the host")
                        .private(format!("kind {other}")),
                );
            }
        };
        // Moved out, not copied: one copy less to wipe.
        let mut secret = host.secret(&reference)?;
        Ok(RVec::from(std::mem::take(&mut *secret)))
    };
    // SAFETY: the plugin calls the table with the context of the base it came from.
    shim::answer(unsafe { serve(context, work) })
}

/// Calls the table.
///
/// # Safety
/// `context` is that of the base which `table` came from, not yet released.
pub(super) unsafe fn send(
    table: &HostSecret,
    context: Handle,
    reference: &SecretRef,
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let (kind, place) = match reference {
        SecretRef::Env(name) => (SecretKind::ENV, name.as_bytes()),
        SecretRef::File(path) => (SecretKind::FILE, path.as_os_str().as_bytes()),
    };
    // SAFETY: as the caller vouches; `place` outlives the call.
    let answer = unsafe { (table.secret)(context, kind, place.into()) };
    let mut wire = shim::result(answer)?;
    let secret = Zeroizing::new(wire.to_vec());
    wire.as_mut_slice().zeroize();
    Ok(secret)
}
