//! `certdock.host-log/1`: the plugin's log lines.

use abi_stable::StableAbi;
use abi_stable::std_types::{RSlice, RStr};

use super::extension::ExtensionTable;
use super::host_base::serve;
use super::text::cut;
use super::types::{Handle, MAX_PRIVATE, Pair};
use crate::host::Level;

/// The table.
#[repr(C)]
#[derive(StableAbi)]
pub struct HostLog {
    /// Logs one line under the handler's name. `[any-thread]`
    pub log: unsafe extern "C" fn(
        context: Handle,
        level: LevelCode,
        message: RStr<'_>,
        fields: RSlice<'_, Pair<'_>>,
    ),
}

impl ExtensionTable for HostLog {
    const ID: &'static str = "certdock.host-log/1";
}

/// A level. A code that the host does not know is [`INFO`](Self::INFO).
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelCode(pub u32);

#[allow(missing_docs)]
impl LevelCode {
    pub const ERROR: Self = Self(1);
    pub const WARN: Self = Self(2);
    pub const INFO: Self = Self(3);
    pub const DEBUG: Self = Self(4);
    pub const TRACE: Self = Self(5);
}

pub(super) static TABLE: HostLog = HostLog { log };

unsafe extern "C" fn log(
    context: Handle,
    level: LevelCode,
    message: RStr<'_>,
    fields: RSlice<'_, Pair<'_>>,
) {
    let level = match level {
        LevelCode::ERROR => Level::Error,
        LevelCode::WARN => Level::Warn,
        LevelCode::DEBUG => Level::Debug,
        LevelCode::TRACE => Level::Trace,
        _ => Level::Info,
    };
    let work = |host: &dyn crate::host::HostServices| {
        let fields = Pair::checked(&fields);
        let fields: Vec<_> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
        host.log(level, &cut(&message, MAX_PRIVATE), &fields);
        Ok(())
    };
    // A host that can't log has nobody to tell.
    // SAFETY: the plugin calls the table with the context of the base it came from.
    let _ = unsafe { serve(context, work) };
}

/// Calls the table.
///
/// # Safety
/// `context` is that of the base which `table` came from, not yet released.
pub(super) unsafe fn send(
    table: &HostLog,
    context: Handle,
    level: Level,
    message: &str,
    fields: &[(&str, &str)],
) {
    let level = match level {
        Level::Error => LevelCode::ERROR,
        Level::Warn => LevelCode::WARN,
        Level::Info => LevelCode::INFO,
        Level::Debug => LevelCode::DEBUG,
        Level::Trace => LevelCode::TRACE,
    };
    let fields = Pair::list(fields.iter().copied());
    // SAFETY: as the caller vouches; all that is borrowed outlives the call.
    unsafe { (table.log)(context, level, message.into(), fields.as_slice().into()) }
}
