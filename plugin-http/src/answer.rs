//! [`Answer`]: what came back, and the fault that it amounts to if it is not what was wanted.

use std::time::Duration;

use certdock_plugin_api::Fault;
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::Client;
use crate::connector::Unsent;

/// [`Fault::code`] where the CA can't be reached: nothing was sent.
pub const NO_CONNECTION: &str = "no-connection";
/// [`Fault::code`] where the CA was reached and does not work.
pub const NOT_WORKING: &str = "not-working";
/// [`Fault::code`] where the CA does not accept the credentials.
pub const CREDENTIALS: &str = "credentials";

/// Whether a call changes anything at the CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Question,
    Order,
}

/// An answer that was read to its end, of whatever status.
pub struct Answer<'a> {
    /// Its status. Set it anew for an API that says no in the body alone.
    pub status: StatusCode,
    /// Its body; `Null` if that is no JSON.
    pub json: Value,
    pub(crate) kind: Kind,
    /// From `Retry-After`, if that is in seconds (RFC 9110 §10.2.3).
    pub(crate) retry_after: Option<Duration>,
    /// Which call it was and what came back, without secrets: for the log.
    pub(crate) said: String,
    pub(crate) client: &'a Client,
}

impl Answer<'_> {
    /// The body as a type. Fields that the type does not know are ignored.
    ///
    /// # Errors
    /// If the body has another shape: [`Upstream`](certdock_plugin_api::FaultClass::Upstream) for a
    /// question, [`UnknownOutcome`](certdock_plugin_api::FaultClass::UnknownOutcome) for an order.
    pub fn read<T: DeserializeOwned>(self) -> Result<T, Fault> {
        T::deserialize(&self.json).map_err(|_| self.fault(unanswered(self.kind)))
    }

    /// The fault that an answer of this status amounts to. `words` are the CA's own: they reach the
    /// client where they are about its request, else the log alone. Secrets in them are struck out.
    #[must_use]
    pub fn refusal(&self, words: &str) -> Fault {
        let refused = format!("the CA refused: {}", self.client.for_the_log(words));
        self.fault(match (self.status.as_u16(), self.kind) {
            (401, _) | (403, Kind::Question) => {
                Fault::misconfigured("the CA does not let this server in").code(CREDENTIALS)
            }
            (300..=399, _) => Fault::misconfigured("the address of the CA leads elsewhere"),
            (408 | 429 | 503, _) => Fault::busy("the CA has no capacity now").code(NOT_WORKING),
            // A gateway that has lost the CA, which may have heard the order.
            (502 | 504, kind) => unanswered(kind).code(NOT_WORKING),
            (500.., _) => Fault::upstream("the CA failed").code(NOT_WORKING),
            (_, Kind::Question) => Fault::upstream("the CA does not know its own objects"),
            (403, Kind::Order) => Fault::denied(refused),
            (_, Kind::Order) => Fault::malformed(refused),
        })
    }

    /// A fault of the handler's own choice, with what came back as its private part, and the CA's wish
    /// when to be asked again.
    #[must_use]
    pub fn fault(&self, fault: Fault) -> Fault {
        let mut fault = fault.private(&self.said);
        fault.retry_after = self.retry_after;
        fault
    }
}

pub(crate) fn no_answer(kind: Kind, error: &ureq::Error) -> Fault {
    let unsent = matches!(error, ureq::Error::Other(other) if other.is::<Unsent>());
    match unsent {
        true => Fault::upstream("the CA can't be reached").code(NO_CONNECTION),
        false => unanswered(kind).code(NOT_WORKING),
    }
}

fn unanswered(kind: Kind) -> Fault {
    match kind {
        Kind::Question => Fault::upstream("the CA did not answer"),
        Kind::Order => Fault::unknown_outcome("the CA's answer did not arrive"),
    }
}
