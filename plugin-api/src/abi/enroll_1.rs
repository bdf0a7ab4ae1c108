//! `certdock.enroll/1`: asks the CA for one certificate. Every plugin has it.

use std::net::IpAddr;

use abi_stable::StableAbi;
use abi_stable::std_types::{ROption, RResult, RSlice, RStr, RString};

use super::extension::ExtensionTable;
use super::shim;
use super::text;
use super::types::{Handle, MAX_POLL_ID, Millis, Pair, Timestamp, WireChain, WireFault, unusable};
use crate::fault::Fault;
use crate::handler::{CaHandler, EnrollRequest, Enrollment, Identifier, Protocol, Requester};

/// The table.
#[repr(C)]
#[derive(StableAbi)]
pub struct Enroll {
    /// Idempotent under `request.enrollment_id`. What `request` borrows is valid until the call
    /// returns. `[any-thread]`
    pub enroll: unsafe extern "C" fn(
        instance: Handle,
        request: &EnrollIn<'_>,
    ) -> RResult<EnrollOut, WireFault>,
}

impl ExtensionTable for Enroll {
    const ID: &'static str = "certdock.enroll/1";
}

/// [`EnrollRequest`] on the wire.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct EnrollIn<'a> {
    /// The idempotency key.
    pub enrollment_id: RStr<'a>,
    /// PKCS #10, DER.
    pub csr: RSlice<'a, u8>,
    /// The authorised names: `dns` with the name, `ip` with the address as text, or an RFC's name
    /// for another kind.
    pub identifiers: RSlice<'a, Pair<'a>>,
    /// The profile asked for.
    pub profile: ROption<RStr<'a>>,
    /// The start of validity asked for.
    pub not_before: ROption<Timestamp>,
    /// The last second of validity asked for.
    pub not_after: ROption<Timestamp>,
    /// When it was first asked for.
    pub requested_at: Timestamp,
    /// The protocol it came in by.
    pub protocol: ProtocolCode,
    /// The name of the endpoint.
    pub endpoint: RStr<'a>,
    /// Who asks.
    pub requester: WireRequester<'a>,
    /// The id of the client's request in the host's log.
    pub request_id: RStr<'a>,
    /// When the host stops waiting.
    pub deadline: Timestamp,
    /// Open-ended additions.
    pub extras: RSlice<'a, Pair<'a>>,
}

/// A protocol. A code that the plugin does not know is [`Protocol::Other`].
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtocolCode(pub u32);

impl ProtocolCode {
    /// [`Protocol::Other`]
    pub const OTHER: Self = Self(0);
    /// [`Protocol::Acme`]
    pub const ACME: Self = Self(1);
    /// [`Protocol::Est`]
    pub const EST: Self = Self(2);
    /// [`Protocol::Internal`]
    pub const INTERNAL: Self = Self(3);
}

/// Who asks; which fields mean something depends on `kind`.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct WireRequester<'a> {
    /// What kind. A kind that the plugin does not know is [`Requester::Other`].
    pub kind: RequesterKind,
    /// The account's id or the user's name.
    pub name: RStr<'a>,
    /// An account's EAB key id.
    pub eab_key_id: ROption<RStr<'a>>,
    /// A client's certificate, DER.
    pub certificate: RSlice<'a, u8>,
}

/// What kind of [`WireRequester`].
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequesterKind(pub u32);

impl RequesterKind {
    /// [`Requester::Other`]
    pub const OTHER: Self = Self(0);
    /// [`Requester::AcmeAccount`]
    pub const ACME_ACCOUNT: Self = Self(1);
    /// [`Requester::EstUser`]
    pub const EST_USER: Self = Self(2);
    /// [`Requester::ClientCertificate`]
    pub const CLIENT_CERTIFICATE: Self = Self(3);
    /// [`Requester::Host`]
    pub const HOST: Self = Self(4);
}

/// [`Enrollment`] on the wire; which fields mean something depends on `status`.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct EnrollOut {
    /// What became of it.
    pub status: EnrollStatus,
    /// The chain, if issued.
    pub chain: WireChain,
    /// The poll id, if pending.
    pub poll_id: RString,
    /// When to ask again, if pending.
    pub retry_after: ROption<Millis>,
}

/// What became of an enrollment. The host refuses an answer with a code that it does not know.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnrollStatus(pub u32);

impl EnrollStatus {
    /// [`Enrollment::Issued`]
    pub const ISSUED: Self = Self(1);
    /// [`Enrollment::Pending`]
    pub const PENDING: Self = Self(2);
}

/// The table of handlers of type `H`.
pub(super) fn table<H: CaHandler>() -> &'static Enroll {
    &Enroll {
        enroll: enroll::<H>,
    }
}

unsafe extern "C" fn enroll<H: CaHandler>(
    instance: Handle,
    request: &EnrollIn<'_>,
) -> RResult<EnrollOut, WireFault> {
    let work = |handler: &H| handler.enroll(&request.to_request()?).map(EnrollOut::from);
    // SAFETY: the host calls the table with an open instance of the plugin it came from.
    unsafe { shim::call::<H, _>(instance, work) }
}

/// Calls the table.
///
/// # Safety
/// `instance` is open and of the plugin that `table` came from.
pub(super) unsafe fn send(
    table: &Enroll,
    instance: Handle,
    request: &EnrollRequest,
) -> Result<Enrollment, Fault> {
    let texts: Vec<(&str, String)> = request.identifiers.iter().map(identifier_out).collect();
    let identifiers = Pair::list(texts.iter().map(|(kind, value)| (*kind, value.as_str())));
    let extras = Pair::list(request.extras.iter().map(|(k, v)| (k.as_str(), v.as_str())));
    let wire = EnrollIn {
        enrollment_id: request.enrollment_id.as_str().into(),
        csr: request.csr.as_slice().into(),
        identifiers: identifiers.as_slice().into(),
        profile: request.profile.as_deref().map(RStr::from).into(),
        not_before: Timestamp::option(request.not_before),
        not_after: Timestamp::option(request.not_after),
        requested_at: request.requested_at.into(),
        protocol: match request.protocol {
            Protocol::Acme => ProtocolCode::ACME,
            Protocol::Est => ProtocolCode::EST,
            Protocol::Internal => ProtocolCode::INTERNAL,
            Protocol::Other => ProtocolCode::OTHER,
        },
        endpoint: request.endpoint.as_str().into(),
        requester: WireRequester::of(&request.requester),
        request_id: request.request_id.as_str().into(),
        deadline: request.deadline.into(),
        extras: extras.as_slice().into(),
    };
    // SAFETY: as the caller vouches; all that `wire` borrows outlives the call.
    let answer = unsafe { (table.enroll)(instance, &wire) };
    shim::result(answer)?.into_enrollment()
}

impl EnrollIn<'_> {
    fn to_request(self) -> Result<EnrollRequest, Fault> {
        let identifiers = self.identifiers.iter().map(identifier_in).collect();
        let mut request = EnrollRequest::new(self.enrollment_id, self.csr.as_slice(), identifiers);
        request.profile = self.profile.into_option().map(|p| p.to_string());
        request.not_before = Timestamp::from_option(self.not_before)?;
        request.not_after = Timestamp::from_option(self.not_after)?;
        request.requested_at = self.requested_at.to_system()?;
        request.protocol = match self.protocol {
            ProtocolCode::ACME => Protocol::Acme,
            ProtocolCode::EST => Protocol::Est,
            ProtocolCode::INTERNAL => Protocol::Internal,
            _ => Protocol::Other,
        };
        request.endpoint = self.endpoint.to_string();
        request.requester = self.requester.to_requester();
        request.request_id = self.request_id.to_string();
        request.deadline = self.deadline.to_system()?;
        request.extras = Pair::map(self.extras);
        Ok(request)
    }
}

impl<'a> WireRequester<'a> {
    fn of(requester: &'a Requester) -> Self {
        let mut wire = Self {
            kind: RequesterKind::OTHER,
            name: RStr::empty(),
            eab_key_id: ROption::RNone,
            certificate: RSlice::EMPTY,
        };
        match requester {
            Requester::AcmeAccount {
                account,
                eab_key_id,
            } => {
                wire.kind = RequesterKind::ACME_ACCOUNT;
                wire.name = account.as_str().into();
                wire.eab_key_id = eab_key_id.as_deref().map(RStr::from).into();
            }
            Requester::EstUser { name } => {
                wire.kind = RequesterKind::EST_USER;
                wire.name = name.as_str().into();
            }
            Requester::ClientCertificate { certificate } => {
                wire.kind = RequesterKind::CLIENT_CERTIFICATE;
                wire.certificate = certificate.as_slice().into();
            }
            Requester::Host => wire.kind = RequesterKind::HOST,
            Requester::Other { name } => wire.name = name.as_str().into(),
        }
        wire
    }

    fn to_requester(self) -> Requester {
        let name = || self.name.to_string();
        match self.kind {
            RequesterKind::ACME_ACCOUNT => Requester::AcmeAccount {
                account: name(),
                eab_key_id: self.eab_key_id.into_option().map(|id| id.to_string()),
            },
            RequesterKind::EST_USER => Requester::EstUser { name: name() },
            RequesterKind::CLIENT_CERTIFICATE => Requester::ClientCertificate {
                certificate: self.certificate.to_vec(),
            },
            RequesterKind::HOST => Requester::Host,
            _ => Requester::Other { name: name() },
        }
    }
}

fn identifier_out(identifier: &Identifier) -> (&str, String) {
    match identifier {
        Identifier::Dns(name) => ("dns", name.clone()),
        Identifier::Ip(address) => ("ip", address.to_string()),
        Identifier::Other { kind, value } => (kind, value.clone()),
    }
}

fn identifier_in(pair: &Pair<'_>) -> Identifier {
    let value = pair.value.as_str();
    match (pair.name.as_str(), value.parse::<IpAddr>()) {
        ("dns", _) => Identifier::Dns(value.to_owned()),
        ("ip", Ok(address)) => Identifier::Ip(address),
        (kind, _) => Identifier::Other {
            kind: kind.to_owned(),
            value: value.to_owned(),
        },
    }
}

impl From<Enrollment> for EnrollOut {
    fn from(enrollment: Enrollment) -> Self {
        match enrollment {
            Enrollment::Issued(chain) => Self {
                status: EnrollStatus::ISSUED,
                chain: chain.into(),
                poll_id: RString::new(),
                retry_after: ROption::RNone,
            },
            Enrollment::Pending {
                poll_id,
                retry_after,
            } => Self {
                status: EnrollStatus::PENDING,
                chain: WireChain::default(),
                poll_id: poll_id.into(),
                retry_after: Millis::option(retry_after),
            },
        }
    }
}

impl EnrollOut {
    pub(super) fn into_enrollment(self) -> Result<Enrollment, Fault> {
        match self.status {
            EnrollStatus::ISSUED => Ok(Enrollment::Issued(self.chain.into_chain()?)),
            EnrollStatus::PENDING => Ok(Enrollment::Pending {
                poll_id: poll_id_in(&self.poll_id)?,
                retry_after: Millis::from_option(self.retry_after),
            }),
            EnrollStatus(other) => Err(unusable(&format!("enrollment status {other}"))),
        }
    }
}

/// # Errors
/// `Internal` if the id is too long to be stored, or no text.
pub(super) fn poll_id_in(poll_id: &RString) -> Result<String, Fault> {
    if poll_id.len() > MAX_POLL_ID {
        return Err(unusable(&format!("a poll id of {} bytes", poll_id.len())));
    }
    let text = text::whole(poll_id).ok_or_else(|| unusable("a poll id that is not UTF-8"))?;
    Ok(text.to_owned())
}
