//! Reading request bodies as devices really send them (RFC 8951 §3.1): base64 with or without line
//! breaks whatever Content-Transfer-Encoding says, or bare DER.

use axum::body::Body;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, header};
use http_body_util::{BodyExt as _, Limited};

use crate::est::status::Refusal;
use crate::server::is_too_long;

/// Bytes of a body.
pub const LONGEST: usize = 64 * 1024;

/// RFC 2986 in RFC 5967's wrapping.
pub(super) const PKCS10: &str = "application/pkcs10";

/// Takes padding or leaves it, as long as no bit is lost.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The whole body as it came.
pub(super) async fn read(body: Body) -> Result<Vec<u8>, Refusal> {
    match Limited::new(body, LONGEST).collect().await {
        Ok(collected) => Ok(collected.to_bytes().into()),
        Err(error) if is_too_long(error.as_ref()) => Err(Refusal::too_large()),
        Err(_) => Err(Refusal::malformed("the request's body ends early")),
    }
}

/// Whether the request has this content type, with any parameters.
pub(super) fn check_type(headers: &HeaderMap, expected: &str) -> Result<(), Refusal> {
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(expected) {
        Ok(())
    } else {
        Err(Refusal::wrong_type(expected))
    }
}

/// The DER that a body stands for.
///
/// # Errors
/// It is neither base64 nor DER.
pub fn decode(body: &[u8]) -> Result<Vec<u8>, Refusal> {
    if is_der(body) {
        return Ok(body.to_vec());
    }
    let text: Vec<u8> = body
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    if text.is_empty() {
        return Err(Refusal::malformed("the request has no body"));
    }
    BASE64
        .decode(text)
        .map_err(|_| Refusal::malformed("the request's body is not base64"))
}

/// DER of a SEQUENCE that fills the body. In base64 such a structure begins with "M", and what begins
/// with "0" (0x30) is none, so the two can't be taken for each other.
fn is_der(body: &[u8]) -> bool {
    let Some((&[0x30, first], content)) = body.split_first_chunk() else {
        return false;
    };
    let length_bytes = usize::from(first & 0x7f);
    if first < 0x80 {
        return content.len() == usize::from(first);
    }
    let Some((length, content)) = content.split_at_checked(length_bytes) else {
        return false;
    };
    let fits = (1..=4).contains(&length_bytes);
    let length = length
        .iter()
        .fold(0_u64, |sum, &byte| sum << 8 | u64::from(byte));
    fits && length == content.len() as u64
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn der(length: usize) -> Vec<u8> {
        let content = vec![0x5a; length];
        let [high, low] = u16::try_from(length).unwrap().to_be_bytes();
        let head = match length {
            0..=0x7f => vec![0x30, low],
            0x80..=0xff => vec![0x30, 0x81, low],
            _ => vec![0x30, 0x82, high, low],
        };
        [head, content].concat()
    }

    #[test]
    fn bodies_are_read_in_every_form() {
        use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
        for length in [1, 2, 3, 100, 127, 128, 300, 4_000] {
            let der = der(length);
            let unbroken = STANDARD.encode(&der);
            let lines = |width: usize, end: &str| {
                let lines = unbroken.as_bytes().chunks(width);
                lines.fold(String::new(), |text, line| {
                    text + std::str::from_utf8(line).unwrap() + end
                })
            };
            for body in [
                unbroken.clone(),
                STANDARD_NO_PAD.encode(&der),
                lines(64, "\n"),
                lines(76, "\r\n"),
                lines(1, "\r\n\t "),
                format!("\r\n{unbroken}\r\n\r\n"),
            ] {
                assert_eq!(decode(body.as_bytes()).unwrap(), der, "{body}");
            }
            assert_eq!(decode(&der).unwrap(), der);
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        let mut longer = der(200);
        longer.push(0);
        for body in [
            &b""[..],
            b" \r\n",
            b"MI!B",
            b"-----BEGIN CERTIFICATE REQUEST-----",
            b"AAAA=AAA",
            b"A",
            &longer,
            &der(200)[..100],
        ] {
            assert!(decode(body).is_err(), "{body:?}");
        }
    }

    #[test]
    fn content_types_may_have_parameters() {
        for (given, fine) in [
            (Some("application/pkcs10"), true),
            (Some("Application/PKCS10; charset=utf-8"), true),
            (Some("application/pkcs10 ;x=y"), true),
            (Some("application/pkcs7-mime"), false),
            (Some("application/pkcs10x"), false),
            (Some(""), false),
            (None, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(given) = given {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(given));
            }
            assert_eq!(check_type(&headers, PKCS10).is_ok(), fine, "{given:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body: Vec<u8>) {
            let _ = decode(&body);
        }
    }
}
