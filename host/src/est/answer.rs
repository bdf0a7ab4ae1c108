//! Bodies of answers: base64 in the form that the client can read, under the headers it looks for.

use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use zeroize::Zeroizing;

pub(super) const CONTENT_TRANSFER_ENCODING: HeaderName =
    HeaderName::from_static("content-transfer-encoding");

/// `application/pkcs7-mime` with nothing but certificates in it.
pub(super) const CERTS_ONLY: &str = "application/pkcs7-mime; smime-type=certs-only";

/// How base64 is laid out. No single form serves all: libest reads nothing if a body of more than a
/// thousand characters has no line break, strongSwan decodes line breaks as if they were data. What
/// tells them apart is that strongSwan's client sends no User-Agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Lines of 64 characters, each ended by a line feed.
    Lines,
    /// All in one line, without its end.
    Unbroken,
}

const LINE: usize = 64;

impl Form {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        if headers.contains_key(header::USER_AGENT) {
            Self::Lines
        } else {
            Self::Unbroken
        }
    }

    /// No copy of it is left in memory beside what is returned: it may be a private key.
    pub(super) fn encode(self, bytes: &[u8]) -> String {
        let unbroken = STANDARD.encode(bytes);
        match self {
            Self::Unbroken => unbroken,
            Self::Lines => {
                let unbroken = Zeroizing::new(unbroken);
                // Room for all of it, so that no copy is left behind when it grows.
                let mut lines = String::with_capacity(unbroken.len() + unbroken.len() / LINE + 1);
                let mut rest = unbroken.as_str();
                while !rest.is_empty() {
                    let (line, more) = rest.split_at(rest.len().min(LINE));
                    lines.push_str(line);
                    lines.push('\n');
                    rest = more;
                }
                lines
            }
        }
    }
}

pub(super) fn encoded(content_type: &'static str, form: Form, der: &[u8]) -> Response {
    text(content_type, form.encode(der).into())
}

/// 200 with this body. RFC 8951 §3.1 takes Content-Transfer-Encoding away, but clients look for it.
pub(super) fn text(content_type: &'static str, body: Bytes) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (
            CONTENT_TRANSFER_ENCODING,
            HeaderValue::from_static("base64"),
        ),
    ];
    (headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_hold_the_same() {
        for length in [0, 1, 47, 48, 49, 500, 767, 768, 6_000] {
            let bytes: Vec<u8> = (0..length).map(|n: usize| (n % 251) as u8).collect();
            let (lines, unbroken) = (Form::Lines.encode(&bytes), Form::Unbroken.encode(&bytes));
            assert_eq!(lines.replace('\n', ""), unbroken);
            assert!(
                lines
                    .lines()
                    .all(|line| line.len() <= LINE && !line.is_empty())
            );
            assert!(lines.is_empty() || lines.ends_with('\n'));
            assert_eq!(STANDARD.decode(unbroken).unwrap(), bytes);
        }
    }
}
