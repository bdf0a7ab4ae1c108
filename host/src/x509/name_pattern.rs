//! [`NamePattern`]: which names somebody may ask for, whatever their kind.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::order::Identifier;
use crate::x509::cert_name::{CertName, InvalidName};

/// "example.com" is that name, "*.example.com" every name below it, "ip:10.0.0.0/8" are addresses, and
/// in "email:", "uri:", "common-name:" and "serial-number:" a '*' stands for any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamePattern {
    Dns(Identifier),
    Ip(IpNet),
    Text { kind: &'static str, glob: String },
}

impl NamePattern {
    /// Whether all that the name stands for is inside. A common name that is a DNS name is one.
    #[must_use]
    pub fn covers(&self, name: &CertName) -> bool {
        self.fits(name, |identifier, pattern| identifier.is_inside(pattern))
    }

    /// Whether something that the name stands for is inside.
    #[must_use]
    pub fn touches(&self, name: &CertName) -> bool {
        self.fits(name, |identifier, pattern| identifier.overlaps(pattern))
    }

    fn fits(&self, name: &CertName, dns: impl Fn(&Identifier, &str) -> bool) -> bool {
        match (self, name) {
            (Self::Dns(pattern), CertName::Dns(identifier)) => {
                dns(identifier, &pattern.to_string())
            }
            (Self::Dns(pattern), CertName::CommonName(text)) => text
                .parse()
                .is_ok_and(|identifier| dns(&identifier, &pattern.to_string())),
            (Self::Ip(range), CertName::Ip(address)) => range.contains(address),
            (
                Self::Text { kind, glob },
                CertName::Email(text)
                | CertName::Uri(text)
                | CertName::CommonName(text)
                | CertName::SerialNumber(text),
            ) => *kind == name.kind() && matches_glob(glob, text),
            _ => false,
        }
    }
}

/// Each '*' stands for any text; all else for itself.
fn matches_glob(glob: &str, text: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    // The first place where a part fits is as good as any: what follows has more left to fit in.
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

impl FromStr for NamePattern {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if let Some(value) = text.strip_prefix("ip:")
            && let Ok(range) = value.parse()
        {
            return Ok(Self::Ip(range));
        }
        Ok(match text.parse()? {
            CertName::Dns(identifier) => Self::Dns(identifier),
            CertName::Ip(address) => Self::Ip(address.into()),
            name @ (CertName::Email(_)
            | CertName::Uri(_)
            | CertName::CommonName(_)
            | CertName::SerialNumber(_)) => Self::Text {
                kind: name.kind(),
                glob: match name {
                    CertName::Email(glob)
                    | CertName::Uri(glob)
                    | CertName::CommonName(glob)
                    | CertName::SerialNumber(glob) => glob,
                    CertName::Dns(_) | CertName::Ip(_) => String::new(),
                },
            },
        })
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(identifier) => identifier.fmt(f),
            Self::Ip(range) if range.prefix_len() == range.max_prefix_len() => {
                write!(f, "ip:{}", range.addr())
            }
            Self::Ip(range) => write!(f, "ip:{range}"),
            Self::Text { kind, glob } => write!(f, "{kind}:{glob}"),
        }
    }
}

impl Serialize for NamePattern {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NamePattern {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_cover_what_they_say() {
        for (pattern, name, covered) in [
            ("a.example", "A.Example", true),
            ("a.example", "b.a.example", false),
            ("*.example", "a.example", true),
            ("*.example", "b.a.example", true),
            ("*.example", "example", false),
            ("*.a.example", "ba.example", false),
            ("*.example", "*.a.example", true),
            ("a.example", "*.a.example", false),
            ("*.example", "common-name:a.example", true),
            ("*.example", "common-name:pump 7", false),
            ("*.example", "email:me@a.example", false),
            ("ip:10.0.0.0/8", "ip:10.1.2.3", true),
            ("ip:10.0.0.0/8", "ip:11.1.2.3", false),
            ("ip:192.0.2.1", "ip:192.0.2.1", true),
            ("ip:192.0.2.1", "ip:192.0.2.2", false),
            ("ip:::/0", "ip:192.0.2.2", false),
            ("common-name:pump-*", "common-name:pump-7", true),
            ("common-name:pump-*", "common-name:a pump-7", false),
            ("common-name:pump-*", "serial-number:pump-7", false),
            ("serial-number:*", "serial-number:0815", true),
            ("uri:urn:dev:*:x", "uri:urn:dev:1:x", true),
            ("uri:urn:dev:*:x", "uri:urn:dev:1:xy", false),
            ("uri:*a*a", "uri:a", false),
            ("uri:*a*a", "uri:aa", true),
            ("uri:a*b*c", "uri:axbxbc", true),
            ("email:me@a.example", "email:me@a.example", true),
            ("email:me@a.example", "email:me@a.examples", false),
        ] {
            let pattern: NamePattern = pattern.parse().unwrap();
            let name: CertName = name.parse().unwrap();
            assert_eq!(pattern.covers(&name), covered, "{pattern} {name}");
            assert!(pattern.touches(&name) || !covered, "{pattern} {name}");
        }
        let denied: NamePattern = "a.example".parse().unwrap();
        assert!(denied.touches(&"*.example".parse().unwrap()));
        for wrong in ["", "*", "10.0.0.1", "ip:10.0.0.0/33", "x:y", "uri:"] {
            assert!(wrong.parse::<NamePattern>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_comes_back_as_it_was_written(text in "(([*]\\.)?[a-z]{1,9}\\.[a-z]{2,5})|(common-name:[a-z*]{1,9})|(ip:10\\.0\\.[0-9]\\.0/24)") {
            let pattern: NamePattern = text.parse().unwrap();
            prop_assert_eq!(pattern.to_string(), text);
        }

        #[test]
        fn globs_match_as_slowly_written(glob in "[ab*]{0,6}", text in "[ab]{0,8}") {
            fn slow(glob: &[u8], text: &[u8]) -> bool {
                match (glob.split_first(), text.split_first()) {
                    (None, None) => true,
                    (Some((b'*', glob_rest)), None) => slow(glob_rest, text),
                    (Some((b'*', glob_rest)), Some((_, text_rest))) => slow(glob_rest, text) || slow(glob, text_rest),
                    (Some((g, glob_rest)), Some((t, text_rest))) => g == t && slow(glob_rest, text_rest),
                    _ => false,
                }
            }
            prop_assert_eq!(matches_glob(&glob, &text), slow(glob.as_bytes(), text.as_bytes()));
        }
    }
}
