//! [`CaHandler`], the one trait a vendor implements, with its request and reply types.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::fault::Fault;
use crate::host::Host;
use crate::push::{News, PushRequest};

/// A connector to one CA.
///
/// The host makes one value per configured handler with [`open`](Self::open) and drops it when the
/// handler is closed. In between, **all methods may be called from several threads at once**; they
/// may block, within the request's deadline. A panic is caught and becomes a fault.
///
/// `enroll` and `ca_certs_get` are what every CA has. The others are abilities: a plugin names those
/// it has in [`export_ca_handler!`](crate::export_ca_handler), and the host never calls one that is
/// not named.
pub trait CaHandler: Sized + Send + Sync + 'static {
    /// The handler's own configuration: the `[handlers.NAME.config]` table. Declare it with
    /// [`config!`](crate::config!), which refuses unknown keys and derives the JSON Schema that the
    /// plugin publishes.
    type Config: DeserializeOwned + JsonSchema;

    /// Makes a handler from its configuration. Reads files and keys, but need not reach the CA.
    ///
    /// # Errors
    /// [`Misconfigured`](crate::FaultClass::Misconfigured) with a sentence naming key and remedy.
    fn open(config: Self::Config, host: Host) -> Result<Self, Fault>;

    /// Asks the CA for one certificate.
    ///
    /// The host asks again under the same [`EnrollRequest::enrollment_id`] after a fault that says
    /// that nothing was issued. A call that was cut off (by a crash, a panic, the deadline) and one
    /// that answers [`UnknownOutcome`](crate::FaultClass::UnknownOutcome) may have led to a
    /// certificate, so it depends on the handler's abilities what the host does:
    /// - `idempotent`, a promise without a method: asked again under one id, the handler makes no
    ///   second certificate. The host asks again.
    /// - `stateless`, a promise without a method either: enrolling changes nothing anywhere, so that of
    ///   a call whose answer is lost nothing is left, as with a CA that signs with a key of its own and
    ///   keeps no list. The host asks again, and saves itself the journal's entry before the first call:
    ///   it writes down the certificate with all that led to it at once. Never for a CA that others can
    ///   ask what it has issued; with `poll`, `push` or `recover` the host takes no notice of it. Since
    ///   1.1; an older host does not know it, so `idempotent` goes with it.
    /// - `recover`: the host looks first what became of it.
    /// - With neither, the order waits for an operator, or the host asks again and revokes the
    ///   certificate that is one too many: `on_unknown` in the host's configuration.
    ///
    /// # Errors
    /// Transient classes are tried again under the same enrollment id, an unknown outcome is handled
    /// as said above, all others are final.
    fn enroll(&self, request: &EnrollRequest) -> Result<Enrollment, Fault>;

    /// The CA's certificates, the issuing CA first.
    ///
    /// # Errors
    /// Any; the host keeps serving the last good answer where it has one.
    fn ca_certs_get(&self) -> Result<CaCerts, Fault>;

    /// Asks what became of an enrollment that was answered with [`Enrollment::Pending`].
    /// Ability `poll`.
    ///
    /// # Errors
    /// A fault of any class leaves the enrollment pending; it is polled again. What the CA refused
    /// for good is [`Poll::Rejected`].
    fn poll(&self, request: &PollRequest) -> Result<Poll, Fault> {
        let _ = request;
        Err(Fault::unsupported("this handler does not poll"))
    }

    /// Looks up what became of an enrollment whose outcome is unknown, by its id. Ability `recover`.
    ///
    /// [`Recovery::NotFound`] promises that the CA has not issued and will not issue under this id:
    /// the host asks for the certificate again.
    ///
    /// # Errors
    /// A fault of any class leaves the outcome unknown; the host looks again.
    fn recover(&self, request: &RecoverRequest) -> Result<Recovery, Fault> {
        let _ = request;
        Err(Fault::unsupported("this handler does not recover"))
    }

    /// Revokes a certificate. Ability `revoke`.
    ///
    /// # Errors
    /// [`AlreadyRevoked`](crate::FaultClass::AlreadyRevoked) if it was revoked before.
    fn revoke(&self, request: &RevokeRequest) -> Result<(), Fault> {
        let _ = request;
        Err(Fault::unsupported("this handler does not revoke"))
    }

    /// Reads what the CA sent of its own accord, and says which enrollments have something new.
    /// Ability `push`. It comes by HTTP, from somebody who knows the handler's `push_secret`.
    ///
    /// # Errors
    /// `Malformed` or `Denied` if what was sent means nothing; the sender is told.
    fn push(&self, request: &PushRequest) -> Result<Vec<News>, Fault> {
        let _ = request;
        Err(Fault::unsupported("this handler takes no pushes"))
    }

    /// Whether the CA can be reached and would work, found out without changing anything there.
    /// Ability `health`. The host asks now and then and shows the answer to operators.
    ///
    /// # Errors
    /// What is wrong.
    fn health(&self) -> Result<(), Fault> {
        Err(Fault::unsupported("this handler can't tell its health"))
    }

    /// The CA's current revocation list. Ability `crl`. The host serves it at `/crl/NAME` and caches
    /// it until [`Crl::next_update`] draws near or a certificate is revoked.
    ///
    /// # Errors
    /// Any; the host keeps serving the last list until its `next_update`.
    fn crl(&self) -> Result<Crl, Fault> {
        Err(Fault::unsupported("this handler has no CRL"))
    }

    /// Looks for mistakes that parsing can't find (a file that is missing, a CA that is unknown)
    /// before the handler is opened. Ability `validate-config`. Changes nothing.
    fn validate_config(config: &Self::Config, host: &Host) -> Vec<ConfigNote> {
        let _ = (config, host);
        Vec::new()
    }
}

/// A name that the client has proved to control, or that policy grants it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Identifier {
    /// A DNS name in lower case, A-labels, no final dot; `*.` in front makes it a wildcard.
    Dns(String),
    /// An IP address.
    Ip(IpAddr),
    /// A kind this version of plugin-api does not know: its RFC name and its value.
    Other {
        /// The identifier's type, "email" for example.
        kind: String,
        /// Its value.
        value: String,
    },
}

/// The protocol a request came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Protocol {
    /// RFC 8555
    Acme,
    /// RFC 7030
    Est,
    /// The server itself, for its own TLS certificate.
    Internal,
    /// One that this version of plugin-api does not know.
    Other,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Requester {
    /// An ACME account.
    AcmeAccount {
        /// The account's id.
        account: String,
        /// The key identifier of its external account binding (RFC 8555 §7.3.4), if it has one.
        eab_key_id: Option<String>,
    },
    /// An EST user who gave a password.
    EstUser {
        /// The user's name.
        name: String,
    },
    /// An EST client that showed a certificate.
    ClientCertificate {
        /// The certificate, DER.
        #[cfg_attr(feature = "wire", serde(with = "crate::wire::bytes"))]
        certificate: Vec<u8>,
    },
    /// The server itself.
    Host,
    /// Somebody of a kind that this version of plugin-api does not know.
    Other {
        /// The name that the host has for them; may be empty.
        name: String,
    },
}

/// One request for one certificate.
///
/// Policy has been applied: the CSR's signature is good and it names exactly `identifiers`.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct EnrollRequest {
    /// Stable across retries and restarts, unique in this host: the idempotency key.
    pub enrollment_id: String,
    /// The PKCS #10 request, DER (RFC 2986).
    #[cfg_attr(feature = "wire", serde(with = "crate::wire::bytes"))]
    pub csr: Vec<u8>,
    /// The names that the certificate is to carry, no others. A name that only the CSR has is not
    /// authorised.
    pub identifiers: Vec<Identifier>,
    /// The profile asked for; `None` is the handler's default.
    pub profile: Option<String>,
    /// The start of validity asked for, whole seconds.
    #[cfg_attr(feature = "wire", serde(with = "crate::wire::optional_time"))]
    pub not_before: Option<SystemTime>,
    /// The last second of validity asked for (RFC 5280 §4.1.2.5: inclusive).
    #[cfg_attr(feature = "wire", serde(with = "crate::wire::optional_time"))]
    pub not_after: Option<SystemTime>,
    /// When the enrollment was first asked for, whole seconds; the same on every retry.
    #[cfg_attr(feature = "wire", serde(with = "crate::wire::time"))]
    pub requested_at: SystemTime,
    /// The protocol it came in by.
    pub protocol: Protocol,
    /// The ACME directory's or EST label's name.
    pub endpoint: String,
    /// Who asks.
    pub requester: Requester,
    /// The id under which the host logs the client's request.
    pub request_id: String,
    /// When the host stops waiting.
    #[cfg_attr(feature = "wire", serde(with = "crate::wire::time"))]
    pub deadline: SystemTime,
    /// Open-ended additions of later hosts. Ignore what you don't know.
    pub extras: BTreeMap<String, String>,
}

impl EnrollRequest {
    /// A request with the given id, CSR and names, and defaults for all else. Hosts and tests make
    /// requests; a handler only reads them.
    #[must_use]
    pub fn new(
        enrollment_id: impl Into<String>,
        csr: impl Into<Vec<u8>>,
        identifiers: Vec<Identifier>,
    ) -> Self {
        let now = whole_seconds(SystemTime::now());
        Self {
            enrollment_id: enrollment_id.into(),
            csr: csr.into(),
            identifiers,
            profile: None,
            not_before: None,
            not_after: None,
            requested_at: now,
            protocol: Protocol::Internal,
            endpoint: String::new(),
            requester: Requester::Host,
            request_id: String::new(),
            deadline: now + Duration::from_secs(30),
            extras: BTreeMap::new(),
        }
    }
}

fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

/// A certificate with the chain that leads towards its root.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
pub struct Chain {
    /// Certificates, DER: the end-entity certificate first, each one certified by the next. Issuers
    /// may be left out; the host completes the chain from [`CaHandler::ca_certs_get`].
    #[cfg_attr(feature = "wire", serde(with = "crate::wire::lists"))]
    pub certificates: Vec<Vec<u8>>,
    /// Other chains to other roots for the same end-entity certificate, each complete and
    /// beginning with it (RFC 8555 §7.4.2 `alternate`).
    #[cfg_attr(feature = "wire", serde(with = "crate::wire::chains"))]
    pub alternates: Vec<Vec<Vec<u8>>>,
}

impl Chain {
    /// A chain without alternates.
    #[must_use]
    pub fn new(certificates: Vec<Vec<u8>>) -> Self {
        Self {
            certificates,
            alternates: Vec::new(),
        }
    }
}

/// What became of an enrollment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Enrollment {
    /// Here it is.
    Issued(Chain),
    /// The CA takes its time.
    Pending {
        /// What the handler needs to find the request again; at most 4 KiB.
        poll_id: String,
        /// When to ask again; `None` leaves it to the host.
        retry_after: Option<Duration>,
    },
}

/// Asks after a pending enrollment.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct PollRequest {
    /// The enrollment's id, as in [`EnrollRequest::enrollment_id`].
    pub enrollment_id: String,
    /// What the handler answered last.
    pub poll_id: String,
    /// The PKCS #10 request, DER.
    #[cfg_attr(feature = "wire", serde(with = "crate::wire::bytes"))]
    pub csr: Vec<u8>,
    /// The id under which the host logs this poll.
    pub request_id: String,
    /// When the host stops waiting.
    #[cfg_attr(feature = "wire", serde(with = "crate::wire::time"))]
    pub deadline: SystemTime,
    /// Open-ended additions of later hosts.
    pub extras: BTreeMap<String, String>,
}

impl PollRequest {
    /// A poll with defaults for all else.
    #[must_use]
    pub fn new(
        enrollment_id: impl Into<String>,
        poll_id: impl Into<String>,
        csr: impl Into<Vec<u8>>,
    ) -> Self {
        Self {
            enrollment_id: enrollment_id.into(),
            poll_id: poll_id.into(),
            csr: csr.into(),
            request_id: String::new(),
            deadline: SystemTime::now() + Duration::from_secs(30),
            extras: BTreeMap::new(),
        }
    }
}

/// The answer to a poll.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Poll {
    /// Here it is.
    Issued(Chain),
    /// Not yet. The id may differ from the last; the host stores it before it uses it.
    Pending {
        /// What to poll with next.
        poll_id: String,
        /// When to ask again; `None` leaves it to the host.
        retry_after: Option<Duration>,
    },
    /// The CA refused for good; the order becomes invalid.
    Rejected {
        /// Why, for the client.
        reason: String,
    },
}

/// Asks what became of an enrollment whose outcome is unknown.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct RecoverRequest {
    /// The enrollment's id, as in [`EnrollRequest::enrollment_id`].
    pub enrollment_id: String,
    /// The PKCS #10 request, DER.
    #[cfg_attr(feature = "wire", serde(with = "crate::wire::bytes"))]
    pub csr: Vec<u8>,
    /// When the enrollment was first asked for, whole seconds.
    #[cfg_attr(feature = "wire", serde(with = "crate::wire::time"))]
    pub requested_at: SystemTime,
    /// The id under which the host logs this call.
    pub request_id: String,
    /// When the host stops waiting.
    #[cfg_attr(feature = "wire", serde(with = "crate::wire::time"))]
    pub deadline: SystemTime,
    /// Open-ended additions of later hosts.
    pub extras: BTreeMap<String, String>,
}

impl RecoverRequest {
    /// A look-up with defaults for all else.
    #[must_use]
    pub fn new(enrollment_id: impl Into<String>, csr: impl Into<Vec<u8>>) -> Self {
        let now = whole_seconds(SystemTime::now());
        Self {
            enrollment_id: enrollment_id.into(),
            csr: csr.into(),
            requested_at: now,
            request_id: String::new(),
            deadline: now + Duration::from_secs(30),
            extras: BTreeMap::new(),
        }
    }
}

/// What became of an enrollment whose outcome was unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Recovery {
    /// Here it is.
    Issued(Chain),
    /// The CA has the request and takes its time.
    Pending {
        /// What to poll with.
        poll_id: String,
        /// When to ask; `None` leaves it to the host.
        retry_after: Option<Duration>,
    },
    /// The CA refused for good; the order becomes invalid.
    Rejected {
        /// Why, for the client.
        reason: String,
    },
    /// The CA has no such request. The host asks for the certificate again.
    NotFound,
}

/// Why a certificate is revoked (RFC 5280 §5.3.1). 7 is unused there, so it can't be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum RevocationReason {
    /// No reason was given.
    Unspecified = 0,
    /// The subject's private key is, or may be, in other hands.
    KeyCompromise = 1,
    /// The CA's private key is.
    CaCompromise = 2,
    /// The subject's name or other data is no longer right.
    AffiliationChanged = 3,
    /// Another certificate has taken its place.
    Superseded = 4,
    /// It is no longer needed.
    CessationOfOperation = 5,
    /// Suspended for now.
    CertificateHold = 6,
    /// No longer suspended; for delta CRLs.
    RemoveFromCrl = 8,
    /// The subject may no longer do what the certificate says.
    PrivilegeWithdrawn = 9,
    /// An attribute authority's private key is in other hands.
    AaCompromise = 10,
}

impl RevocationReason {
    /// The reason with this CRLReason code, if there is one.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Unspecified,
            1 => Self::KeyCompromise,
            2 => Self::CaCompromise,
            3 => Self::AffiliationChanged,
            4 => Self::Superseded,
            5 => Self::CessationOfOperation,
            6 => Self::CertificateHold,
            8 => Self::RemoveFromCrl,
            9 => Self::PrivilegeWithdrawn,
            10 => Self::AaCompromise,
            _ => return None,
        })
    }

    /// The CRLReason code.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// Revokes one certificate.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct RevokeRequest {
    /// The certificate, DER.
    #[cfg_attr(feature = "wire", serde(with = "crate::wire::bytes"))]
    pub certificate: Vec<u8>,
    /// Why.
    pub reason: RevocationReason,
    /// When it was asked for, whole seconds.
    #[cfg_attr(feature = "wire", serde(with = "crate::wire::time"))]
    pub revoked_at: SystemTime,
    /// The id under which the host logs the client's request.
    pub request_id: String,
    /// When the host stops waiting.
    #[cfg_attr(feature = "wire", serde(with = "crate::wire::time"))]
    pub deadline: SystemTime,
    /// Open-ended additions of later hosts.
    pub extras: BTreeMap<String, String>,
}

impl RevokeRequest {
    /// A revocation with defaults for all else.
    #[must_use]
    pub fn new(certificate: impl Into<Vec<u8>>, reason: RevocationReason) -> Self {
        let now = whole_seconds(SystemTime::now());
        Self {
            certificate: certificate.into(),
            reason,
            revoked_at: now,
            request_id: String::new(),
            deadline: now + Duration::from_secs(30),
            extras: BTreeMap::new(),
        }
    }
}

/// A CA's certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
pub struct CaCerts {
    /// DER: the issuing CA first, then each next issuer, the root last if it is given.
    #[cfg_attr(feature = "wire", serde(with = "crate::wire::lists"))]
    pub certificates: Vec<Vec<u8>>,
}

/// A certificate revocation list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
pub struct Crl {
    /// The list, DER (RFC 5280 §5).
    #[cfg_attr(feature = "wire", serde(with = "crate::wire::bytes"))]
    pub der: Vec<u8>,
    /// Its nextUpdate: the host asks for a new one before then.
    #[cfg_attr(feature = "wire", serde(with = "crate::wire::time"))]
    pub next_update: SystemTime,
}

/// How bad a [`ConfigNote`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Severity {
    /// The handler can't be opened.
    Error,
    /// It can, but it probably is not what was meant.
    Warning,
    /// The CA does not accept it: a password, a name, a profile. The handler can be opened, and
    /// works once this is put right on either side. So `certdock check` fails, and a server that
    /// starts serves its other handlers.
    Remote,
}

/// A finding about a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ConfigNote {
    /// The key it is about, as a dotted path below the handler's `config` table; may be empty.
    pub key: String,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence: what is wrong and what to do.
    pub message: String,
}

impl ConfigNote {
    /// A finding that prevents the handler from being opened.
    #[must_use]
    pub fn error(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            severity: Severity::Error,
            message: message.into(),
        }
    }

    /// A finding that the CA made, or will make.
    #[must_use]
    pub fn remote(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Remote,
            ..Self::error(key, message)
        }
    }

    /// A finding to look at.
    #[must_use]
    pub fn warning(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            severity: Severity::Warning,
            message: message.into(),
        }
    }
}
