//! `certdock.push/1`: hands over what a CA sent of its own accord.

use abi_stable::StableAbi;
use abi_stable::std_types::{ROption, RResult, RSlice, RStr, RString, RVec};

use super::enroll_1::poll_id_in;
use super::extension::ExtensionTable;
use super::poll_1::PollOut;
use super::shim;
use super::types::{Handle, MAX_NEWS, Pair, Timestamp, WireFault, unusable};
use crate::fault::Fault;
use crate::handler::{CaHandler, Poll};
use crate::push::{News, PushRequest};

/// The table.
#[repr(C)]
#[derive(StableAbi)]
pub struct PushTable {
    /// What `request` borrows is valid until the call returns. `[any-thread]`
    pub push: unsafe extern "C" fn(
        instance: Handle,
        request: &PushIn<'_>,
    ) -> RResult<RVec<WireNews>, WireFault>,
}

impl ExtensionTable for PushTable {
    const ID: &'static str = "certdock.push/1";
}

/// [`PushRequest`] on the wire.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct PushIn<'a> {
    /// The body.
    pub payload: RSlice<'a, u8>,
    /// The headers, names in lower case.
    pub headers: RSlice<'a, Pair<'a>>,
    /// The id of this call in the host's log.
    pub request_id: RStr<'a>,
    /// When the host stops waiting.
    pub deadline: Timestamp,
    /// Open-ended additions.
    pub extras: RSlice<'a, Pair<'a>>,
}

/// [`News`] on the wire.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct WireNews {
    /// The enrollment; may be empty if the answer is a certificate.
    pub poll_id: RString,
    /// What a poll would answer now, if that is known.
    pub answer: ROption<PollOut>,
}

/// The table of handlers of type `H`.
pub(super) fn table<H: CaHandler>() -> &'static PushTable {
    &PushTable { push: push::<H> }
}

unsafe extern "C" fn push<H: CaHandler>(
    instance: Handle,
    request: &PushIn<'_>,
) -> RResult<RVec<WireNews>, WireFault> {
    let work = |handler: &H| {
        let news = handler.push(&request.to_request()?)?;
        Ok(news.into_iter().map(WireNews::from).collect())
    };
    // SAFETY: the host calls the table with an open instance of the plugin it came from.
    unsafe { shim::call::<H, _>(instance, work) }
}

/// Calls the table.
///
/// # Safety
/// `instance` is open and of the plugin that `table` came from.
pub(super) unsafe fn send(
    table: &PushTable,
    instance: Handle,
    request: &PushRequest,
) -> Result<Vec<News>, Fault> {
    let headers = request.headers.iter();
    let headers = Pair::list(headers.map(|(k, v)| (k.as_str(), v.as_str())));
    let extras = Pair::list(request.extras.iter().map(|(k, v)| (k.as_str(), v.as_str())));
    let wire = PushIn {
        payload: request.payload.as_slice().into(),
        headers: headers.as_slice().into(),
        request_id: request.request_id.as_str().into(),
        deadline: request.deadline.into(),
        extras: extras.as_slice().into(),
    };
    // SAFETY: as the caller vouches; all that `wire` borrows outlives the call.
    let answer = unsafe { (table.push)(instance, &wire) };
    let news = shim::result(answer)?;
    if news.len() > MAX_NEWS {
        return Err(unusable(&format!("{} news at once", news.len())));
    }
    news.into_iter().map(WireNews::into_news).collect()
}

impl PushIn<'_> {
    fn to_request(self) -> Result<PushRequest, Fault> {
        let mut request = PushRequest::new(self.payload.as_slice());
        request.headers = Pair::map(self.headers);
        request.request_id = self.request_id.to_string();
        request.deadline = self.deadline.to_system()?;
        request.extras = Pair::map(self.extras);
        Ok(request)
    }
}

impl From<News> for WireNews {
    fn from(news: News) -> Self {
        Self {
            poll_id: news.poll_id.into(),
            answer: news.answer.map(PollOut::from).into(),
        }
    }
}

impl WireNews {
    fn into_news(self) -> Result<News, Fault> {
        let answer = self.answer.into_option();
        let news = News {
            poll_id: poll_id_in(&self.poll_id)?,
            answer: answer.map(PollOut::into_poll).transpose()?,
        };
        if news.poll_id.is_empty() && !matches!(news.answer, Some(Poll::Issued(_))) {
            return Err(unusable("news of nobody knows which enrollment"));
        }
        Ok(news)
    }
}
