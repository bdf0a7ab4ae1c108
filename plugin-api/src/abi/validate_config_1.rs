//! `certdock.validate-config/1`: looks for mistakes in a configuration that parsing can't find.

use abi_stable::StableAbi;
use abi_stable::std_types::{RStr, RString, RVec};

use super::extension::ExtensionTable;
use super::host_base::HostBase;
use super::shim;
use super::text::clean;
use super::types::{MAX_KEY, MAX_NOTES, MAX_PUBLIC};
use crate::export::check_config;
use crate::guard;
use crate::handler::{CaHandler, ConfigNote, Severity};

/// The table.
#[repr(C)]
#[derive(StableAbi)]
pub struct ValidateConfig {
    /// `config` is JSON, as for `Root::open`; the plugin owns `host` from here on and releases it.
    /// Changes nothing. No notes: nothing to complain about. `[any-thread]`
    pub validate_config: unsafe extern "C" fn(config: RStr<'_>, host: HostBase) -> RVec<WireNote>,
}

impl ExtensionTable for ValidateConfig {
    const ID: &'static str = "certdock.validate-config/1";
}

/// [`ConfigNote`] on the wire.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct WireNote {
    /// The key as a dotted path.
    pub key: RString,
    /// How bad it is. A code that the host does not know is an error.
    pub severity: SeverityCode,
    /// One sentence.
    pub message: RString,
}

/// How bad a note is.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeverityCode(pub u32);

impl SeverityCode {
    /// [`Severity::Error`]
    pub const ERROR: Self = Self(1);
    /// [`Severity::Warning`]
    pub const WARNING: Self = Self(2);
    /// [`Severity::Remote`]
    pub const REMOTE: Self = Self(3);
}

/// The table of handlers of type `H`.
pub(super) fn table<H: CaHandler>() -> &'static ValidateConfig {
    &ValidateConfig {
        validate_config: validate_config::<H>,
    }
}

unsafe extern "C" fn validate_config<H: CaHandler>(
    config: RStr<'_>,
    host: HostBase,
) -> RVec<WireNote> {
    // SAFETY: the host gives us its base, to be released once.
    let host = unsafe { shim::connect_host(host) };
    guard::install_hook(&host);
    let notes = guard::run(Some(&host), || {
        Ok(check_config::<H>(config.as_str(), &host))
    })
    // A panic says nothing about the configuration. If that is bad, opening the handler will tell.
    .unwrap_or_else(|fault| vec![ConfigNote::warning("", format!("not checked: {fault}"))]);
    notes.into_iter().map(WireNote::from).collect()
}

/// Calls the table.
pub(super) fn send(table: &ValidateConfig, config: &str, host: HostBase) -> Vec<ConfigNote> {
    // SAFETY: `host` is valid and the callee's from here on; the function needs no instance.
    let notes = unsafe { (table.validate_config)(config.into(), host) };
    notes
        .into_iter()
        .take(MAX_NOTES)
        .map(ConfigNote::from)
        .collect()
}

impl From<ConfigNote> for WireNote {
    fn from(note: ConfigNote) -> Self {
        Self {
            key: note.key.into(),
            severity: match note.severity {
                Severity::Error => SeverityCode::ERROR,
                Severity::Warning => SeverityCode::WARNING,
                Severity::Remote => SeverityCode::REMOTE,
            },
            message: note.message.into(),
        }
    }
}

impl From<WireNote> for ConfigNote {
    fn from(note: WireNote) -> Self {
        let key = clean(&note.key, MAX_KEY);
        let message = clean(&note.message, MAX_PUBLIC);
        match note.severity {
            SeverityCode::WARNING => Self::warning(key, message),
            SeverityCode::REMOTE => Self::remote(key, message),
            _ => Self::error(key, message),
        }
    }
}
