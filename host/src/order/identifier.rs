//! [`Identifier`]: a DNS name, or a wildcard over one, that an order may ask for.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text is not a name that a certificate may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdentifier {
    #[error("the name is empty")]
    Empty,
    #[error("the name is longer than 253 characters")]
    TooLong,
    #[error("a label of the name is empty or longer than 63 characters")]
    BadLabel,
    #[error(
        "the name has a character that a host name can't have; internationalized names go as A-labels (xn--…)"
    )]
    BadCharacter,
    #[error("an A-label (xn--…) of the name does not decode")]
    BadALabel,
    #[error("the name is an IP address or looks like one")]
    LooksLikeAddress,
    #[error(
        "'*' may only stand alone in the first label, with a name of at least one label behind it"
    )]
    BadWildcard,
}

/// A host name: lower case, A-labels, no final dot, no wildcard.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(Arc<str>);

impl DnsName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }
}

impl FromStr for DnsName {
    type Err = InvalidIdentifier;

    fn from_str(text: &str) -> Result<Self, InvalidIdentifier> {
        if text.is_empty() {
            return Err(InvalidIdentifier::Empty);
        }
        if text.len() > 253 {
            return Err(InvalidIdentifier::TooLong);
        }
        let name = text.to_ascii_lowercase();
        for label in name.split('.') {
            check_label(label)?;
        }
        // A name whose last label is a number is taken for an IPv4 address by resolvers and URL
        // parsers: 10.0.0.5, 2130706433, 0x7f.1 (WHATWG URL, "ends in a number").
        let last = name.rsplit('.').next().unwrap_or_default();
        if ends_in_number(last) {
            return Err(InvalidIdentifier::LooksLikeAddress);
        }
        Ok(Self(name.into()))
    }
}

fn check_label(label: &str) -> Result<(), InvalidIdentifier> {
    if label.is_empty() || label.len() > 63 {
        return Err(InvalidIdentifier::BadLabel);
    }
    if label.contains('*') {
        return Err(InvalidIdentifier::BadWildcard);
    }
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !label.bytes().all(fine) || label.starts_with('-') || label.ends_with('-') {
        return Err(InvalidIdentifier::BadCharacter);
    }
    // RFC 5890 §2.3.1: "--" in the third and fourth place is reserved; only xn-- is in use.
    if label.get(2..4) == Some("--") {
        let decodes = label.starts_with("xn--") && idna::domain_to_unicode(label).1.is_ok();
        if !decodes {
            return Err(InvalidIdentifier::BadALabel);
        }
    }
    Ok(())
}

fn ends_in_number(last: &str) -> bool {
    let hexadecimal = last
        .strip_prefix("0x")
        .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    hexadecimal || last.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an order asks for: a name, or `*.` and a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identifier {
    pub name: DnsName,
    pub wildcard: bool,
}

impl FromStr for Identifier {
    type Err = InvalidIdentifier;

    fn from_str(text: &str) -> Result<Self, InvalidIdentifier> {
        match text.strip_prefix("*.") {
            Some(base) => Ok(Self {
                name: base.parse()?,
                wildcard: true,
            }),
            None => Ok(Self {
                name: text.parse()?,
                wildcard: false,
            }),
        }
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.wildcard {
            f.write_str("*.")?;
        }
        self.name.fmt(f)
    }
}

impl From<&Identifier> for certdock_plugin_api::Identifier {
    fn from(identifier: &Identifier) -> Self {
        Self::Dns(identifier.to_string())
    }
}

impl Serialize for Identifier {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Identifier {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised() {
        for (text, expect) in [
            ("Example.COM", "example.com"),
            ("*.a.example", "*.a.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("localhost", "localhost"),
            ("3com.example", "3com.example"),
        ] {
            assert_eq!(text.parse::<Identifier>().unwrap().to_string(), expect);
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        use InvalidIdentifier as E;
        let long = format!("{}.example", "a".repeat(64));
        let longer = format!("{}example", "abcdefgh.".repeat(30));
        for (text, expect) in [
            ("", E::Empty),
            ("*.", E::Empty),
            ("*", E::BadWildcard),
            ("a.*.example", E::BadWildcard),
            ("*.*.example", E::BadWildcard),
            ("f*.example", E::BadWildcard),
            ("example.com.", E::BadLabel),
            (".example", E::BadLabel),
            ("a..b", E::BadLabel),
            (&long, E::BadLabel),
            (&longer, E::TooLong),
            ("a_b.example", E::BadCharacter),
            ("-a.example", E::BadCharacter),
            ("a-.example", E::BadCharacter),
            ("bücher.example", E::BadCharacter),
            ("a b", E::BadCharacter),
            ("a\0.example", E::BadCharacter),
            ("xn--zzzzzzzzzz99999.example", E::BadALabel),
            ("ab--cd.example", E::BadALabel),
            ("10.0.0.5", E::LooksLikeAddress),
            ("2130706433", E::LooksLikeAddress),
            ("0x7f.1", E::LooksLikeAddress),
            ("a.0x", E::LooksLikeAddress),
            ("127.0.0.0x1", E::LooksLikeAddress),
            ("::1", E::BadCharacter),
        ] {
            assert_eq!(text.parse::<Identifier>(), Err(expect), "{text}");
        }
    }
}
