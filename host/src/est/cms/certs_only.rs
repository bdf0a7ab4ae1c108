//! [`certs_only`]: certificates in a SignedData that nobody signed (RFC 5652 §5.1, RFC 5272 §4.1).

use der::asn1::{AnyRef, ContextSpecificRef, ObjectIdentifier};
use der::{Decode as _, Encode as _, Sequence, TagMode, TagNumber};

pub(crate) const SIGNED_DATA: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
pub(crate) const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");

/// The message, DER. The certificates stay as they are, byte for byte and in their order.
pub(crate) fn certs_only(certificates: &[Vec<u8>]) -> der::Result<Vec<u8>> {
    let certificates = certificates.concat();
    let signed = SignedData {
        version: 1,
        digest_algorithms: AnyRef::new(der::Tag::Set, &[])?,
        content: Content { content_type: DATA },
        certificates: AnyRef::new(
            der::Tag::ContextSpecific {
                constructed: true,
                number: TagNumber(0),
            },
            &certificates,
        )?,
        signer_infos: AnyRef::new(der::Tag::Set, &[])?,
    }
    .to_der()?;
    content_info(SIGNED_DATA, &signed)
}

/// RFC 5652 §3
pub(crate) fn content_info(content_type: ObjectIdentifier, content: &[u8]) -> der::Result<Vec<u8>> {
    let content = AnyRef::from_der(content)?;
    let explicit = ContextSpecificRef {
        tag_number: TagNumber(0),
        tag_mode: TagMode::Explicit,
        value: &content,
    };
    let mut inner = content_type.to_der()?;
    explicit.encode_to_vec(&mut inner)?;
    AnyRef::new(der::Tag::Sequence, &inner)?.to_der()
}

#[derive(Sequence)]
struct SignedData<'a> {
    version: u8,
    digest_algorithms: AnyRef<'a>,
    content: Content,
    certificates: AnyRef<'a>,
    signer_infos: AnyRef<'a>,
}

#[derive(Sequence)]
struct Content {
    content_type: ObjectIdentifier,
}
