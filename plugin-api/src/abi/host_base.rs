//! [`HostBase`]: the host as a plugin first sees it. Frozen for the whole of major 1; every service
//! is an extension of it.

use std::sync::Arc;

use abi_stable::StableAbi;
use abi_stable::std_types::{ROption, RStr};

use super::extension::{Extension, ExtensionTable};
use super::types::Handle;
use super::{host_log_1, host_metrics_1, host_paths_1, host_secret_1, host_state_1, host_time_1};
use crate::fault::Fault;
use crate::guard;
use crate::host::HostServices;

/// One handler's door to the host.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct HostBase {
    /// What every function of the host's tables gets as its first argument.
    pub context: Handle,
    /// Gives the base back. Called exactly once, with no call in progress. `[any-thread]`
    pub release: unsafe extern "C" fn(context: Handle),
    /// The table of this id, if the host has it. The same answer every time. `[any-thread]`
    pub extension: extern "C" fn(id: RStr<'_>) -> ROption<Extension>,
}

/// What a context points to.
type Context = Arc<dyn HostServices>;

impl HostBase {
    /// A base to be given to a plugin, which will release it.
    #[must_use]
    pub fn new(services: Arc<dyn HostServices>) -> Self {
        Self {
            context: Handle::from_box(Box::new(services)),
            release,
            extension,
        }
    }

    /// A host that has no service at all: what the first host of another kind may look like.
    #[must_use]
    pub(super) fn bare(services: Arc<dyn HostServices>) -> Self {
        Self {
            extension: nothing,
            ..Self::new(services)
        }
    }
}

extern "C" fn nothing(_: RStr<'_>) -> ROption<Extension> {
    ROption::RNone
}

unsafe extern "C" fn release(context: Handle) {
    // SAFETY: the plugin gives back, once, what `new` made.
    let services = unsafe { context.into_box::<Context>() };
    // A panic in the services' Drop must not reach the plugin; there is nobody to tell.
    let _ = guard::run(None, || {
        drop(services);
        Ok(())
    });
}

extern "C" fn extension(id: RStr<'_>) -> ROption<Extension> {
    ROption::RSome(match id.as_str() {
        host_log_1::HostLog::ID => Extension::of(&host_log_1::TABLE),
        host_time_1::HostTime::ID => Extension::of(&host_time_1::TABLE),
        host_secret_1::HostSecret::ID => Extension::of(&host_secret_1::TABLE),
        host_paths_1::HostPaths::ID => Extension::of(&host_paths_1::TABLE),
        host_metrics_1::HostMetrics::ID => Extension::of(&host_metrics_1::TABLE),
        host_state_1::HostState::ID => Extension::of(&host_state_1::TABLE),
        _ => return ROption::RNone,
    })
}

/// Runs a service under the guard: the host's panics stay on its side, too.
///
/// # Safety
/// `context` is that of a base which `HostBase::new` made and nobody has released.
pub(super) unsafe fn serve<T>(
    context: Handle,
    work: impl FnOnce(&dyn HostServices) -> Result<T, Fault>,
) -> Result<T, Fault> {
    // SAFETY: as the caller vouches.
    let services = unsafe { context.as_ref::<Context>() };
    guard::run(None, || work(&**services))
}
