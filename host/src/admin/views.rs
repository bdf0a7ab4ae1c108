//! What the commands read and write, as JSON: the shapes of `/admin/v1`. Times are RFC 3339.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use certdock_plugin_api::{Protocol, RevocationReason};
use serde::{Deserialize, Serialize};

use crate::observe::audit;
use crate::order::{self, Failure, Progress};
use crate::store;
use crate::time::UnixTime;

/// Some of a listing. `next`, if it is there, is what to ask `after` for the rest.
#[derive(Debug, Serialize, Deserialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Account {
    pub id: String,
    pub endpoint: String,
    pub status: String,
    pub contacts: Vec<String>,
    pub terms_agreed: bool,
    /// RFC 7638, base64url.
    pub key_thumbprint: String,
    /// The external key it is bound to.
    pub external_key: Option<String>,
    pub created: String,
}

impl From<&store::Account> for Account {
    fn from(account: &store::Account) -> Self {
        Self {
            id: account.id.to_string(),
            endpoint: account.endpoint.to_string(),
            status: account.status.as_str().to_owned(),
            contacts: account.contacts.clone(),
            terms_agreed: account.terms_agreed,
            key_thumbprint: URL_SAFE_NO_PAD.encode(account.key.thumbprint.0),
            external_key: account.external_key.clone(),
            created: account.created.to_string(),
        }
    }
}

/// A key for external account binding, without its secret.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExternalKey {
    pub endpoint: String,
    pub id: String,
    pub created: String,
    pub revoked: Option<String>,
}

impl From<&store::ExternalKey> for ExternalKey {
    fn from(key: &store::ExternalKey) -> Self {
        Self {
            endpoint: key.endpoint.to_string(),
            id: key.id.clone(),
            created: key.created.to_string(),
            revoked: key.revoked.map(|at| at.to_string()),
        }
    }
}

/// Asks for a new external key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewExternalKey {
    pub endpoint: String,
    /// A random one if it is not given.
    pub id: Option<String>,
}

/// The answer to [`NewExternalKey`]: the only time that the secret is shown.
#[derive(Serialize, Deserialize)]
pub struct AddedExternalKey {
    pub endpoint: String,
    pub id: String,
    /// base64url, as clients take it.
    pub hmac_key: String,
}

/// A user of EST, without its password.
#[derive(Debug, Serialize, Deserialize)]
pub struct EstUser {
    pub name: String,
    /// valid, expired, or used: a one-time password that got its certificate, or is getting it.
    pub status: String,
    pub once: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Names and patterns that it may ask for.
    pub names: Vec<String>,
    /// Labels that it may ask; none means all.
    pub labels: Vec<String>,
    pub created: String,
}

impl EstUser {
    #[must_use]
    pub fn new(user: &store::EstUser, now: UnixTime) -> Self {
        let status = if user.used_by.is_some() {
            "used"
        } else if user.expires.is_some_and(|expires| now >= expires) {
            "expired"
        } else {
            "valid"
        };
        Self {
            name: user.name.clone(),
            status: status.to_owned(),
            once: user.once,
            expires: user.expires.map(|at| at.to_string()),
            names: user.names.iter().map(ToString::to_string).collect(),
            labels: user.labels.iter().map(ToString::to_string).collect(),
            created: user.created.to_string(),
        }
    }
}

/// Asks for a new user of EST.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewEstUser {
    pub name: String,
    /// One is made if it is not given.
    pub password: Option<String>,
    #[serde(default)]
    pub once: bool,
    pub expires: Option<String>,
    #[serde(default)]
    pub names: Vec<String>,
    #[serde(default)]
    pub labels: Vec<String>,
    /// Whether it may take the place of a user of the same name.
    #[serde(default)]
    pub replace: bool,
}

/// The answer to [`NewEstUser`]: the only time that the password is shown, if it was made here.
#[derive(Serialize, Deserialize)]
pub struct AddedEstUser {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct RemovedEstUser {
    pub name: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    pub id: String,
    pub account: String,
    pub endpoint: String,
    pub status: String,
    pub identifiers: Vec<String>,
    pub created: String,
    pub expires: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Left out of listings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorizations: Vec<Authorization>,
    /// What the handler was asked. Left out of listings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enrollment: Option<Enrollment>,
}

impl Order {
    /// As it stands in a listing.
    #[must_use]
    pub fn new(
        order: &order::Order,
        authorizations: &[order::Authorization],
        now: UnixTime,
    ) -> Self {
        let (certificate, failure) = match &order.progress {
            Progress::Open | Progress::Processing { .. } => (None, None),
            Progress::Valid { certificate, .. } => (Some(certificate.to_string()), None),
            Progress::Invalid { failure, .. } => (None, Some(failure.clone())),
        };
        Self {
            id: order.id.to_string(),
            account: order.account.to_string(),
            endpoint: order.endpoint.to_string(),
            status: order.status(authorizations, now).as_str().to_owned(),
            identifiers: order.identifiers.iter().map(ToString::to_string).collect(),
            created: order.created.to_string(),
            expires: order.expires.to_string(),
            not_before: order.not_before.map(|at| at.to_string()),
            not_after: order.not_after.map(|at| at.to_string()),
            certificate,
            failure,
            authorizations: Vec::new(),
            enrollment: None,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Authorization {
    pub id: String,
    pub identifier: String,
    pub status: String,
    pub expires: String,
    /// Why it is invalid, from the challenge that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

impl Authorization {
    #[must_use]
    pub fn new(authorization: &order::Authorization, now: UnixTime) -> Self {
        let failure =
            authorization
                .challenges
                .iter()
                .find_map(|challenge| match &challenge.state {
                    order::ChallengeState::Invalid { failure, .. } => Some(failure.clone()),
                    _ => None,
                });
        Self {
            id: authorization.id.to_string(),
            identifier: authorization.identifier().to_string(),
            status: authorization.status(now).as_str().to_owned(),
            expires: authorization.expires.to_string(),
            failure,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Enrollment {
    pub id: String,
    /// acme or est; internal for the server's own certificate.
    pub protocol: String,
    /// The ACME endpoint or the EST label.
    pub endpoint: String,
    pub handler: String,
    /// The account or the user.
    pub requester: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    pub identifiers: Vec<String>,
    /// asked, deferred (the CA is asked again), held (an operator must decide), pending (the CA takes
    /// its time), received (issued, without a chain by now), issued or failed.
    pub state: String,
    pub attempts: u32,
    pub requested_at: String,
    /// Why it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<String>,
    /// When the handler is called next, while it is unfinished and not held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll_id: Option<String>,
    pub request_id: String,
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Acme => "acme",
        Protocol::Est => "est",
        Protocol::Internal => "internal",
        _ => "other",
    }
}

impl From<&store::Enrollment> for Enrollment {
    fn from(enrollment: &store::Enrollment) -> Self {
        use store::EnrollmentState as S;
        let (state, is_called, is_finished) = match enrollment.state {
            S::Requested => ("asked", true, false),
            S::Deferred => ("deferred", true, false),
            S::Held => ("held", false, false),
            S::Pending { .. } => ("pending", true, false),
            S::Received { .. } => ("received", true, false),
            S::Issued { .. } => ("issued", false, true),
            S::Failed { .. } => ("failed", false, true),
        };
        let waiting = enrollment.waiting.as_ref().filter(|_| !is_finished);
        let poll_id = match &enrollment.state {
            S::Pending { poll_id } => Some(poll_id.clone()),
            _ => None,
        };
        Self {
            id: enrollment.id.to_string(),
            protocol: protocol(enrollment.protocol).to_owned(),
            endpoint: enrollment.endpoint.to_string(),
            handler: enrollment.handler.to_string(),
            requester: audit::requester(&enrollment.requester),
            order: enrollment.order.map(|order| order.to_string()),
            identifiers: enrollment
                .identifiers
                .iter()
                .map(ToString::to_string)
                .collect(),
            state: state.to_owned(),
            attempts: enrollment.attempts,
            requested_at: enrollment.requested_at.to_string(),
            waiting_for: waiting.map(|waiting| waiting.reason.clone()),
            waiting_since: waiting.map(|waiting| waiting.since.to_string()),
            next_attempt: is_called.then(|| enrollment.next_attempt.to_string()),
            poll_id,
            request_id: enrollment.request_id.clone(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Certificate {
    pub id: String,
    /// valid, not-yet-valid, expired, revoked, revocation-pending, or withheld: failed the server's
    /// checks, or was one too many, and was never delivered.
    pub status: String,
    pub names: Vec<String>,
    /// Hexadecimal.
    pub serial: String,
    /// SHA-256, hexadecimal.
    pub fingerprint: String,
    pub not_before: String,
    pub not_after: String,
    pub issued_at: String,
    pub endpoint: String,
    pub handler: String,
    pub account: Option<String>,
    pub revoked: Option<Revocation>,
    /// A revocation that the CA has not confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_revocation: Option<OpenRevocation>,
    /// The certificate with its issuers. Left out of listings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pem: Option<String>,
}

impl Certificate {
    /// As it stands in a listing.
    #[must_use]
    pub fn new(
        certificate: &store::Certificate,
        open_revocation: Option<&store::OpenRevocation>,
        now: UnixTime,
    ) -> Self {
        let is_pending = open_revocation
            .is_some_and(|revocation| revocation.state != store::RevocationState::Refused);
        let status = if is_pending {
            "revocation-pending"
        } else if certificate.withheld {
            "withheld"
        } else if certificate.revocation.is_some() {
            "revoked"
        } else if now > certificate.not_after {
            "expired"
        } else if now < certificate.not_before {
            "not-yet-valid"
        } else {
            "valid"
        };
        Self {
            id: certificate.id.to_string(),
            status: status.to_owned(),
            names: certificate.names.clone(),
            serial: hex(&certificate.serial),
            fingerprint: hex(&certificate.fingerprint),
            not_before: certificate.not_before.to_string(),
            not_after: certificate.not_after.to_string(),
            issued_at: certificate.issued_at.to_string(),
            endpoint: certificate.endpoint.to_string(),
            handler: certificate.handler.to_string(),
            account: certificate.account.map(|id| id.to_string()),
            revoked: certificate.revocation.map(|revocation| Revocation {
                at: revocation.at.to_string(),
                reason: reason_name(revocation.reason).to_owned(),
            }),
            open_revocation: open_revocation.map(OpenRevocation::from),
            pem: None,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Revocation {
    pub at: String,
    pub reason: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct OpenRevocation {
    /// accepted, sent, or refused by the CA after it was accepted.
    pub state: String,
    pub since: String,
    pub reason: String,
    pub attempts: u32,
    /// What the CA said last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// When the CA is asked next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt: Option<String>,
}

impl From<&store::OpenRevocation> for OpenRevocation {
    fn from(revocation: &store::OpenRevocation) -> Self {
        let goes_on = revocation.state != store::RevocationState::Refused;
        Self {
            state: revocation.state.as_str().to_owned(),
            since: revocation.requested_at.to_string(),
            reason: reason_name(revocation.reason).to_owned(),
            attempts: revocation.attempts,
            problem: revocation.problem.clone(),
            next_attempt: goes_on.then(|| revocation.next_attempt.to_string()),
        }
    }
}

/// Asks for a revocation.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// As in [`REASONS`].
    pub reason: String,
}

/// A plugin's file in the plugins directory.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Plugin {
    pub file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// The plugin-api it was built with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Why it is trusted: "by its place", "pinned", "signed", "unchecked".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted: Option<String>,
    /// Of the file's bytes, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The handlers that are to use it.
    pub handlers: Vec<String>,
    /// The handlers that run it, in a running server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub generations: Vec<Generation>,
    /// It runs, and is not what lies in the plugins directory: that was exchanged or removed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub former: bool,
    /// Why it is not loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// What of a plugin runs for a handler.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Generation {
    pub handler: String,
    /// Counted from the server's start.
    pub generation: u64,
    /// "serving", "down", "draining": it has been replaced and has calls under way.
    pub state: String,
    pub since: String,
    pub version: String,
    pub sha256: String,
    /// The operator rolled back to it: the file in the plugins directory is left aside until it
    /// changes.
    pub rolled_back: bool,
    /// Why what was to replace it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// Any answer that is not what was asked for.
#[derive(Debug, Serialize, Deserialize)]
pub struct Error {
    /// One sentence for people.
    pub error: String,
}

/// Reasons for a revocation by the names of RFC 5280 §5.3.1, those an operator may give.
pub const REASONS: [(&str, RevocationReason); 7] = [
    ("unspecified", RevocationReason::Unspecified),
    ("keyCompromise", RevocationReason::KeyCompromise),
    ("cACompromise", RevocationReason::CaCompromise),
    ("affiliationChanged", RevocationReason::AffiliationChanged),
    ("superseded", RevocationReason::Superseded),
    (
        "cessationOfOperation",
        RevocationReason::CessationOfOperation,
    ),
    ("privilegeWithdrawn", RevocationReason::PrivilegeWithdrawn),
];

fn reason_name(reason: RevocationReason) -> &'static str {
    match reason {
        RevocationReason::CertificateHold => "certificateHold",
        RevocationReason::RemoveFromCrl => "removeFromCRL",
        RevocationReason::AaCompromise => "aACompromise",
        other => REASONS
            .iter()
            .find(|(_, reason)| *reason == other)
            .map_or("unspecified", |(name, _)| name),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
