//! Texts from the other side. Rust takes for granted that every text is UTF-8, and somebody else has
//! built the other side: what comes from there is read as bytes, and checked and cut before anybody
//! treats it as a text.

use std::borrow::Cow;

use abi_stable::std_types::{RStr, RString};

/// A text that may hold any bytes.
pub(super) trait Foreign {
    fn bytes(&self) -> &[u8];
}

impl Foreign for RStr<'_> {
    fn bytes(&self) -> &[u8] {
        self.as_rslice().as_slice()
    }
}

impl Foreign for RString {
    fn bytes(&self) -> &[u8] {
        self.as_rstr().as_rslice().as_slice()
    }
}

impl Foreign for str {
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// The longest beginning that has at most `limit` bytes, with a replacement character for what is no
/// text.
pub(super) fn cut(text: &(impl Foreign + ?Sized), limit: usize) -> Cow<'_, str> {
    let bytes = text.bytes();
    let beginning = bytes.get(..limit).unwrap_or(bytes);
    let whole = match std::str::from_utf8(beginning) {
        // A character that the limit goes through.
        Err(error) if error.error_len().is_none() && bytes.len() > limit => {
            beginning.get(..error.valid_up_to()).unwrap_or_default()
        }
        _ => beginning,
    };
    let mut text = String::from_utf8_lossy(whole);
    // A replacement character is longer than what it stands for.
    if text.len() > limit {
        let end = text.floor_char_boundary(limit);
        text.to_mut().truncate(end);
    }
    text
}

/// Cuts, and turns control characters into spaces, so that a text stays on its line.
pub(super) fn clean(text: &(impl Foreign + ?Sized), limit: usize) -> String {
    cut(text, limit)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// The text as it is, for what would be another if it were changed.
pub(super) fn whole(text: &impl Foreign) -> Option<&str> {
    std::str::from_utf8(text.bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rstring(bytes: &[u8]) -> RString {
        // SAFETY: nobody but the functions under test reads it.
        unsafe { RString::from_utf8_unchecked(bytes.to_vec().into()) }
    }

    #[test]
    fn any_bytes_become_a_text_of_limited_length() {
        let cases: [(&[u8], usize, &str); 11] = [
            (b"plain", 10, "plain"),
            (b"plain", 5, "plain"),
            (b"plain", 3, "pla"),
            ("grün".as_bytes(), 3, "gr"),
            ("grün".as_bytes(), 4, "grü"),
            (b"\xff\xfe", 10, "\u{fffd}\u{fffd}"),
            (b"\xff\xfe", 5, "\u{fffd}"),
            (b"cut off \xf0\x9f", 11, "cut off \u{fffd}"),
            (b"cut off \xf0\x9f", 10, "cut off "),
            (b"ab\xffcd", 7, "ab\u{fffd}cd"),
            (b"", 0, ""),
        ];
        for (bytes, limit, expected) in cases {
            assert_eq!(cut(&rstring(bytes), limit), expected, "{bytes:?}");
            assert_eq!(cut(&rstring(bytes).as_rstr(), limit), expected);
        }
        assert_eq!(clean(&rstring(b"a\nb\x1b\xf0"), 10), "a b \u{fffd}");
        assert_eq!(whole(&rstring(b"id-7")), Some("id-7"));
        assert_eq!(whole(&rstring(b"id-\xff")), None);
    }
}
