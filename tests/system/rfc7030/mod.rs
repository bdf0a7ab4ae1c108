//! RFC 7030 with RFC 8951 and RFC 9908, section by section.

mod pending;
mod s3_2;
mod s3_3;
mod s3_5;
mod s4_1;
mod s4_2;
mod s4_2_2;
mod s4_3;
mod s4_4;
mod s4_4_pending;
mod s4_5;
mod seen;

use certdock_tests::http::Answer;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A refusal: this status, one sentence of plain text, and the request's id (RFC 7030 §4.2.3).
/// BouncyCastle can't take a text with 401, and nor can whoever sends no User-Agent as it does.
fn check_refusal(case: &str, answer: &Answer, status: u16) {
    let text = answer.text();
    assert_eq!(answer.status, status, "{case}: {text}");
    let kind = answer.header("content-type").unwrap_or_default();
    assert!(kind.starts_with("text/plain"), "{case}: {kind}");
    let sentences = usize::from(status != 401);
    assert_eq!(text.lines().count(), sentences, "{case}: {text}");
    assert!(answer.header("x-request-id").is_some(), "{case}: {text}");
    let length = answer.header("content-length").map(str::parse);
    assert_eq!(length, Some(Ok(answer.body.len())), "{case}");
}

/// Whether a certificate is for this key.
fn is_for(der: &[u8], key: &rcgen::KeyPair) -> bool {
    use rcgen::PublicKeyData;

    let (_, certificate) = X509Certificate::from_der(der).unwrap();
    certificate.public_key().raw == key.subject_public_key_info()
}
