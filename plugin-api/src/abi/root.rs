//! [`Root`]: what a plugin exports. Frozen for the whole of major 1.

use abi_stable::StableAbi;
use abi_stable::library::{CheckTypeLayout, LibHeader, RootModule, RootModuleResult};
use abi_stable::marker_type::ErasedPrefix;
use abi_stable::prefix_type::{PrefixRef, PrefixRefTrait, PrefixTypeTrait, WithMetadata};
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{ROption, RResult, RStr, RString};

use super::extension::Extension;
use super::host_base::HostBase;
use super::shim;
use super::types::{Handle, WireFault};
use crate::export::Export;

/// A plugin's root module.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = RootRef, prefix_fields = RootPrefix)))]
pub struct Root {
    /// Who the plugin is. `[any-thread]`
    pub describe: extern "C" fn() -> Description,
    /// The JSON Schema of the handler's configuration; empty if there is none. `[any-thread]`
    pub schema: extern "C" fn() -> RString,
    /// Makes an instance. `config` is JSON. The plugin owns `host` from here on, whatever it
    /// answers, and gives it back by `HostBase::release`. `[any-thread]`
    ///
    /// JSON and not the TOML that stands in the file: the host has parsed that already, the schema
    /// and the key paths in messages are JSON's, and a plugin needs one parser less.
    pub open: unsafe extern "C" fn(config: RStr<'_>, host: HostBase) -> RResult<Handle, WireFault>,
    /// Frees an instance. Nobody may be in a call of it. `[any-thread]`
    pub close: unsafe extern "C" fn(instance: Handle),
    /// The table of this id, if the plugin has it. The same answer every time. `[any-thread]`
    #[sabi(last_prefix_field)]
    pub extension: extern "C" fn(id: RStr<'_>) -> ROption<Extension>,
}

impl RootModule for RootRef {
    abi_stable::declare_root_module_statics! {RootRef}

    const BASE_NAME: &'static str = "certdock_plugin";
    const NAME: &'static str = "certdock plugin";
    const VERSION_STRINGS: VersionStrings = abi_stable::package_version_strings!();
}

/// Who a plugin is. The texts live as long as the plugin's code, which is never unloaded.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Description {
    /// The plugin's id: `[a-z0-9-]+`.
    pub id: RStr<'static>,
    /// The plugin's own version.
    pub version: RStr<'static>,
    /// Who made it.
    pub vendor: RStr<'static>,
    /// The version of plugin-api it was built with.
    pub api_version: RStr<'static>,
}

/// The value of the one symbol that a plugin exports.
#[must_use]
pub const fn header<E: Export>() -> LibHeader {
    // SAFETY: `root_module` gives the erased form of a `PrefixRef` to a `Root`, which is what
    // `RootRef` wraps.
    unsafe { LibHeader::from_constructor::<RootRef>(root_module::<E>, CheckTypeLayout::Yes) }
}

/// The root of a plugin that is linked into this program, not loaded.
#[must_use]
pub fn root<E: Export>() -> RootRef {
    Exported::<E>::ROOT
}

extern "C" fn root_module<E: Export>() -> RootModuleResult {
    let root: PrefixRef<RootPrefix> = root::<E>().to_prefix_ref();
    // SAFETY: erasing is allowed; the host casts back after it has checked the layout.
    let erased = unsafe { root.cast::<ErasedPrefix>() };
    RResult::ROk(erased)
}

struct Exported<E>(E);

impl<E: Export> Exported<E> {
    abi_stable::staticref! {
        const TABLE: WithMetadata<Root> = WithMetadata::new(Root {
            describe: shim::describe::<E>,
            schema: shim::schema::<E>,
            open: shim::open::<E>,
            close: shim::close::<E>,
            extension: shim::extension::<E>,
        });
    }

    const ROOT: RootRef = RootRef(Self::TABLE.as_prefix());
}

const _: () = assert!(size_of::<<Root as PrefixTypeTrait>::PrefixFields>() == size_of::<Root>());
