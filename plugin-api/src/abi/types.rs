//! The types that several tables share, with their conversions from and to the author's side.
//!
//! Whatever comes from the other side is taken with a pinch of salt: texts are checked and cut,
//! counts are limited, unknown codes have a meaning, times that don't exist are refused. None of it
//! panics.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::time::{Duration, SystemTime};

use abi_stable::StableAbi;
use abi_stable::std_types::{ROption, RSlice, RStr, RString, RVec};

use super::text::{clean, cut};
use crate::fault::{Fault, FaultClass};
use crate::handler::Chain;

/// Longest `code` of a fault, in bytes. What is longer is cut.
pub const MAX_CODE: usize = 64;
/// Longest sentence for a client, in bytes. What is longer is cut.
pub const MAX_PUBLIC: usize = 1024;
/// Longest detail for the log, in bytes. What is longer is cut.
pub const MAX_PRIVATE: usize = 16 * 1024;
/// Longest name of a field, a metric or a label, in bytes. What is longer is cut.
pub const MAX_NAME: usize = 256;
/// Longest schema of a configuration, in bytes. A longer one is as good as none.
pub const MAX_SCHEMA: usize = 1024 * 1024;
/// Longest key path in a note about a configuration, in bytes. What is longer is cut.
pub const MAX_KEY: usize = 512;
/// Most notes about a configuration; the others are dropped.
pub const MAX_NOTES: usize = 256;
/// Most news in one answer.
pub const MAX_NEWS: usize = 1024;
/// Longest poll id, in bytes. A longer one is refused, since cutting would lose it.
pub const MAX_POLL_ID: usize = 4 * 1024;
/// Most certificates in one chain.
pub const MAX_CHAIN: usize = 32;
/// Most alternate chains.
pub const MAX_ALTERNATES: usize = 16;
/// Largest certificate, in bytes.
pub const MAX_CERTIFICATE: usize = 128 * 1024;
/// Most extras, labels or fields in one call; the others are dropped.
pub const MAX_PAIRS: usize = 64;

/// A pointer that means something only to the side that made it.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle(NonNull<()>);

// SAFETY: a handle is an address. Every type that one is made from is `Send + Sync`: `of` and
// `from_box` demand it.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Handle {
    pub(crate) fn of<T: Sync + 'static>(value: &'static T) -> Self {
        Self(NonNull::from(value).cast())
    }

    pub(crate) fn from_box<T: Send + Sync + 'static>(value: Box<T>) -> Self {
        Self(NonNull::from(Box::leak(value)).cast())
    }

    /// # Safety
    /// The handle was made from a `T`, which lives for `'a`.
    pub(crate) unsafe fn as_ref<'a, T>(self) -> &'a T {
        // SAFETY: the caller vouches for type and lifetime; the pointer came from a reference.
        unsafe { self.0.cast().as_ref() }
    }

    /// # Safety
    /// The handle was made by `from_box` from a `T`, and nobody uses it any more.
    pub(crate) unsafe fn into_box<T>(self) -> Box<T> {
        // SAFETY: the caller vouches for origin and uniqueness.
        unsafe { Box::from_raw(self.0.cast().as_ptr()) }
    }
}

/// A name with its value, borrowed for a call.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// The name.
    pub name: RStr<'a>,
    /// The value.
    pub value: RStr<'a>,
}

impl<'a> Pair<'a> {
    pub(crate) fn list(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<Self> {
        pairs
            .into_iter()
            .map(|(name, value)| Self {
                name: name.into(),
                value: value.into(),
            })
            .collect()
    }

    /// What the other side gave, as texts.
    pub(super) fn checked(pairs: &'a RSlice<'_, Self>) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
        let text = |pair: &'a Self| (cut(&pair.name, MAX_NAME), cut(&pair.value, MAX_PRIVATE));
        pairs.iter().take(MAX_PAIRS).map(text).collect()
    }

    pub(crate) fn map(pairs: RSlice<'_, Pair<'_>>) -> BTreeMap<String, String> {
        pairs
            .iter()
            .take(MAX_PAIRS)
            .map(|p| (p.name.to_string(), p.value.to_string()))
            .collect()
    }
}

/// A point in time: seconds since 1970-01-01T00:00:00Z without leap seconds, and nanoseconds
/// (below 1 000 000 000) after them.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp {
    /// Whole seconds, negative before 1970.
    pub seconds: i64,
    /// Nanoseconds after `seconds`.
    pub nanos: u32,
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Self {
                seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
                nanos: since.subsec_nanos(),
            },
            Err(before) => {
                let before = before.duration();
                let seconds = i64::try_from(before.as_secs())
                    .unwrap_or(i64::MAX)
                    .saturating_neg();
                match before.subsec_nanos() {
                    0 => Self { seconds, nanos: 0 },
                    nanos => Self {
                        seconds: seconds.saturating_sub(1),
                        nanos: 1_000_000_000_u32.saturating_sub(nanos),
                    },
                }
            }
        }
    }
}

impl Timestamp {
    /// # Errors
    /// `Internal` for a time that this system can't express.
    pub(crate) fn to_system(self) -> Result<SystemTime, Fault> {
        let whole = Duration::from_secs(self.seconds.unsigned_abs());
        let base = if self.seconds < 0 {
            SystemTime::UNIX_EPOCH.checked_sub(whole)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(whole)
        };
        base.filter(|_| self.nanos < 1_000_000_000)
            .and_then(|base| base.checked_add(Duration::from_nanos(self.nanos.into())))
            .ok_or_else(|| {
                unusable(&format!(
                    "no such time: {} s, {} ns",
                    self.seconds, self.nanos
                ))
            })
    }

    pub(crate) fn option(time: Option<SystemTime>) -> ROption<Self> {
        time.map(Self::from).into()
    }

    /// # Errors
    /// `Internal` for a time that this system can't express.
    pub(crate) fn from_option(time: ROption<Self>) -> Result<Option<SystemTime>, Fault> {
        time.into_option().map(Self::to_system).transpose()
    }
}

/// A span of time in whole milliseconds.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Millis(pub u64);

impl Millis {
    pub(crate) fn option(wait: Option<Duration>) -> ROption<Self> {
        wait.map(|w| Self(u64::try_from(w.as_millis()).unwrap_or(u64::MAX)))
            .into()
    }

    pub(crate) fn from_option(wait: ROption<Self>) -> Option<Duration> {
        wait.into_option().map(|Self(ms)| Duration::from_millis(ms))
    }
}

/// A fault's class. A code that the receiver does not know is read as [`INTERNAL`](Self::INTERNAL).
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultCode(pub u32);

impl FaultCode {
    /// [`FaultClass::Malformed`]
    pub const MALFORMED: Self = Self(1);
    /// [`FaultClass::Denied`]
    pub const DENIED: Self = Self(2);
    /// [`FaultClass::Busy`]
    pub const BUSY: Self = Self(3);
    /// [`FaultClass::Upstream`]
    pub const UPSTREAM: Self = Self(4);
    /// [`FaultClass::Misconfigured`]
    pub const MISCONFIGURED: Self = Self(5);
    /// [`FaultClass::Unsupported`]
    pub const UNSUPPORTED: Self = Self(6);
    /// [`FaultClass::AlreadyRevoked`]
    pub const ALREADY_REVOKED: Self = Self(7);
    /// [`FaultClass::Internal`]
    pub const INTERNAL: Self = Self(8);
    /// [`FaultClass::Panicked`]
    pub const PANICKED: Self = Self(9);
    /// [`FaultClass::UnknownOutcome`]; since 1.1, and `INTERNAL` for an older receiver.
    pub const UNKNOWN_OUTCOME: Self = Self(10);

    fn of(class: FaultClass) -> Self {
        match class {
            FaultClass::Malformed => Self::MALFORMED,
            FaultClass::Denied => Self::DENIED,
            FaultClass::Busy => Self::BUSY,
            // Only the host says `TimedOut`; from a plugin it means that its CA was too slow.
            FaultClass::Upstream | FaultClass::TimedOut => Self::UPSTREAM,
            FaultClass::Misconfigured => Self::MISCONFIGURED,
            FaultClass::Unsupported => Self::UNSUPPORTED,
            FaultClass::AlreadyRevoked => Self::ALREADY_REVOKED,
            FaultClass::Internal => Self::INTERNAL,
            FaultClass::Panicked => Self::PANICKED,
            FaultClass::UnknownOutcome => Self::UNKNOWN_OUTCOME,
        }
    }

    fn class(self) -> FaultClass {
        match self {
            Self::MALFORMED => FaultClass::Malformed,
            Self::DENIED => FaultClass::Denied,
            Self::BUSY => FaultClass::Busy,
            Self::UPSTREAM => FaultClass::Upstream,
            Self::MISCONFIGURED => FaultClass::Misconfigured,
            Self::UNSUPPORTED => FaultClass::Unsupported,
            Self::ALREADY_REVOKED => FaultClass::AlreadyRevoked,
            Self::PANICKED => FaultClass::Panicked,
            Self::UNKNOWN_OUTCOME => FaultClass::UnknownOutcome,
            _ => FaultClass::Internal,
        }
    }
}

/// A [`Fault`] on the wire.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct WireFault {
    /// Who is at fault.
    pub class: FaultCode,
    /// The handler's own code; may be empty.
    pub code: RString,
    /// One sentence for the client.
    pub public: RString,
    /// Detail for the log; may be empty.
    pub private: RString,
    /// When to try again.
    pub retry_after: ROption<Millis>,
}

impl From<Fault> for WireFault {
    fn from(fault: Fault) -> Self {
        Self {
            class: FaultCode::of(fault.class),
            code: fault.code.into(),
            public: fault.public.into(),
            private: fault.private.into(),
            retry_after: Millis::option(fault.retry_after),
        }
    }
}

impl From<WireFault> for Fault {
    fn from(wire: WireFault) -> Self {
        let mut fault = Self::new(wire.class.class(), clean(&wire.public, MAX_PUBLIC));
        fault.code = clean(&wire.code, MAX_CODE);
        fault.private = clean(&wire.private, MAX_PRIVATE);
        fault.retry_after = Millis::from_option(wire.retry_after);
        fault
    }
}

/// A [`Chain`] on the wire.
#[repr(C)]
#[derive(StableAbi, Clone, Debug, Default)]
pub struct WireChain {
    /// DER, the end-entity certificate first.
    pub certificates: RVec<RVec<u8>>,
    /// Other chains for the same end-entity certificate.
    pub alternates: RVec<RVec<RVec<u8>>>,
}

impl From<Chain> for WireChain {
    fn from(chain: Chain) -> Self {
        Self {
            certificates: certificates_out(chain.certificates),
            alternates: chain.alternates.into_iter().map(certificates_out).collect(),
        }
    }
}

impl WireChain {
    pub(crate) fn into_chain(self) -> Result<Chain, Fault> {
        if self.alternates.len() > MAX_ALTERNATES {
            return Err(unusable(&format!(
                "{} alternate chains",
                self.alternates.len()
            )));
        }
        Ok(Chain {
            certificates: certificates_in(self.certificates)?,
            alternates: self
                .alternates
                .into_iter()
                .map(certificates_in)
                .collect::<Result<_, _>>()?,
        })
    }
}

pub(crate) fn certificates_out(certificates: Vec<Vec<u8>>) -> RVec<RVec<u8>> {
    certificates.into_iter().map(RVec::from).collect()
}

/// # Errors
/// `Internal` if there are none, too many, or one is too large.
pub(crate) fn certificates_in(certificates: RVec<RVec<u8>>) -> Result<Vec<Vec<u8>>, Fault> {
    if certificates.is_empty() {
        return Err(unusable("no certificate"));
    }
    if certificates.len() > MAX_CHAIN {
        return Err(unusable(&format!(
            "{} certificates in one chain",
            certificates.len()
        )));
    }
    if let Some(large) = certificates.iter().find(|c| c.len() > MAX_CERTIFICATE) {
        return Err(unusable(&format!("a certificate of {} bytes", large.len())));
    }
    Ok(certificates.into_iter().map(RVec::into).collect())
}

/// The fault for an answer that breaks the contract.
pub(crate) fn unusable(detail: &str) -> Fault {
    Fault::internal("the CA handler gave an answer that can't be used").private(detail)
}
