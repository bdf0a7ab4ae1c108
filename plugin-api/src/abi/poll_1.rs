//! `certdock.poll/1`: asks after a pending enrollment.

use abi_stable::StableAbi;
use abi_stable::std_types::{ROption, RResult, RSlice, RStr, RString};

use super::enroll_1::poll_id_in;
use super::extension::ExtensionTable;
use super::shim;
use super::text::clean;
use super::types::{Handle, MAX_PUBLIC, Millis, Pair, Timestamp, WireChain, WireFault, unusable};
use crate::fault::Fault;
use crate::handler::{CaHandler, Poll, PollRequest};

/// The table.
#[repr(C)]
#[derive(StableAbi)]
pub struct PollTable {
    /// What `request` borrows is valid until the call returns. `[any-thread]`
    pub poll:
        unsafe extern "C" fn(instance: Handle, request: &PollIn<'_>) -> RResult<PollOut, WireFault>,
}

impl ExtensionTable for PollTable {
    const ID: &'static str = "certdock.poll/1";
}

/// [`PollRequest`] on the wire.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct PollIn<'a> {
    /// The enrollment's id.
    pub enrollment_id: RStr<'a>,
    /// What the handler answered last.
    pub poll_id: RStr<'a>,
    /// PKCS #10, DER.
    pub csr: RSlice<'a, u8>,
    /// The id of this poll in the host's log.
    pub request_id: RStr<'a>,
    /// When the host stops waiting.
    pub deadline: Timestamp,
    /// Open-ended additions.
    pub extras: RSlice<'a, Pair<'a>>,
}

/// [`Poll`] on the wire; which fields mean something depends on `status`.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct PollOut {
    /// What became of it.
    pub status: PollStatus,
    /// The chain, if issued.
    pub chain: WireChain,
    /// What to poll with next, if pending.
    pub poll_id: RString,
    /// When to ask again, if pending.
    pub retry_after: ROption<Millis>,
    /// Why, for the client, if rejected.
    pub reason: RString,
}

/// What became of it. The host refuses an answer with a code that it does not know.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollStatus(pub u32);

impl PollStatus {
    /// [`Poll::Issued`]
    pub const ISSUED: Self = Self(1);
    /// [`Poll::Pending`]
    pub const PENDING: Self = Self(2);
    /// [`Poll::Rejected`]
    pub const REJECTED: Self = Self(3);
}

/// The table of handlers of type `H`.
pub(super) fn table<H: CaHandler>() -> &'static PollTable {
    &PollTable { poll: poll::<H> }
}

unsafe extern "C" fn poll<H: CaHandler>(
    instance: Handle,
    request: &PollIn<'_>,
) -> RResult<PollOut, WireFault> {
    let work = |handler: &H| handler.poll(&request.to_request()?).map(PollOut::from);
    // SAFETY: the host calls the table with an open instance of the plugin it came from.
    unsafe { shim::call::<H, _>(instance, work) }
}

/// Calls the table.
///
/// # Safety
/// `instance` is open and of the plugin that `table` came from.
pub(super) unsafe fn send(
    table: &PollTable,
    instance: Handle,
    request: &PollRequest,
) -> Result<Poll, Fault> {
    let extras = Pair::list(request.extras.iter().map(|(k, v)| (k.as_str(), v.as_str())));
    let wire = PollIn {
        enrollment_id: request.enrollment_id.as_str().into(),
        poll_id: request.poll_id.as_str().into(),
        csr: request.csr.as_slice().into(),
        request_id: request.request_id.as_str().into(),
        deadline: request.deadline.into(),
        extras: extras.as_slice().into(),
    };
    // SAFETY: as the caller vouches; all that `wire` borrows outlives the call.
    let answer = unsafe { (table.poll)(instance, &wire) };
    shim::result(answer)?.into_poll()
}

impl PollIn<'_> {
    fn to_request(self) -> Result<PollRequest, Fault> {
        let mut request = PollRequest::new(self.enrollment_id, self.poll_id, self.csr.as_slice());
        request.request_id = self.request_id.to_string();
        request.deadline = self.deadline.to_system()?;
        request.extras = Pair::map(self.extras);
        Ok(request)
    }
}

impl From<Poll> for PollOut {
    fn from(poll: Poll) -> Self {
        let mut wire = Self {
            status: PollStatus::PENDING,
            chain: WireChain::default(),
            poll_id: RString::new(),
            retry_after: ROption::RNone,
            reason: RString::new(),
        };
        match poll {
            Poll::Issued(chain) => {
                wire.status = PollStatus::ISSUED;
                wire.chain = chain.into();
            }
            Poll::Pending {
                poll_id,
                retry_after,
            } => {
                wire.poll_id = poll_id.into();
                wire.retry_after = Millis::option(retry_after);
            }
            Poll::Rejected { reason } => {
                wire.status = PollStatus::REJECTED;
                wire.reason = reason.into();
            }
        }
        wire
    }
}

impl PollOut {
    pub(super) fn into_poll(self) -> Result<Poll, Fault> {
        match self.status {
            PollStatus::ISSUED => Ok(Poll::Issued(self.chain.into_chain()?)),
            PollStatus::PENDING => Ok(Poll::Pending {
                poll_id: poll_id_in(&self.poll_id)?,
                retry_after: Millis::from_option(self.retry_after),
            }),
            PollStatus::REJECTED => Ok(Poll::Rejected {
                reason: clean(&self.reason, MAX_PUBLIC),
            }),
            PollStatus(other) => Err(unusable(&format!("poll status {other}"))),
        }
    }
}
