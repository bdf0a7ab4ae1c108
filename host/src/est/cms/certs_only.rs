//! [`certs_only`]: certificates in a SignedData that nobody signed (RFC 5652 §5.1, RFC 5272 §4.1).

use der::asn1::AnyRef;
use der::{Reader as _, SliceReader};
use zeroize::Zeroizing;

use crate::x509::encode::{context, integer, oid, sequence, set_of};

pub(super) const SIGNED_DATA: &str = "1.2.840.113549.1.7.2";
pub(super) const DATA: &str = "1.2.840.113549.1.7.1";

/// The message, DER. The certificates stay as they are, byte for byte and in their order.
pub(crate) fn certs_only(certificates: &[Vec<u8>]) -> Vec<u8> {
    let certificates = certificates.concat();
    let signed = sequence(&[
        &integer(1),
        &set_of(Vec::new()),
        &sequence(&[&oid(DATA)]),
        &context(0, &[&certificates]),
        &set_of(Vec::new()),
    ]);
    content_info(SIGNED_DATA, &signed)
}

/// RFC 5652 §3
pub(super) fn content_info(content_type: &str, content: &[u8]) -> Vec<u8> {
    // It may hold a private key.
    let content = Zeroizing::new(context(0, &[content]));
    sequence(&[&oid(content_type), &content])
}

/// What a ContentInfo holds, DER, whatever its type.
pub(crate) fn content(message: &[u8]) -> Option<&[u8]> {
    let mut reader = SliceReader::new(message).ok()?;
    reader
        .sequence(|info| {
            let _content_type: AnyRef<'_> = info.decode()?;
            let explicit: AnyRef<'_> = info.decode()?;
            Ok::<_, der::Error>(explicit.value())
        })
        .ok()
}
