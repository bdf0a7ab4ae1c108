//! [`Fault`]: what goes wrong on demand, at which call and how often.

use std::str::FromStr;
use std::time::Duration;

use anyhow::bail;
use http::Method;

/// The calls of the API that a fault can be put on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Call 1 and 5: `GET /v1/cas…`
    Cas,
    /// Call 2: `POST /v1/requests`
    Enroll,
    /// Call 3: `GET /v1/requests/ID`
    Request,
    /// Call 4 and 6: `GET /v1/certificates…`
    Certificates,
    /// Call 7: `POST /v1/certificates/ID/status`
    Revoke,
}

impl Call {
    /// Nothing for a path outside the API.
    pub fn of(method: &Method, path: &str) -> Option<Self> {
        let path = path.strip_prefix("/v1/")?;
        let kind = path.split('/').next().unwrap_or_default();
        Some(match (kind, *method == Method::POST) {
            ("requests", true) => Self::Enroll,
            ("requests", false) => Self::Request,
            ("certificates", true) => Self::Revoke,
            ("certificates", false) => Self::Certificates,
            ("cas", _) => Self::Cas,
            _ => return None,
        })
    }
}

impl FromStr for Call {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, anyhow::Error> {
        Ok(match text {
            "cas" => Self::Cas,
            "enroll" => Self::Enroll,
            "request" => Self::Request,
            "certificates" => Self::Certificates,
            "revoke" => Self::Revoke,
            _ => bail!("no call {text}: cas, enroll, request, certificates, revoke"),
        })
    }
}

/// What goes wrong. "Before" means that nothing is done; "after", that the work is done, but its
/// answer is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// An error object with this HTTP status; nothing is done.
    Status(u16),
    /// The connection is closed without an answer; nothing is done.
    CutBefore,
    /// The connection is closed without an answer, but the work is done.
    CutAfter,
    /// No answer until the client gives up, at most this long; nothing is done.
    HangBefore(Duration),
    /// No answer until the client gives up, at most this long, but the work is done.
    HangAfter(Duration),
    /// Status 200 and a page of HTML; nothing is done.
    HtmlBefore,
    /// Status 200 and a page of HTML, but the work is done.
    HtmlAfter,
}

/// Longest hang; no client waits as long.
const HANG: Duration = Duration::from_secs(300);

impl FromStr for FaultKind {
    type Err = anyhow::Error;

    /// `503` (or another status), `cut-before`, `cut-after`, `hang-before`, `hang-after`,
    /// `html-before`, `html-after`.
    fn from_str(text: &str) -> Result<Self, anyhow::Error> {
        Ok(match text {
            "cut-before" => Self::CutBefore,
            "cut-after" => Self::CutAfter,
            "hang-before" => Self::HangBefore(HANG),
            "hang-after" => Self::HangAfter(HANG),
            "html-before" => Self::HtmlBefore,
            "html-after" => Self::HtmlAfter,
            other => match other.parse() {
                Ok(status @ 300..=599) => Self::Status(status),
                _ => bail!(
                    "no fault {other}: a status from 300 to 599, or cut, hang or html with -before \
                     or -after"
                ),
            },
        })
    }
}

/// A fault in place: on every `every`th call of a kind, until it has been felt `times` times.
#[derive(Clone, Debug)]
pub struct Fault {
    pub call: Call,
    pub kind: FaultKind,
    pub every: u64,
    pub times: u64,
}

impl Fault {
    /// On every such call, until it is taken away.
    pub fn always(call: Call, kind: FaultKind) -> Self {
        Self {
            call,
            kind,
            every: 1,
            times: u64::MAX,
        }
    }

    /// On the next such call only.
    pub fn once(call: Call, kind: FaultKind) -> Self {
        Self {
            times: 1,
            ..Self::always(call, kind)
        }
    }

    /// On every `every`th such call.
    pub fn every(every: u64, call: Call, kind: FaultKind) -> Self {
        Self {
            every: every.max(1),
            ..Self::always(call, kind)
        }
    }
}

/// The faults in place, with how often each one's call has come.
#[derive(Default)]
pub(super) struct Faults(Vec<(Fault, u64)>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.0.push((fault, 0));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// What goes wrong with this call, if anything.
    pub(super) fn strike(&mut self, call: Call) -> Option<FaultKind> {
        for (fault, seen) in &mut self.0 {
            if fault.call != call || fault.times == 0 {
                continue;
            }
            *seen += 1;
            if *seen % fault.every == 0 {
                fault.times -= 1;
                return Some(fault.kind);
            }
        }
        None
    }
}
