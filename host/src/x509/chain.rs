//! Checking what a handler returned before anyone sees it, and completing its chain.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::time::UnixTime;
use crate::x509::cert_name::CertName;
use crate::x509::names::{Names, Place};
use crate::x509::signature::{self, SignatureError};

/// Clocks of a CA and of this host may differ by this much.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// No real chain is longer; also what ends a loop of issuers.
const LONGEST_CHAIN: usize = 10;

/// Why a certificate that a handler returned is not delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    #[error("the answer holds no certificate")]
    Empty,
    #[error("certificate {0} of the chain can't be read")]
    Unreadable(usize),
    #[error("the chain is longer than {LONGEST_CHAIN} certificates")]
    TooLong,
    #[error("the certificate's key is not the request's")]
    OtherKey,
    #[error("the certificate has the wrong names: {0}")]
    Names(String),
    #[error("the certificate is a CA's")]
    IsCa,
    #[error("the certificate is valid from {0} to {1}, which is not now or not what was asked for")]
    Validity(UnixTime, UnixTime),
    #[error("certificate {0} of the chain was not issued by the one after it: {1}")]
    BrokenLink(usize, &'static str),
    #[error("an alternate chain does not begin with the certificate")]
    OtherLeaf,
}

/// What is told of a certificate once it has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedCertificate {
    /// Big-endian, as in the certificate.
    pub serial: Vec<u8>,
    /// SHA-256 of the DER.
    pub fingerprint: [u8; 32],
    pub not_before: UnixTime,
    pub not_after: UnixTime,
}

impl IssuedCertificate {
    /// Reads what can be read of any certificate, good or not.
    #[must_use]
    pub fn read(der: &[u8]) -> Option<Self> {
        parse(der).map(|certificate| Self::of(&certificate, der))
    }

    /// Checks the end-entity certificate against what was asked for.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(
        der: &[u8],
        public_key: &[u8],
        asked: &[CertName],
        (not_before, not_after): (Option<UnixTime>, Option<UnixTime>),
        now: UnixTime,
    ) -> Result<Self, ChainError> {
        let certificate = parse(der).ok_or(ChainError::Unreadable(1))?;
        if certificate.public_key().raw != public_key {
            return Err(ChainError::OtherKey);
        }
        if certificate.is_ca() {
            return Err(ChainError::IsCa);
        }
        check_names(&certificate, asked).map_err(ChainError::Names)?;

        let issued = Self::of(&certificate, der);
        let earliest = not_before.unwrap_or(now).max(now).plus(SKEW);
        let begins = issued.not_before <= earliest;
        let goes_on = now <= issued.not_after;
        let ends = not_after.is_none_or(|asked| issued.not_after <= asked);
        if begins && goes_on && ends {
            Ok(issued)
        } else {
            Err(ChainError::Validity(issued.not_before, issued.not_after))
        }
    }

    fn of(certificate: &X509Certificate<'_>, der: &[u8]) -> Self {
        let validity = certificate.validity();
        Self {
            serial: certificate.raw_serial().to_vec(),
            fingerprint: sha256(der),
            not_before: UnixTime::from_secs(validity.not_before.timestamp()),
            not_after: UnixTime::from_secs(validity.not_after.timestamp()),
        }
    }
}

/// The public key of a certificate (SubjectPublicKeyInfo, DER), if it can be read.
#[must_use]
pub fn public_key_of(der: &[u8]) -> Option<Vec<u8>> {
    parse(der).map(|certificate| certificate.public_key().raw.to_vec())
}

fn check_names(certificate: &X509Certificate<'_>, asked: &[CertName]) -> Result<(), String> {
    names_of(certificate)?.check(&asked.iter().collect::<BTreeSet<_>>(), Place::Certificate)
}

/// Every name in a certificate's subject and subject alternative name.
///
/// # Errors
/// One that can't be read, or is of a kind that nobody can ask for.
pub fn certificate_names(certificate: &X509Certificate<'_>) -> Result<Vec<CertName>, String> {
    Ok(names_of(certificate)?.all().into_iter().collect())
}

fn names_of(certificate: &X509Certificate<'_>) -> Result<Names, String> {
    let mut names = Names::default();
    names.add_subject(certificate.subject())?;
    let mut alternatives = 0;
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(alternative) => {
                alternatives += 1;
                names.add_alternative(alternative)?;
            }
            _ if extension.oid == OID_X509_EXT_SUBJECT_ALT_NAME => {
                return Err("its subject alternative name can't be read".to_owned());
            }
            _ => {}
        }
    }
    if alternatives > 1 {
        return Err("it has more than one subject alternative name".to_owned());
    }
    Ok(names)
}

fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    rest.is_empty().then_some(certificate)
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(digest(&SHA256, bytes).as_ref()) {
        *to = *from;
    }
    out
}

/// Adds the issuers that a handler left out: from the last certificate of `chain` up, each found by
/// name among `ca_certificates`. A self-signed root is not added (RFC 8446 §4.4.2), nor taken away.
#[must_use]
pub fn complete(mut chain: Vec<Vec<u8>>, ca_certificates: &[Vec<u8>]) -> Vec<Vec<u8>> {
    while chain.len() < LONGEST_CHAIN {
        let Some(issuer) = chain.last().and_then(|der| issuer_of(der, ca_certificates)) else {
            break;
        };
        chain.push(issuer);
    }
    chain
}

/// The one of `ca_certificates`, a root perhaps, that has issued a certificate.
#[must_use]
pub fn certifier<'a>(der: &[u8], ca_certificates: &'a [Vec<u8>]) -> Option<&'a Vec<u8>> {
    let certificate = parse(der)?;
    ca_certificates.iter().find(|candidate| {
        parse(candidate).is_some_and(|issuer| check_link(&certificate, &issuer).is_ok())
    })
}

fn issuer_of(der: &[u8], ca_certificates: &[Vec<u8>]) -> Option<Vec<u8>> {
    let last = parse(der)?;
    if is_self_issued(&last) {
        return None;
    }
    ca_certificates
        .iter()
        .filter_map(|candidate| parse(candidate).map(|parsed| (candidate, parsed)))
        .find(|(_, parsed)| {
            parsed.subject().as_raw() == last.issuer().as_raw()
                && !is_self_issued(parsed)
                && check_link(&last, parsed).is_ok()
        })
        .map(|(candidate, _)| candidate.clone())
}

fn is_self_issued(certificate: &X509Certificate<'_>) -> bool {
    certificate.subject().as_raw() == certificate.issuer().as_raw()
}

fn check_link(
    certificate: &X509Certificate<'_>,
    issuer: &X509Certificate<'_>,
) -> Result<(), &'static str> {
    if certificate.issuer().as_raw() != issuer.subject().as_raw() {
        return Err("its issuer has another name");
    }
    if !issuer.is_ca() {
        return Err("its issuer is not a CA");
    }
    signature::verify(
        issuer.public_key(),
        &certificate.signature_algorithm,
        &certificate.signature_value,
        certificate.tbs_certificate.as_ref(),
    )
    .map_err(|error| match error {
        SignatureError::Algorithm => "its signature algorithm is unknown or too weak",
        SignatureError::Wrong => "its signature is not by its issuer's key",
    })
}

/// Checks the links of chains. The links among issuers are the same for every certificate of a CA, so
/// those found good are remembered; only the end-entity's link is new each time.
#[derive(Debug, Default)]
pub struct VerifiedIssuers(Mutex<HashSet<[u8; 32]>>);

impl VerifiedIssuers {
    /// Handlers have a handful of chains between them; this many means they are made up.
    const REMEMBERED: usize = 256;

    /// Checks that each certificate of `chain` was issued by the one after it.
    ///
    /// # Errors
    /// The first link that does not hold.
    pub fn check(&self, chain: &[Vec<u8>]) -> Result<(), ChainError> {
        let Some((leaf, issuers)) = chain.split_first() else {
            return Err(ChainError::Empty);
        };
        if chain.len() > LONGEST_CHAIN {
            return Err(ChainError::TooLong);
        }
        if let Some(issuer) = issuers.first() {
            check_der_link(1, leaf, issuer)?;
        }
        let fingerprint = sha256(&issuers.concat());
        if self.0.lock().contains(&fingerprint) {
            return Ok(());
        }
        for (place, pair) in (2..).zip(issuers.windows(2)) {
            if let [certificate, issuer] = pair {
                check_der_link(place, certificate, issuer)?;
            }
        }
        let mut remembered = self.0.lock();
        if remembered.len() >= Self::REMEMBERED {
            remembered.clear();
        }
        remembered.insert(fingerprint);
        Ok(())
    }
}

fn check_der_link(place: usize, certificate: &[u8], issuer: &[u8]) -> Result<(), ChainError> {
    let certificate = parse(certificate).ok_or(ChainError::Unreadable(place))?;
    let issuer = parse(issuer).ok_or(ChainError::Unreadable(place + 1))?;
    check_link(&certificate, &issuer).map_err(|why| ChainError::BrokenLink(place, why))
}

/// Whether this CA's key has signed the list.
pub(crate) fn signed_by(
    list: &CertificateRevocationList<'_>,
    issuer: &X509Certificate<'_>,
) -> bool {
    list.issuer().as_raw() == issuer.subject().as_raw()
        && signature::verify(
            issuer.public_key(),
            &list.signature_algorithm,
            &list.signature_value,
            list.tbs_cert_list.as_ref(),
        )
        .is_ok()
}
