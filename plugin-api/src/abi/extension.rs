//! [`Extension`]: a frozen table with its own description, found by its id.

use abi_stable::StableAbi;
use abi_stable::globals::initialized_globals;
use abi_stable::std_types::{ROption, RResult, RStr};
use abi_stable::type_layout::TypeLayout;

use super::types::Handle;

/// A table of functions of an unknown type, with the layout of that type. Whoever receives one
/// checks the layout against its own before it uses the table.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Extension {
    /// The layout of the table's type.
    pub layout: &'static TypeLayout,
    /// The table: a `&'static` to a value of that type.
    pub table: Handle,
}

/// A type of table. Frozen: a changed table is a new type under a new id.
pub trait ExtensionTable: StableAbi + Sync + 'static {
    /// `certdock.NAME/REVISION`; a vendor's own begin with its reversed domain.
    const ID: &'static str;
}

impl Extension {
    pub(crate) fn of<T: ExtensionTable>(table: &'static T) -> Self {
        Self {
            layout: T::LAYOUT,
            table: Handle::of(table),
        }
    }
}

/// Asks `lookup` for the table `T`. `Ok(None)` if the other side has no such extension.
///
/// # Errors
/// The layout checker's whole text if the other side has another type under this id.
pub(crate) fn find<T: ExtensionTable>(
    lookup: extern "C" fn(RStr<'_>) -> ROption<Extension>,
) -> Result<Option<&'static T>, String> {
    let ROption::RSome(found) = lookup(T::ID.into()) else {
        return Ok(None);
    };
    // The checker of the executable, also when this runs in a plugin: one view of all types, and
    // plugins need not carry the checker's code.
    let check = initialized_globals().layout_checking;
    if let RResult::RErr(error) = check(T::LAYOUT, found.layout) {
        return Err(error.to_string());
    }
    // SAFETY: the layouts agree, so the other side's table is a `T`; `Extension` demands that it
    // lives for ever, which code that is never unloaded can promise.
    Ok(Some(unsafe { found.table.as_ref() }))
}
