//! The plugin's side of the root, and what the shims of all extensions share: find the instance,
//! guard against panics, answer.

use abi_stable::std_types::{ROption, RResult, RStr, RString};

use super::extension::{Extension, ExtensionTable};
use super::host_base::HostBase;
use super::remote_host::RemoteHost;
use super::root::Description;
use super::types::{Handle, WireFault};
use super::{
    ca_certs_1, crl_1, enroll_1, health_1, idempotent_1, poll_1, push_1, recover_1, revoke_1,
    stateless_1, validate_config_1,
};
use crate::export::{Export, parse_config};
use crate::fault::Fault;
use crate::guard;
use crate::handler::CaHandler;
use crate::host::Host;

/// What an instance's handle points to.
struct Opened<H> {
    handler: H,
    host: Host,
}

pub(super) extern "C" fn describe<E: Export>() -> Description {
    Description {
        id: E::ID.into(),
        version: E::VERSION.into(),
        vendor: E::VENDOR.into(),
        api_version: super::API_VERSION.into(),
    }
}

pub(super) extern "C" fn schema<E: Export>() -> RString {
    guard::run(None, || Ok(crate::export::schema_of::<E>()))
        .unwrap_or_default()
        .into()
}

pub(super) unsafe extern "C" fn open<E: Export>(
    config: RStr<'_>,
    host: HostBase,
) -> RResult<Handle, WireFault> {
    // SAFETY: the host gives us its base, to be released once; `RemoteHost` does.
    let host = unsafe { connect_host(host) };
    guard::install_hook(&host);
    answer(guard::run(Some(&host), || {
        let config = parse_config::<<E::Handler as CaHandler>::Config>(config.as_str())?;
        let handler = E::Handler::open(config, host.clone())?;
        Ok(Handle::from_box(Box::new(Opened {
            handler,
            host: host.clone(),
        })))
    }))
}

/// # Safety
/// `host` is valid and ours.
pub(super) unsafe fn connect_host(host: HostBase) -> Host {
    // SAFETY: as the caller vouches.
    let remote = unsafe { RemoteHost::new(host) };
    Host::new(std::sync::Arc::new(remote))
}

pub(super) unsafe extern "C" fn close<E: Export>(instance: Handle) {
    // SAFETY: the host gives back, once, what `open` of the same plugin made.
    let opened = unsafe { instance.into_box::<Opened<E::Handler>>() };
    let host = opened.host.clone();
    // A panic in the handler's Drop has been logged by the hook; there is nobody to tell.
    let _ = guard::run(Some(&host), || {
        drop(opened);
        Ok(())
    });
}

pub(super) extern "C" fn extension<E: Export>(id: RStr<'_>) -> ROption<Extension> {
    let provides = |ability: &str| E::ABILITIES.contains(&ability);
    let found = match id.as_str() {
        enroll_1::Enroll::ID => Extension::of(enroll_1::table::<E::Handler>()),
        ca_certs_1::CaCertsGet::ID => Extension::of(ca_certs_1::table::<E::Handler>()),
        poll_1::PollTable::ID if provides("poll") => Extension::of(poll_1::table::<E::Handler>()),
        revoke_1::Revoke::ID if provides("revoke") => {
            Extension::of(revoke_1::table::<E::Handler>())
        }
        recover_1::RecoverTable::ID if provides("recover") => {
            Extension::of(recover_1::table::<E::Handler>())
        }
        idempotent_1::Idempotent::ID if provides("idempotent") => {
            Extension::of(idempotent_1::table())
        }
        stateless_1::Stateless::ID if provides("stateless") => Extension::of(stateless_1::table()),
        push_1::PushTable::ID if provides("push") => Extension::of(push_1::table::<E::Handler>()),
        health_1::HealthTable::ID if provides("health") => {
            Extension::of(health_1::table::<E::Handler>())
        }
        crl_1::CrlTable::ID if provides("crl") => Extension::of(crl_1::table::<E::Handler>()),
        validate_config_1::ValidateConfig::ID if provides("validate_config") => {
            Extension::of(validate_config_1::table::<E::Handler>())
        }
        _ => return ROption::RNone,
    };
    ROption::RSome(found)
}

/// Runs a call of an instance under the guard.
///
/// # Safety
/// `instance` was made by `open` of a plugin whose handler is `H` and has not been closed.
pub(super) unsafe fn call<H: CaHandler, T>(
    instance: Handle,
    work: impl FnOnce(&H) -> Result<T, Fault>,
) -> RResult<T, WireFault> {
    // SAFETY: as the caller vouches.
    let opened = unsafe { instance.as_ref::<Opened<H>>() };
    answer(guard::run(Some(&opened.host), || work(&opened.handler)))
}

pub(super) fn answer<T>(result: Result<T, Fault>) -> RResult<T, WireFault> {
    result.map_err(WireFault::from).into()
}

/// The caller's side of [`answer`].
pub(super) fn result<T>(answer: RResult<T, WireFault>) -> Result<T, Fault> {
    answer.into_result().map_err(Fault::from)
}
