//! [`PushRequest`] and [`News`]: what a CA tells of its own accord, and what it means.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::handler::{Chain, Poll};

/// Something that the CA, or a script of its operator's, sent to the host for this handler. The
/// sender knew the handler's secret; what was sent is to be checked all the same.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct PushRequest {
    /// The body as it came.
    #[cfg_attr(feature = "wire", serde(with = "crate::wire::bytes"))]
    pub payload: Vec<u8>,
    /// The request's headers by name, in lower case, without those that carry secrets.
    pub headers: BTreeMap<String, String>,
    /// The id under which the host logs the request.
    pub request_id: String,
    /// When the host stops waiting.
    #[cfg_attr(feature = "wire", serde(with = "crate::wire::time"))]
    pub deadline: SystemTime,
    /// Open-ended additions of later hosts.
    pub extras: BTreeMap<String, String>,
}

impl PushRequest {
    /// A push with defaults for all else.
    #[must_use]
    pub fn new(payload: impl Into<Vec<u8>>) -> Self {
        Self {
            payload: payload.into(),
            headers: BTreeMap::new(),
            request_id: String::new(),
            deadline: SystemTime::now() + Duration::from_secs(30),
            extras: BTreeMap::new(),
        }
    }
}

/// Something new about one enrollment that is not finished.
///
/// ```
/// use certdock_plugin_api::{Chain, News, Poll};
///
/// // The CA named its request: the host polls it at once.
/// let changed = News::changed("request-7");
/// assert_eq!((changed.poll_id.as_str(), &changed.answer), ("request-7", &None));
///
/// // The CA sent the certificate itself: the host finds the enrollment by its public key.
/// let issued = News::issued(Chain::new(vec![vec![0x30]]));
/// assert!(issued.poll_id.is_empty() && matches!(issued.answer, Some(Poll::Issued(_))));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
pub struct News {
    /// The enrollment, by what the handler answered last in [`Enrollment::Pending`] or
    /// [`Poll::Pending`]. Empty if the handler doesn't know it; then the answer must be a
    /// certificate, and the host finds the enrollment whose request has its public key.
    ///
    /// [`Enrollment::Pending`]: crate::Enrollment::Pending
    pub poll_id: String,
    /// What a poll would answer now; `None` lets the host poll.
    pub answer: Option<Poll>,
}

impl News {
    /// The enrollment with this poll id is worth a poll now.
    #[must_use]
    pub fn changed(poll_id: impl Into<String>) -> Self {
        Self {
            poll_id: poll_id.into(),
            answer: None,
        }
    }

    /// A certificate was issued, to whoever asked for one with its public key.
    #[must_use]
    pub fn issued(chain: Chain) -> Self {
        Self {
            poll_id: String::new(),
            answer: Some(Poll::Issued(chain)),
        }
    }
}
