//! The frozen wire between host and plugin. For hosts; a vendor never needs it.
//!
//! What crosses is described by `#[repr(C)]` types that derive `StableAbi`: data goes in borrowed
//! and comes out owned, codes are integers that may be unknown to the other side, and open-ended
//! data is a list of pairs. Everything here is **frozen for the whole of major 1**; the golden files
//! in `layouts/` prove it.
//!
//! - [`root`]: what a plugin exports, kept as small as possible;
//! - one file per revision of a plugin's extension (`enroll_1`, …) and of a host's (`host_log_1`, …),
//!   each with its table, the shim on one side and the safe caller on the other;
//! - [`client`]: all of that put together as the host sees it;
//! - `answer`: what of it is checked again by a host that has `client` in another process.
//!
//! A change of an extension is a new revision in a new file under a new id. The old one stays.
//!
//! Of all of plugin-api, only this module holds `unsafe`.

#[cfg(feature = "wire")]
pub mod answer;
pub mod ca_certs_1;
pub mod client;
pub mod crl_1;
pub mod enroll_1;
pub mod health_1;
pub mod host_base;
pub mod host_log_1;
pub mod host_metrics_1;
pub mod host_paths_1;
pub mod host_secret_1;
pub mod host_state_1;
pub mod host_time_1;
pub mod idempotent_1;
pub mod poll_1;
pub mod push_1;
pub mod recover_1;
pub mod revoke_1;
pub mod root;
pub mod stateless_1;
pub mod types;
pub mod validate_config_1;

mod extension;
mod remote_host;
mod shim;
mod text;

#[cfg(test)]
mod foreign;
#[cfg(test)]
mod host_round_trip;
#[cfg(test)]
mod layouts;
#[cfg(test)]
mod round_trip;

pub use extension::{Extension, ExtensionTable};

/// The version of plugin-api this was built from. A plugin carries it in its note; plugin and host
/// must agree in the major number.
pub const API_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The revision of `abi_stable`'s own header, which is part of our ABI.
pub const CARRIER_VERSION: &str = "0.11";

/// The symbol under which a plugin exports its root: `abi_stable`'s name for it. The export macro
/// has to repeat it as a literal.
pub const ROOT_SYMBOL: &str = "_1as_0lib_1header_0root_bmodule_bloader";

#[cfg(test)]
mod tests {
    #[test]
    fn root_symbol_is_the_carriers() {
        assert_eq!(
            super::ROOT_SYMBOL,
            abi_stable::library::ROOT_MODULE_LOADER_NAME
        );
    }
}
