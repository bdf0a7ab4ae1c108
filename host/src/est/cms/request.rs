//! [`SignedRequest`]: a signed message from a client (RFC 5652 §5), its signature checked against a key
//! that somebody else vouches for.

use super::SIGNED_DATA;
use super::parse::{Item, item, items};
use super::signed::{CONTENT_TYPE, MESSAGE_DIGEST};
use crate::est::signer::Digest;
use crate::x509::encode::{null, oid, sequence};
use crate::x509::verify_signature;

/// A SignedData with one signer.
#[derive(Debug)]
pub struct SignedRequest<'a> {
    /// The type of the content: an OID, DER.
    content_type: &'a [u8],
    pub content: &'a [u8],
    digest: Digest,
    /// The signed attributes as they were sent, if there are any.
    attributes: Option<Item<'a>>,
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> SignedRequest<'a> {
    /// A ContentInfo with a SignedData of this content type in it, DER.
    pub fn parse(message: &'a [u8], content_type: &str) -> Option<Self> {
        let [kind, content] = item(message)?.inside(0x30)?[..] else {
            return None;
        };
        if kind.tlv != oid(SIGNED_DATA) {
            return None;
        }
        let [signed] = content.inside(0xa0)?[..] else {
            return None;
        };
        let parts = signed.inside(0x30)?;
        let ([_version, _digests, encapsulated], rest) = parts.split_first_chunk()?;
        let [kind, content] = encapsulated.inside(0x30)?[..] else {
            return None;
        };
        if kind.tlv != oid(content_type) {
            return None;
        }
        let [content] = content.inside(0xa0)?[..] else {
            return None;
        };
        let [signer] = rest.last()?.inside(0x31)?[..] else {
            return None;
        };
        let mut signer = signer.inside(0x30)?.into_iter().skip(2);
        let digest = digest(signer.next()?)?;
        let mut next = signer.next()?;
        let attributes = (next.tag == 0xa0).then_some(next);
        if attributes.is_some() {
            next = signer.next()?;
        }
        Some(Self {
            content_type: kind.tlv,
            content: content.bytes(0x04)?,
            digest,
            attributes,
            algorithm: (next.tag == 0x30).then_some(next.tlv)?,
            signature: signer.next()?.bytes(0x04)?,
        })
    }

    /// Whether the holder of this key (SubjectPublicKeyInfo, DER) signed the content (RFC 5652 §5.6).
    pub fn is_signed_by(&self, public_key: &[u8]) -> bool {
        let algorithm = self.signature_algorithm();
        let Some(attributes) = self.attributes else {
            return verify_signature(public_key, &algorithm, self.signature, self.content);
        };
        let holds = |kind: &str, value: &[u8]| attribute(attributes, kind) == Some(value);
        let digest = self.digest.of(self.content);
        let mut signed = attributes.tlv.to_vec();
        if let Some(tag) = signed.first_mut() {
            *tag = 0x31;
        }
        attribute(attributes, MESSAGE_DIGEST)
            .and_then(item)
            .and_then(|found| found.bytes(0x04))
            .is_some_and(|found| found == digest)
            && holds(CONTENT_TYPE, self.content_type)
            && verify_signature(public_key, &algorithm, self.signature, &signed)
    }

    /// Some name only the kind of key; the digest then stands beside it (RFC 3370 §3.2).
    fn signature_algorithm(&self) -> Vec<u8> {
        let bare = [
            sequence(&[&oid("1.2.840.113549.1.1.1"), &null()]),
            sequence(&[&oid("1.2.840.113549.1.1.1")]),
        ];
        if !bare.iter().any(|bare| bare == self.algorithm) {
            return self.algorithm.to_vec();
        }
        let name = match self.digest {
            Digest::Sha256 => "1.2.840.113549.1.1.11",
            Digest::Sha384 => "1.2.840.113549.1.1.12",
            Digest::Sha512 => "1.2.840.113549.1.1.13",
        };
        sequence(&[&oid(name), &null()])
    }
}

fn digest(algorithm: Item<'_>) -> Option<Digest> {
    let name = algorithm.inside(0x30)?.first()?.tlv;
    [Digest::Sha256, Digest::Sha384, Digest::Sha512]
        .into_iter()
        .find(|digest| {
            let own = digest.identifier();
            item(&own)
                .and_then(|own| own.inside(0x30))
                .and_then(|own| own.first().map(|own| own.tlv == name))
                .unwrap_or(false)
        })
}

/// The one value of the attribute of this type, DER. More than one such attribute is none.
fn attribute<'a>(attributes: Item<'a>, kind: &str) -> Option<&'a [u8]> {
    let kind = oid(kind);
    let mut found = items(attributes.value)?
        .into_iter()
        .filter_map(|attribute| match attribute.inside(0x30)?[..] {
            [own, values] if own.tlv == kind => Some(values),
            _ => None,
        });
    let (values, another) = (found.next()?, found.next());
    match values.inside(0x31)?[..] {
        [value] if another.is_none() => Some(value.tlv),
        _ => None,
    }
}
