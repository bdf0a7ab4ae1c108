//! [`Csr`]: what is taken over from a PKCS #10 request, its key and the names in its subject.
//! Extensions and other attributes are not even looked at: nothing in them is authorised.

use certdock_plugin_api::Fault;
use der::asn1::{AnyRef, UintRef};
use der::oid::ObjectIdentifier;
use der::{Decode, Reader, SliceReader, Tag, Tagged};
use x509_cert::name::Name;
use x509_cert::spki::SubjectPublicKeyInfoRef;

/// A request that was read. Its signature has been checked by the host.
#[derive(Debug)]
pub(crate) struct Csr {
    /// The `SubjectPublicKeyInfo`, DER.
    pub(crate) public_key: Vec<u8>,
    pub(crate) key_kind: KeyKind,
    /// The common names, in the order they stand.
    pub(crate) common_names: Vec<String>,
}

/// Kinds of subject keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Rsa,
    Ec,
    Ed25519,
}

impl Csr {
    /// Reads a request (RFC 2986 §4).
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, Fault> {
        let (subject, key) = parts(der).map_err(unreadable)?;
        let spki = SubjectPublicKeyInfoRef::from_der(key).map_err(unreadable)?;
        Ok(Self {
            public_key: key.to_vec(),
            key_kind: KeyKind::of(&spki)?,
            common_names: common_names(&Name::from_der(subject).map_err(unreadable)?),
        })
    }
}

impl KeyKind {
    /// The kind of a key that this CA certifies, encoded the one way its RFC allows.
    fn of(spki: &SubjectPublicKeyInfoRef<'_>) -> Result<Self, Fault> {
        let parameters = spki.algorithm.parameters;
        match spki.algorithm.oid {
            RSA => {
                // RFC 3279 §2.3.1
                if !parameters.is_some_and(AnyRef::is_null) {
                    return Err(bad_key("the RSA key's algorithm parameters must be NULL"));
                }
                check_rsa(spki.subject_public_key.raw_bytes())?;
                Ok(Self::Rsa)
            }
            EC => {
                // RFC 5480 §2.1.1, §2.2
                let curve = parameters.and_then(|any| ObjectIdentifier::try_from(any).ok());
                let Some((_, coordinate)) =
                    CURVES.iter().find(|(oid, _)| Some(*oid) == curve).copied()
                else {
                    return Err(bad_key("the elliptic curve must be P-256, P-384 or P-521"));
                };
                let point = spki.subject_public_key.raw_bytes();
                if point.first() != Some(&0x04) || point.len() != 1 + 2 * coordinate {
                    return Err(bad_key("the elliptic curve point must be uncompressed"));
                }
                Ok(Self::Ec)
            }
            ED25519 => {
                // RFC 8410 §3
                if parameters.is_some() || spki.subject_public_key.raw_bytes().len() != 32 {
                    return Err(bad_key("the Ed25519 key is not encoded as RFC 8410 says"));
                }
                Ok(Self::Ed25519)
            }
            _ => Err(bad_key("the key must be RSA, ECDSA or Ed25519")),
        }
    }
}

/// Subject and `SubjectPublicKeyInfo` of a request, as they stand. Attributes that follow may be
/// encoded in ways DER forbids: clients are often careless there, and nothing is read from them.
fn parts(der: &[u8]) -> der::Result<(&[u8], &[u8])> {
    let mut reader = SliceReader::new(der)?;
    let found = reader.sequence(|request| {
        let found = request.sequence(|info| {
            let _version: AnyRef<'_> = info.decode()?;
            let subject = info.tlv_bytes()?;
            let key = info.tlv_bytes()?;
            info.drain(info.remaining_len())?;
            Ok::<_, der::Error>((subject, key))
        })?;
        request.drain(request.remaining_len())?;
        Ok::<_, der::Error>(found)
    })?;
    reader.finish()?;
    Ok(found)
}

fn common_names(subject: &Name) -> Vec<String> {
    subject
        .iter()
        .filter(|attribute| attribute.oid == COMMON_NAME)
        .filter(|attribute| {
            matches!(
                attribute.value.tag(),
                Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::TeletexString
            )
        })
        .filter_map(|attribute| std::str::from_utf8(attribute.value.value()).ok())
        .map(str::to_owned)
        .collect()
}

/// RFC 8017 §A.1.1: `SEQUENCE { modulus INTEGER, publicExponent INTEGER }`.
fn check_rsa(key: &[u8]) -> Result<(), Fault> {
    let (modulus, exponent) = SliceReader::new(key)
        .and_then(|mut reader| {
            let both = reader.sequence(|key| {
                Ok::<_, der::Error>((key.decode::<UintRef<'_>>()?, key.decode::<UintRef<'_>>()?))
            })?;
            reader.finish()?;
            Ok(both)
        })
        .map_err(unreadable)?;
    let modulus = modulus.as_bytes();
    let bits = modulus.first().map_or(0, |first| {
        8 * modulus.len() - first.leading_zeros() as usize
    });
    if !RSA_BITS.contains(&bits) {
        return Err(bad_key(format!(
            "the RSA key has {bits} bits; it must have {} to {}",
            RSA_BITS.start(),
            RSA_BITS.end()
        )));
    }
    let exponent = exponent.as_bytes();
    if exponent.last().is_none_or(|last| last % 2 == 0) || exponent == [1] {
        return Err(bad_key(
            "the RSA key's exponent must be odd and greater than 1",
        ));
    }
    Ok(())
}

fn bad_key(message: impl Into<String>) -> Fault {
    Fault::malformed(message).code("key-unacceptable")
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreadable(error: der::Error) -> Fault {
    Fault::malformed("the CSR can't be read")
        .code("csr-unreadable")
        .private(error.to_string())
}

/// Larger keys cost whoever checks them too much.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// The named curves, with the length of a coordinate.
const CURVES: [(ObjectIdentifier, usize); 3] = [
    (ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"), 32),
    (ObjectIdentifier::new_unwrap("1.3.132.0.34"), 48),
    (ObjectIdentifier::new_unwrap("1.3.132.0.35"), 66),
];

#[cfg(test)]
mod tests {
    use openssl::pkey::PKey;
    use openssl::x509::X509ReqBuilder;
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Vec<u8> {
        let key = PKey::ec_gen("P-256").unwrap();
        let mut request = X509ReqBuilder::new().unwrap();
        request.set_pubkey(&key).unwrap();
        request
            .sign(&key, openssl::hash::MessageDigest::sha256())
            .unwrap();
        request.build().to_der().unwrap()
    }

    /// A request with this subject, key and attributes, DER; its signature is empty.
    fn request(subject: &[u8], key: &[u8], attributes: &[u8]) -> Vec<u8> {
        let info = tlv(0x30, &[&[2, 1, 0], subject, key, attributes].concat());
        tlv(
            0x30,
            &[&info[..], &tlv(0x30, &[]), &tlv(0x03, &[0])].concat(),
        )
    }

    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        let header = match content.len() {
            short @ ..=0x7f => vec![tag, u8::try_from(short).unwrap()],
            0x80..=0xff => vec![tag, 0x81, length[1]],
            _ => vec![tag, 0x82, length[0], length[1]],
        };
        [header, content.to_vec()].concat()
    }

    fn ed25519(public: &[u8]) -> Vec<u8> {
        let algorithm = tlv(0x30, &[0x06, 3, 0x2b, 0x65, 0x70]);
        let bits = tlv(0x03, &[&[0], public].concat());
        tlv(0x30, &[algorithm, bits].concat())
    }

    #[test]
    fn careless_attributes_do_no_harm() {
        let key = ed25519(&[7; 32]);
        let subject = tlv(0x30, &[]);
        for attributes in [
            &b""[..],
            &tlv(0xa0, &[]),
            // Not sorted, as DER would have it; not even attributes.
            &tlv(0xa0, &[0x05, 0, 0x02, 1, 9, 0x01, 1, 0xff]),
        ] {
            let csr = Csr::from_der(&request(&subject, &key, attributes)).unwrap();
            assert_eq!(csr.public_key, key);
            assert_eq!(csr.key_kind, KeyKind::Ed25519);
        }
    }

    #[test]
    fn keys_are_encoded_the_one_right_way() {
        let subject = tlv(0x30, &[]);
        let rsa = |modulus: &[u8], exponent: &[u8], parameters: &[u8]| {
            let oid = tlv(0x06, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1]);
            let key = tlv(0x30, &[tlv(2, modulus), tlv(2, exponent)].concat());
            let bits = tlv(0x03, &[vec![0], key].concat());
            tlv(
                0x30,
                &[tlv(0x30, &[&oid, parameters].concat()), bits].concat(),
            )
        };
        let ec = |curve: &[u8], point: &[u8]| {
            let oids = [&[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1], curve].concat();
            tlv(
                0x30,
                &[tlv(0x30, &oids), tlv(0x03, &[&[0], point].concat())].concat(),
            )
        };
        let p256 = [0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
        let good = [&[0][..], &[0xff; 256]].concat();
        let null = [5, 0];
        let long = [&[0][..], &[0xff; 1025]].concat();
        let point = |first: u8, length: usize| [vec![first], vec![1; length - 1]].concat();
        for (name, key, accepted) in [
            ("RSA of 2048 bits", rsa(&good, &[1, 0, 1], &null), true),
            ("without NULL", rsa(&good, &[1, 0, 1], &[]), false),
            ("an even exponent", rsa(&good, &[1, 0, 0], &null), false),
            ("the exponent 1", rsa(&good, &[1], &null), false),
            (
                "a negative modulus",
                rsa(&[0xff; 256], &[1, 0, 1], &null),
                false,
            ),
            (
                "2040 bits",
                rsa(&[&[0][..], &[0xff; 255]].concat(), &[1, 0, 1], &null),
                false,
            ),
            ("2047 bits", rsa(&[0x7f; 256], &[1, 0, 1], &null), false),
            ("8200 bits", rsa(&long, &[1, 0, 1], &null), false),
            ("P-256", ec(&p256, &point(4, 65)), true),
            ("a compressed point", ec(&p256, &point(2, 33)), false),
            ("a short point", ec(&p256, &point(4, 64)), false),
            ("no curve", ec(&[], &point(4, 65)), false),
            ("Ed25519", ed25519(&[7; 32]), true),
            ("a long Ed25519 key", ed25519(&[7; 33]), false),
        ] {
            let read = Csr::from_der(&request(&subject, &key, &tlv(0xa0, &[])));
            assert_eq!(read.is_ok(), accepted, "{name}: {read:?}");
        }
    }

    #[test]
    fn no_truncation_is_read() {
        let sample = sample();
        Csr::from_der(&sample).unwrap();
        for length in 0..sample.len() {
            assert!(Csr::from_der(&sample[..length]).is_err(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Csr::from_der(&bytes);
        }

        #[test]
        fn a_changed_request_is_read_or_refused(at in any::<prop::sample::Index>(), with: u8) {
            let mut bytes = sample();
            let at = at.index(bytes.len());
            bytes[at] = with;
            if let Ok(csr) = Csr::from_der(&bytes) {
                // What is taken over is a part of the request.
                let key = &csr.public_key;
                prop_assert!(bytes.windows(key.len()).any(|window| window == key.as_slice()));
            }
        }
    }
}
