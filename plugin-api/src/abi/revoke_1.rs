//! `certdock.revoke/1`: revokes one certificate.

use abi_stable::StableAbi;
use abi_stable::std_types::{RResult, RSlice, RStr};

use super::extension::ExtensionTable;
use super::shim;
use super::types::{Handle, Pair, Timestamp, WireFault};
use crate::fault::Fault;
use crate::handler::{CaHandler, RevocationReason, RevokeRequest};

/// The table.
#[repr(C)]
#[derive(StableAbi)]
pub struct Revoke {
    /// What `request` borrows is valid until the call returns. `[any-thread]`
    pub revoke:
        unsafe extern "C" fn(instance: Handle, request: &RevokeIn<'_>) -> RResult<(), WireFault>,
}

impl ExtensionTable for Revoke {
    const ID: &'static str = "certdock.revoke/1";
}

/// [`RevokeRequest`] on the wire.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RevokeIn<'a> {
    /// The certificate, DER.
    pub certificate: RSlice<'a, u8>,
    /// The CRLReason code (RFC 5280 §5.3.1). One that the plugin does not know is `unspecified`.
    pub reason: u8,
    /// When it was asked for.
    pub revoked_at: Timestamp,
    /// The id of the client's request in the host's log.
    pub request_id: RStr<'a>,
    /// When the host stops waiting.
    pub deadline: Timestamp,
    /// Open-ended additions.
    pub extras: RSlice<'a, Pair<'a>>,
}

/// The table of handlers of type `H`.
pub(super) fn table<H: CaHandler>() -> &'static Revoke {
    &Revoke {
        revoke: revoke::<H>,
    }
}

unsafe extern "C" fn revoke<H: CaHandler>(
    instance: Handle,
    request: &RevokeIn<'_>,
) -> RResult<(), WireFault> {
    let work = |handler: &H| handler.revoke(&request.to_request()?);
    // SAFETY: the host calls the table with an open instance of the plugin it came from.
    unsafe { shim::call::<H, _>(instance, work) }
}

/// Calls the table.
///
/// # Safety
/// `instance` is open and of the plugin that `table` came from.
pub(super) unsafe fn send(
    table: &Revoke,
    instance: Handle,
    request: &RevokeRequest,
) -> Result<(), Fault> {
    let extras = Pair::list(request.extras.iter().map(|(k, v)| (k.as_str(), v.as_str())));
    let wire = RevokeIn {
        certificate: request.certificate.as_slice().into(),
        reason: request.reason.code(),
        revoked_at: request.revoked_at.into(),
        request_id: request.request_id.as_str().into(),
        deadline: request.deadline.into(),
        extras: extras.as_slice().into(),
    };
    // SAFETY: as the caller vouches; all that `wire` borrows outlives the call.
    let answer = unsafe { (table.revoke)(instance, &wire) };
    shim::result(answer)
}

impl RevokeIn<'_> {
    fn to_request(self) -> Result<RevokeRequest, Fault> {
        let reason =
            RevocationReason::from_code(self.reason).unwrap_or(RevocationReason::Unspecified);
        let mut request = RevokeRequest::new(self.certificate.as_slice(), reason);
        request.revoked_at = self.revoked_at.to_system()?;
        request.request_id = self.request_id.to_string();
        request.deadline = self.deadline.to_system()?;
        request.extras = Pair::map(self.extras);
        Ok(request)
    }
}
