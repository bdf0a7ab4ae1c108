//! `certdock.recover/1`: looks an enrollment up by its id, after a call whose outcome is unknown.

use abi_stable::StableAbi;
use abi_stable::std_types::{ROption, RResult, RSlice, RStr, RString};

use super::enroll_1::poll_id_in;
use super::extension::ExtensionTable;
use super::shim;
use super::text::clean;
use super::types::{Handle, MAX_PUBLIC, Millis, Pair, Timestamp, WireChain, WireFault, unusable};
use crate::fault::Fault;
use crate::handler::{CaHandler, RecoverRequest, Recovery};

/// The table.
#[repr(C)]
#[derive(StableAbi)]
pub struct RecoverTable {
    /// What `request` borrows is valid until the call returns. `[any-thread]`
    pub recover: unsafe extern "C" fn(
        instance: Handle,
        request: &RecoverIn<'_>,
    ) -> RResult<RecoverOut, WireFault>,
}

impl ExtensionTable for RecoverTable {
    const ID: &'static str = "certdock.recover/1";
}

/// [`RecoverRequest`] on the wire.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RecoverIn<'a> {
    /// The enrollment's id.
    pub enrollment_id: RStr<'a>,
    /// PKCS #10, DER.
    pub csr: RSlice<'a, u8>,
    /// When the enrollment was first asked for.
    pub requested_at: Timestamp,
    /// The id of this call in the host's log.
    pub request_id: RStr<'a>,
    /// When the host stops waiting.
    pub deadline: Timestamp,
    /// Open-ended additions.
    pub extras: RSlice<'a, Pair<'a>>,
}

/// [`Recovery`] on the wire; which fields mean something depends on `status`.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct RecoverOut {
    /// What was found.
    pub status: RecoverStatus,
    /// The chain, if issued.
    pub chain: WireChain,
    /// What to poll with, if pending.
    pub poll_id: RString,
    /// When to poll, if pending.
    pub retry_after: ROption<Millis>,
    /// Why, for the client, if rejected.
    pub reason: RString,
}

/// What was found. The host refuses an answer with a code that it does not know.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoverStatus(pub u32);

impl RecoverStatus {
    /// [`Recovery::Issued`]
    pub const ISSUED: Self = Self(1);
    /// [`Recovery::Pending`]
    pub const PENDING: Self = Self(2);
    /// [`Recovery::Rejected`]
    pub const REJECTED: Self = Self(3);
    /// [`Recovery::NotFound`]
    pub const NOT_FOUND: Self = Self(4);
}

/// The table of handlers of type `H`.
pub(super) fn table<H: CaHandler>() -> &'static RecoverTable {
    &RecoverTable {
        recover: recover::<H>,
    }
}

unsafe extern "C" fn recover<H: CaHandler>(
    instance: Handle,
    request: &RecoverIn<'_>,
) -> RResult<RecoverOut, WireFault> {
    let work = |handler: &H| {
        handler
            .recover(&request.to_request()?)
            .map(RecoverOut::from)
    };
    // SAFETY: the host calls the table with an open instance of the plugin it came from.
    unsafe { shim::call::<H, _>(instance, work) }
}

/// Calls the table.
///
/// # Safety
/// `instance` is open and of the plugin that `table` came from.
pub(super) unsafe fn send(
    table: &RecoverTable,
    instance: Handle,
    request: &RecoverRequest,
) -> Result<Recovery, Fault> {
    let extras = Pair::list(request.extras.iter().map(|(k, v)| (k.as_str(), v.as_str())));
    let wire = RecoverIn {
        enrollment_id: request.enrollment_id.as_str().into(),
        csr: request.csr.as_slice().into(),
        requested_at: request.requested_at.into(),
        request_id: request.request_id.as_str().into(),
        deadline: request.deadline.into(),
        extras: extras.as_slice().into(),
    };
    // SAFETY: as the caller vouches; all that `wire` borrows outlives the call.
    let answer = unsafe { (table.recover)(instance, &wire) };
    shim::result(answer)?.into_recovery()
}

impl RecoverIn<'_> {
    fn to_request(self) -> Result<RecoverRequest, Fault> {
        let mut request = RecoverRequest::new(self.enrollment_id, self.csr.as_slice());
        request.requested_at = self.requested_at.to_system()?;
        request.request_id = self.request_id.to_string();
        request.deadline = self.deadline.to_system()?;
        request.extras = Pair::map(self.extras);
        Ok(request)
    }
}

impl From<Recovery> for RecoverOut {
    fn from(recovery: Recovery) -> Self {
        let mut wire = Self {
            status: RecoverStatus::NOT_FOUND,
            chain: WireChain::default(),
            poll_id: RString::new(),
            retry_after: ROption::RNone,
            reason: RString::new(),
        };
        match recovery {
            Recovery::Issued(chain) => {
                wire.status = RecoverStatus::ISSUED;
                wire.chain = chain.into();
            }
            Recovery::Pending {
                poll_id,
                retry_after,
            } => {
                wire.status = RecoverStatus::PENDING;
                wire.poll_id = poll_id.into();
                wire.retry_after = Millis::option(retry_after);
            }
            Recovery::Rejected { reason } => {
                wire.status = RecoverStatus::REJECTED;
                wire.reason = reason.into();
            }
            Recovery::NotFound => {}
        }
        wire
    }
}

impl RecoverOut {
    pub(super) fn into_recovery(self) -> Result<Recovery, Fault> {
        match self.status {
            RecoverStatus::ISSUED => Ok(Recovery::Issued(self.chain.into_chain()?)),
            RecoverStatus::PENDING => Ok(Recovery::Pending {
                poll_id: poll_id_in(&self.poll_id)?,
                retry_after: Millis::from_option(self.retry_after),
            }),
            RecoverStatus::REJECTED => Ok(Recovery::Rejected {
                reason: clean(&self.reason, MAX_PUBLIC),
            }),
            RecoverStatus::NOT_FOUND => Ok(Recovery::NotFound),
            RecoverStatus(other) => Err(unusable(&format!("recover status {other}"))),
        }
    }
}
