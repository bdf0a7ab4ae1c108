//! [`load`]: from checked bytes to a plugin that can be called. The host's only `unsafe`.
//!
//! The dynamic linker gets a sealed memory file (`code`), so nobody can change or cut what has been
//! checked. Its descriptor is never closed: the linker knows a library by its path, and a number that were
//! used again would give the earlier library. Nothing is unloaded either: threads, thread-locals and
//! `&'static` data of a plugin stay valid.

use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd as _;

use abi_stable::library::{AbiHeaderRef, LibraryError};
use certdock_plugin_api::abi::client::{Plugin, Unusable};
use certdock_plugin_api::abi::root::RootRef;
use certdock_plugin_api::abi::{CARRIER_VERSION, ROOT_SYMBOL};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use super::code::Code;
use super::refusal::{Refusal, first_line};

/// `dlopen`: the code stays, whoever closes what. libloading has no name for it; the value is the
/// same in all C libraries on Linux.
const RTLD_NODELETE: i32 = 0x1000;

/// Loads a library and checks its root and extensions, and that it is the plugin `id`. The list tells of
/// optional extensions that can't be used.
///
/// The library's constructors run, and its root's functions may be called from now on.
///
/// # Errors
/// Says why it can't be used. Its code may stay mapped all the same.
pub(crate) fn load(code: &Code, id: &str) -> Result<(Plugin, Vec<Unusable>), Refusal> {
    let file = code.try_clone().map_err(Refusal::NoMemoryFile)?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE;
    // SAFETY: the bytes are a whole ELF library for this machine, which `elf` has checked, and can't
    // change any more. That its constructors do no harm is what an operator trusts a plugin for.
    let library = unsafe { Library::open(Some(&path), flags) }
        .map_err(|error| Refusal::Linker(linker_message(&error, &path)))?;
    // From here on the linker knows the library by the path. See above.
    let _open_for_ever = ManuallyDrop::new(file);
    let library = ManuallyDrop::new(library);
    // SAFETY: `abi_stable` defines the symbol as a `LibHeader`, of which `AbiHeaderRef` is the address
    // as yet unchecked; `upgrade` checks it. The library stays for ever.
    let header = unsafe { library.get::<AbiHeaderRef>(ROOT_SYMBOL) };
    let header: AbiHeaderRef = *header.map_err(|_| Refusal::NoRoot)?;
    let root = header
        .upgrade()
        .and_then(|header| header.init_root_module::<RootRef>());
    let root = root.map_err(|error| library_refusal(&error))?;
    let (plugin, unusable) = Plugin::connect(root)
        .map_err(|Unusable { id, detail }| Refusal::BadExtension { id, detail })?;
    let named = plugin.description().id;
    if named.as_str() != id {
        return Err(Refusal::OtherId {
            note: id.to_owned(),
            code: first_line(named.as_str()),
        });
    }
    Ok((plugin, unusable))
}

fn linker_message(error: &libloading::Error, path: &str) -> String {
    let text = match error {
        libloading::Error::DlOpen { source } => source.to_string(),
        other => other.to_string(),
    };
    first_line(text.trim_start_matches(path).trim_start_matches(": "))
}

fn library_refusal(error: &LibraryError) -> Refusal {
    match error {
        LibraryError::InvalidAbiHeader(header) => Refusal::OtherCarrier {
            found: format!("{}.{}", header.abi_major, header.abi_minor),
            expected: CARRIER_VERSION,
        },
        LibraryError::IncompatibleVersionNumber {
            expected_version,
            actual_version,
            ..
        } => Refusal::OtherMajor {
            found: actual_version.to_string(),
            expected: expected_version.major.into(),
        },
        LibraryError::AbiInstability(detail) => Refusal::OtherLayout {
            detail: detail.to_string(),
        },
        other => Refusal::RootFailed(first_line(&other.to_string())),
    }
}
