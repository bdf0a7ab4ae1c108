//! [`Part`]: what a multipart answer is made of (RFC 2046 §5.1, RFC 7030 §4.4.2).

use super::cms::decode_base64;
use crate::http::Answer;

#[derive(Debug)]
pub struct Part {
    pub content_type: String,
    /// Decoded from base64.
    pub der: Vec<u8>,
}

impl Part {
    /// The parts of an answer.
    pub fn all(answer: &Answer) -> Vec<Self> {
        let kind = answer.header("content-type").unwrap();
        let (kind, boundary) = kind.split_once("boundary=").expect(kind);
        assert!(kind.starts_with("multipart/mixed;"), "{kind}");
        let text = answer.text();
        let boundary = format!("--{}", boundary.trim_matches('"'));
        let mut parts: Vec<_> = text.split(boundary.as_str()).collect();
        assert_eq!(parts.pop().map(str::trim_end), Some("--"), "{text}");
        parts.drain(1..).map(Self::read).collect()
    }

    fn read(text: &str) -> Self {
        let text = text.strip_prefix("\r\n").expect(text);
        let (head, body) = text.split_once("\r\n\r\n").expect(text);
        let field = |name: &str| {
            head.lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim().to_owned())
        };
        assert_eq!(
            field("content-transfer-encoding").as_deref(),
            Some("base64")
        );
        Self {
            content_type: field("content-type").expect(head),
            der: decode_base64(body.as_bytes()),
        }
    }
}
