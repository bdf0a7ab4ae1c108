//! What the store's verbs take and give, beside the types of [`crate::order`].

use certdock_plugin_api::{Chain, Protocol, Requester, RevocationReason};
use zeroize::Zeroizing;

use crate::ids::{AccountId, CertificateId, EndpointName, EnrollmentId, HandlerName, OrderId};
use crate::order::Failure;
use crate::time::UnixTime;
use crate::x509::CertName;
use crate::x509::NamePattern;

/// SHA-256 of a JWK's canonical form (RFC 7638).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Thumbprint(pub [u8; 32]);

/// An account's public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountKey {
    /// The JWK as JSON: its required members only, in canonical form (RFC 7638 §3).
    pub jwk: String,
    pub thumbprint: Thumbprint,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountStatus {
    Valid,
    Deactivated,
    Revoked,
}

impl AccountStatus {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Deactivated => "deactivated",
            Self::Revoked => "revoked",
        }
    }
}

/// RFC 8555 §7.1.2. An account belongs to one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub id: AccountId,
    pub endpoint: EndpointName,
    pub key: AccountKey,
    pub contacts: Vec<String>,
    pub terms_agreed: bool,
    pub status: AccountStatus,
    /// The id of the external key it is bound to.
    pub external_key: Option<String>,
    /// The binding's JWS as the client sent it, echoed in the account object (RFC 8555 §7.1.2).
    pub external_binding: Option<String>,
    pub created: UnixTime,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountCreation {
    Created,
    /// The key has this account already.
    Exists(Account),
    /// The external key is unknown or revoked by now.
    NoSuchExternalKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyChange {
    Changed,
    /// Another account at the endpoint has the new key.
    InUse(AccountId),
    /// The account's key is not the old one any more, or the account is not live.
    Stale,
}

/// A key for external account binding.
#[derive(Clone)]
pub struct ExternalKey {
    pub endpoint: EndpointName,
    pub id: String,
    pub secret: Zeroizing<Vec<u8>>,
    pub created: UnixTime,
    pub revoked: Option<UnixTime>,
}

/// Somebody who may ask EST labels for certificates, with a password (RFC 7030 §3.2.3).
#[derive(Clone)]
pub struct EstUser {
    pub name: String,
    /// An Argon2id hash, in PHC's form.
    pub password: String,
    /// Whether the password is good for one certificate.
    pub once: bool,
    pub expires: Option<UnixTime>,
    /// Names that it may ask for.
    pub names: Vec<NamePattern>,
    /// The labels that it may ask; none means all.
    pub labels: Vec<EndpointName>,
    pub created: UnixTime,
    /// The enrollment that used a one-time password up.
    pub used_by: Option<EnrollmentId>,
}

/// One request to a handler for one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrollment {
    pub id: EnrollmentId,
    pub order: Option<OrderId>,
    /// Pinned when it began: a change of configuration does not move it.
    pub handler: HandlerName,
    pub profile: Option<String>,
    pub protocol: Protocol,
    pub endpoint: EndpointName,
    pub requester: Requester,
    /// DER
    pub csr: Vec<u8>,
    pub identifiers: Vec<CertName>,
    pub not_before: Option<UnixTime>,
    pub not_after: Option<UnixTime>,
    pub requested_at: UnixTime,
    pub request_id: String,
    /// SHA-256 of the CSR's public key (SubjectPublicKeyInfo), by which a certificate that the CA sends
    /// finds its enrollment.
    pub key_hash: [u8; 32],
    /// Calls made so far that ended in a fault or in "pending".
    pub attempts: u32,
    /// When to call next, while unfinished.
    pub next_attempt: UnixTime,
    pub state: EnrollmentState,
    /// Why it waits, once it does.
    pub waiting: Option<Waiting>,
    /// Whether the outcome of a call was unknown at any time: a second certificate may turn up.
    pub doubtful: bool,
}

/// Why an enrollment waits, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub since: UnixTime,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnrollmentState {
    /// The handler is being asked, or was when the call was cut off: nobody knows what became of it.
    Requested,
    /// The handler has issued nothing for it and is asked again.
    Deferred,
    /// What became of the call is unknown, and somebody must say how it goes on: an operator, or the CA
    /// by sending the certificate.
    Held,
    /// The CA takes its time: the handler said so.
    Pending {
        poll_id: String,
    },
    /// Issued; the chain to it can't be completed yet.
    Received {
        chain: Chain,
    },
    Issued {
        certificate: CertificateId,
    },
    Failed {
        failure: Failure,
    },
}

/// Tells one EST request from all others: a hash of who asks, where, for what, and of the CSR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestKey(pub [u8; 32]);

/// An EST request, as it is stored with its enrollment.
#[derive(Clone, Debug)]
pub struct EstRequest {
    pub key: RequestKey,
    /// The enrollment that the same request began before, if this one takes its place: nobody can use
    /// a certificate for its key any more.
    pub replaces: Option<EnrollmentId>,
    /// Requests that have been answered meanwhile, to be forgotten on this occasion.
    pub answered: Vec<RequestKey>,
}

/// How an unfinished enrollment goes on.
#[derive(Clone, Debug)]
pub struct Pause {
    /// An unfinished one.
    pub state: EnrollmentState,
    pub attempts: u32,
    pub next_attempt: UnixTime,
    pub waiting: Waiting,
    pub doubtful: bool,
}

/// A revocation that the CA has not confirmed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRevocation {
    pub certificate: CertificateId,
    pub handler: HandlerName,
    pub reason: RevocationReason,
    pub requested_at: UnixTime,
    pub request_id: String,
    pub state: RevocationState,
    pub attempts: u32,
    /// When the CA is asked next, unless it refused.
    pub next_attempt: UnixTime,
    /// What the CA said last.
    pub problem: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationState {
    /// Who asked was told that it will be done.
    Accepted,
    /// The CA is being asked, or was when the call was cut off.
    Sent,
    /// The CA said no, and it is too late to tell who asked.
    Refused,
}

impl RevocationState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Sent => "sent",
            Self::Refused => "refused",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    pub at: UnixTime,
    pub reason: RevocationReason,
}

/// A certificate with its chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    pub id: CertificateId,
    pub enrollment: EnrollmentId,
    pub account: Option<AccountId>,
    pub endpoint: EndpointName,
    pub handler: HandlerName,
    /// Big-endian, as in the certificate.
    pub serial: Vec<u8>,
    /// SHA-256 of the end-entity certificate.
    pub fingerprint: [u8; 32],
    pub names: Vec<String>,
    pub not_before: UnixTime,
    pub not_after: UnixTime,
    pub issued_at: UnixTime,
    /// DER, the end-entity certificate.
    pub der: Vec<u8>,
    /// DER, its issuers in order, without itself.
    pub issuers: Vec<Vec<u8>>,
    /// Other chains of issuers for the same certificate, without itself.
    pub alternates: Vec<Vec<Vec<u8>>>,
    pub revocation: Option<Revocation>,
    /// Failed the host's checks: kept for the operator, never delivered.
    pub withheld: bool,
}
