//! [`Draft`]: a certificate before it is signed, whoever's it is, encoded to the letter of
//! RFC 5280 §4.1. Issuer, subject and public key are taken over as the bytes they came in.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use certdock_plugin_api::Fault;
use der::asn1::{Any, AnyRef, BitString, OctetString, PrintableStringRef, SetOfVec, Utf8StringRef};
use der::oid::{AssociatedOid, ObjectIdentifier};
use der::{DateTime, Decode, Encode, EncodeValue, FixedTag, Tag};
use openssl::sha::sha256;
use x509_cert::AlgorithmIdentifier;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::certificate::Version;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, SubjectKeyIdentifier};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::SubjectPublicKeyInfoRef;
use x509_cert::time::{Time, Validity};

use crate::key::SigningKey;

/// All of a certificate but its serial number and signature.
pub(crate) struct Draft<'a> {
    /// The issuer's `Name`, DER.
    pub(crate) issuer: &'a [u8],
    /// The subject's `Name`, DER.
    pub(crate) subject: &'a [u8],
    /// Seconds since 1970, both inclusive.
    pub(crate) not_before: u64,
    pub(crate) not_after: u64,
    /// The `SubjectPublicKeyInfo`, DER.
    pub(crate) public_key: &'a [u8],
    pub(crate) extensions: Vec<Extension>,
}

impl Draft<'_> {
    /// Numbers and signs the certificate. `serial` is told the content that it numbers.
    pub(crate) fn sign(
        self,
        key: &SigningKey,
        serial: impl FnOnce(&[u8]) -> Result<SerialNumber, Fault>,
    ) -> Result<Vec<u8>, Fault> {
        let mut tbs = TbsCertificate {
            version: Version::V3,
            serial_number: SerialNumber::new(&[1]).map_err(unencodable)?,
            signature: key.algorithm(),
            issuer: AnyRef::from_der(self.issuer).map_err(unencodable)?,
            validity: Validity::new(time(self.not_before)?, time(self.not_after)?),
            subject: AnyRef::from_der(self.subject).map_err(unencodable)?,
            public_key: AnyRef::from_der(self.public_key).map_err(unencodable)?,
            extensions: self.extensions,
        };
        tbs.serial_number = serial(&tbs.to_der().map_err(unencodable)?)?;
        sign(&tbs.to_der().map_err(unencodable)?, key)
    }
}

/// Signs what is to be signed of a certificate or a CRL, and puts the parts together.
pub(crate) fn sign(content: &[u8], key: &SigningKey) -> Result<Vec<u8>, Fault> {
    let signed = Signed {
        content: AnyRef::from_der(content).map_err(unencodable)?,
        algorithm: key.algorithm(),
        signature: key.sign(content)?,
    };
    signed.to_der().map_err(unencodable)
}

/// A `Name` of these attributes, each its own RDN, as UTF8String (RFC 5280 §4.1.2.4), or as
/// PrintableString where X.520 leaves no choice.
pub(crate) fn name(attributes: &[(ObjectIdentifier, &str)]) -> der::Result<Vec<u8>> {
    let mut sequence = Vec::new();
    for (oid, text) in attributes {
        let value = if *oid == SERIAL_NUMBER {
            Any::encode_from(&PrintableStringRef::new(text)?)?
        } else {
            Any::encode_from(&Utf8StringRef::new(text)?)?
        };
        sequence.push(SetOfVec::try_from([AttributeTypeAndValue {
            oid: *oid,
            value,
        }])?);
    }
    sequence.to_der()
}

/// An extension of a type that knows its OID.
pub(crate) fn extension<T: AssociatedOid + Encode>(
    critical: bool,
    value: &T,
) -> der::Result<Extension> {
    Ok(Extension {
        extn_id: T::OID,
        critical,
        extn_value: OctetString::new(value.to_der()?)?,
    })
}

/// RFC 5280 §4.2.1.2, with the hash of RFC 7093 §2 (1) in the place of SHA-1.
pub(crate) fn subject_key_identifier(public_key: &[u8]) -> der::Result<SubjectKeyIdentifier> {
    let public_key = SubjectPublicKeyInfoRef::from_der(public_key)?;
    let hash = sha256(public_key.subject_public_key.raw_bytes());
    Ok(SubjectKeyIdentifier(OctetString::new(
        hash.get(..20).unwrap_or(&hash),
    )?))
}

/// RFC 5280 §4.2.1.1
pub(crate) fn authority_key_identifier(
    key_identifier: &[u8],
) -> der::Result<AuthorityKeyIdentifier> {
    Ok(AuthorityKeyIdentifier {
        key_identifier: Some(OctetString::new(key_identifier)?),
        ..AuthorityKeyIdentifier::default()
    })
}

/// A time as certificates and CRLs write it: UTCTime through 2049 (RFC 5280 §4.1.2.5).
pub(crate) fn time(seconds: u64) -> Result<Time, Fault> {
    DateTime::from_unix_duration(Duration::from_secs(seconds))
        .map(Time::from)
        .map_err(|_| {
            Fault::malformed("a date is out of range: certificates end with the year 9999")
        })
}

/// Whole seconds since 1970; the fraction is cut off.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
pub(crate) fn unencodable(error: der::Error) -> Fault {
    Fault::internal("the CA could not encode a certificate").private(error.to_string())
}

/// RFC 5280 §4.1.2. x509-cert's own type takes names apart and may put them together otherwise.
#[derive(EncodeValue)]
struct TbsCertificate<'a> {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    version: Version,
    serial_number: SerialNumber,
    signature: &'a AlgorithmIdentifier,
    issuer: AnyRef<'a>,
    validity: Validity,
    subject: AnyRef<'a>,
    public_key: AnyRef<'a>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT")]
    extensions: Vec<Extension>,
}

impl FixedTag for TbsCertificate<'_> {
    const TAG: Tag = Tag::Sequence;
}

/// RFC 5280 §4.1.1 and §5.1.1
#[derive(EncodeValue)]
struct Signed<'a> {
    content: AnyRef<'a>,
    algorithm: &'a AlgorithmIdentifier,
    signature: BitString,
}

impl FixedTag for Signed<'_> {
    const TAG: Tag = Tag::Sequence;
}

pub(crate) const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
pub(crate) const SERIAL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.5");
