//! What EST answers carry: base64, and in it certificates in a SignedData that nobody signed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::der::Element;

/// RFC 8951 §3.1: line breaks may stand anywhere, nothing else may.
pub fn decode_base64(body: &[u8]) -> Vec<u8> {
    let text: Vec<u8> = body
        .iter()
        .copied()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .collect();
    STANDARD
        .decode(&text)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(body)))
}

/// The certificates of a certs-only message in base64 (RFC 7030 §4.1.3, RFC 5272 §4.1), DER.
pub fn certificates(body: &[u8]) -> Vec<Vec<u8>> {
    certificates_of(&decode_base64(body))
}

/// The certificates of a SignedData, DER.
pub fn certificates_of(der: &[u8]) -> Vec<Vec<u8>> {
    let signed = signed_data(der);
    let certificates = signed.iter().find(|part| part.tag == 0xa0);
    certificates
        .map(Element::parts)
        .unwrap_or_default()
        .iter()
        .map(|certificate| certificate.whole.to_vec())
        .collect()
}

/// The parts of a SignedData: version, digestAlgorithms, encapContentInfo, certificates, …
pub fn signed_data(der: &[u8]) -> Vec<Element<'_>> {
    let content_info = Element::of(der).parts();
    assert_eq!(content_info[0].oid(), "1.2.840.113549.1.7.2", "{der:02x?}");
    content_info[1].parts()[0].parts()
}
