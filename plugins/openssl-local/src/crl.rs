//! [`build`]: the CA's revocation list (RFC 5280 §5).

use std::time::{Duration, UNIX_EPOCH};

use certdock_plugin_api::{Crl, Fault, Host};
use der::asn1::{AnyRef, Uint};
use der::{Decode, Encode, EncodeValue, FixedTag, Tag};
use serde::{Deserialize, Serialize};
use x509_cert::AlgorithmIdentifier;
use x509_cert::certificate::Version;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{CrlNumber, CrlReason};
use x509_cert::time::Time;

use crate::authority::Authority;
use crate::certificate::{authority_key_identifier, extension, seconds, sign, time, unencodable};
use crate::revocation::{self, Revocation};

/// Makes the next list, good for `validity` seconds.
pub(crate) fn build(authority: &Authority, host: &Host, validity: u64) -> Result<Crl, Fault> {
    let Turn {
        number,
        this_update,
        listed,
        outlived,
    } = take_turn(host, validity)?;
    let next_update = this_update + validity;
    let der = encode(authority, number, (this_update, next_update), &listed)?;
    // What stays behind now is taken away the next time.
    for serial in outlived.iter().take(FORGOTTEN_AT_ONCE) {
        if let Err(fault) = revocation::forget(&**host, serial) {
            host.warn(
                "could not remove an old revocation",
                &[("fault", &fault.to_string())],
            );
            break;
        }
    }
    Ok(Crl {
        der,
        next_update: UNIX_EPOCH + Duration::from_secs(next_update),
    })
}

/// The right to make the list of one number.
struct Turn {
    number: u64,
    this_update: u64,
    listed: Vec<(Vec<u8>, Revocation)>,
    /// Serial numbers that no list needs to carry any more.
    outlived: Vec<Vec<u8>>,
}

/// The last list that was made, as it is stored.
#[derive(Serialize, Deserialize)]
struct Last {
    number: u64,
    this_update: u64,
}

/// Takes the next number. The revocations are read between reading the last number and taking the
/// next one, so that a list with a higher number never knows less, whichever host made it.
fn take_turn(host: &Host, validity: u64) -> Result<Turn, Fault> {
    for _ in 0..TURNS {
        let stored = host.state_get(LAST)?;
        let last: Option<Last> = stored
            .as_ref()
            .map(|stored| serde_json::from_slice(&stored.value))
            .transpose()
            .map_err(unkept)?;
        let this_update = seconds(host.now());
        let (listed, outlived): (Vec<_>, Vec<_>) = revocation::all(&**host)?
            .into_iter()
            .partition(|(_, revocation)| needed(revocation, last.as_ref(), this_update, validity));
        let number = last.map_or(1, |last| last.number + 1);
        let value = serde_json::to_vec(&Last {
            number,
            this_update,
        })
        .map_err(unkept)?;
        let expected = stored.map(|stored| stored.version);
        if host
            .state_compare_and_swap(LAST, expected, &value)?
            .is_some()
        {
            let outlived = outlived.into_iter().map(|(serial, _)| serial).collect();
            return Ok(Turn {
                number,
                this_update,
                listed,
                outlived,
            });
        }
    }
    Err(Fault::busy(
        "too many hosts are making a CRL of this CA at once",
    ))
}

/// RFC 5280 §3.3: an entry stays until a list made after the certificate's end has carried it. One
/// that was made just then may never have been published, so another has to follow, as one does
/// within a list's validity.
fn needed(revocation: &Revocation, last: Option<&Last>, now: u64, validity: u64) -> bool {
    let end = revocation.expires.saturating_add(validity);
    last.is_none_or(|last| last.this_update.min(now) <= end)
}

fn encode(
    authority: &Authority,
    number: u64,
    (this_update, next_update): (u64, u64),
    listed: &[(Vec<u8>, Revocation)],
) -> Result<Vec<u8>, Fault> {
    let mut revoked = Vec::with_capacity(listed.len());
    for (serial, revocation) in listed {
        revoked.push(RevokedCertificate {
            serial_number: Uint::new(serial).map_err(unencodable)?,
            revocation_date: time(revocation.revoked_at)?,
            extensions: reason(revocation.reason).map_err(unencodable)?,
        });
    }
    let (this_update, next_update) = (time(this_update)?, time(next_update)?);
    let encode = || -> der::Result<Vec<u8>> {
        TbsCertList {
            version: Version::V2,
            signature: authority.key.algorithm(),
            issuer: AnyRef::from_der(&authority.facts.subject)?,
            this_update,
            next_update,
            // RFC 5280 §5.1.2.6: absent rather than empty.
            revoked: (!revoked.is_empty()).then_some(revoked),
            extensions: vec![
                extension(
                    false,
                    &authority_key_identifier(&authority.facts.key_identifier)?,
                )?,
                extension(false, &CrlNumber(Uint::try_from(number)?))?,
            ],
        }
        .to_der()
    };
    sign(&encode().map_err(unencodable)?, &authority.key)
}

/// The reason as an entry's extensions. RFC 5280 §5.3.1: no entry says "unspecified".
fn reason(code: u8) -> der::Result<Option<Vec<Extension>>> {
    let reason = match code {
        1 => CrlReason::KeyCompromise,
        2 => CrlReason::CaCompromise,
        3 => CrlReason::AffiliationChanged,
        4 => CrlReason::Superseded,
        5 => CrlReason::CessationOfOperation,
        6 => CrlReason::CertificateHold,
        9 => CrlReason::PrivilegeWithdrawn,
        10 => CrlReason::AaCompromise,
        _ => return Ok(None),
    };
    Ok(Some(vec![extension(false, &reason)?]))
}

/// RFC 5280 §5.1.2. x509-cert's own type takes the issuer apart and may put it together otherwise.
#[derive(EncodeValue)]
struct TbsCertList<'a> {
    version: Version,
    signature: &'a AlgorithmIdentifier,
    issuer: AnyRef<'a>,
    this_update: Time,
    next_update: Time,
    revoked: Option<Vec<RevokedCertificate>>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    extensions: Vec<Extension>,
}

impl FixedTag for TbsCertList<'_> {
    const TAG: Tag = Tag::Sequence;
}

/// RFC 5280 §5.1.2.6
#[derive(EncodeValue)]
struct RevokedCertificate {
    serial_number: Uint,
    revocation_date: Time,
    extensions: Option<Vec<Extension>>,
}

impl FixedTag for RevokedCertificate {
    const TAG: Tag = Tag::Sequence;
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn unkept(error: serde_json::Error) -> Fault {
    Fault::internal("the stored CRL number can't be read or written").private(error.to_string())
}

const LAST: &str = "crl/last";

/// How often another host may be faster.
const TURNS: usize = 64;

/// Each costs a durable write.
const FORGOTTEN_AT_ONCE: usize = 100;
