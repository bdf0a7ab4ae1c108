//! [`CertName`]: a name that a certificate carries, of any kind that can be asked for.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::order::Identifier;

/// One name in a subject or a subject alternative name. ACME asks for DNS names alone.
///
/// Its text form is the bare name for DNS, and `kind:value` for all others; no DNS name has a colon.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CertName {
    Dns(Identifier),
    Ip(IpAddr),
    Email(String),
    Uri(String),
    /// A common name of the subject that is none of the alternative names: a device's name, say.
    CommonName(String),
    /// The subject's serialNumber attribute: a device's (IEEE 802.1AR §8.6).
    SerialNumber(String),
}

/// Longest value of a name, in bytes. URIs are the longest that are met with.
pub(super) const LONGEST: usize = 1024;

impl CertName {
    /// The kind as it stands in the text form, and as plugins are told it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Dns(_) => "dns",
            Self::Ip(_) => "ip",
            Self::Email(_) => "email",
            Self::Uri(_) => "uri",
            Self::CommonName(_) => "common-name",
            Self::SerialNumber(_) => "serial-number",
        }
    }

    /// Whether it stands in the subject alternative name, not in the subject.
    #[must_use]
    pub fn is_alternative(&self) -> bool {
        !matches!(self, Self::CommonName(_) | Self::SerialNumber(_))
    }

    /// Whether a common name of this text says nothing but this name once more.
    pub(super) fn is_spelt(&self, text: &str) -> bool {
        match self {
            Self::Dns(identifier) => text.parse::<Identifier>().as_ref() == Ok(identifier),
            Self::Ip(address) => text.parse::<IpAddr>().as_ref() == Ok(address),
            Self::Email(own) | Self::Uri(own) | Self::CommonName(own) => own == text,
            Self::SerialNumber(_) => false,
        }
    }
}

impl From<Identifier> for CertName {
    fn from(identifier: Identifier) -> Self {
        Self::Dns(identifier)
    }
}

impl fmt::Display for CertName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(identifier) => identifier.fmt(f),
            Self::Ip(address) => write!(f, "{}:{address}", self.kind()),
            Self::Email(text)
            | Self::Uri(text)
            | Self::CommonName(text)
            | Self::SerialNumber(text) => write!(f, "{}:{text}", self.kind()),
        }
    }
}

/// A text is not a name that a certificate may carry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidName(String);

impl FromStr for CertName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let Some((kind, value)) = text.split_once(':') else {
            return match text.parse() {
                Ok(identifier) => Ok(Self::Dns(identifier)),
                Err(error) => Err(InvalidName(error.to_string())),
            };
        };
        if value.is_empty() || value.len() > LONGEST || value.chars().any(char::is_control) {
            return Err(InvalidName(format!(
                "it is empty, longer than {LONGEST} bytes, or has a control character"
            )));
        }
        let own = || value.to_owned();
        Ok(match kind {
            "ip" => match value.parse() {
                Ok(address) => Self::Ip(address),
                Err(_) => return Err(InvalidName("it is not an IP address".to_owned())),
            },
            "email" => Self::Email(own()),
            "uri" => Self::Uri(own()),
            "common-name" => Self::CommonName(own()),
            "serial-number" => Self::SerialNumber(own()),
            _ => {
                return Err(InvalidName(
                    "its kind is none of ip, email, uri, common-name and serial-number".to_owned(),
                ));
            }
        })
    }
}

impl Serialize for CertName {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CertName {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl From<&CertName> for certdock_plugin_api::Identifier {
    fn from(name: &CertName) -> Self {
        match name {
            CertName::Dns(identifier) => identifier.into(),
            CertName::Ip(address) => Self::Ip(*address),
            CertName::Email(value)
            | CertName::Uri(value)
            | CertName::CommonName(value)
            | CertName::SerialNumber(value) => Self::Other {
                kind: name.kind().to_owned(),
                value: value.clone(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_their_text_form() {
        for text in [
            "a.example",
            "*.a.example",
            "ip:10.0.0.1",
            "ip:2001:db8::1",
            "email:a@b.example",
            "uri:urn:dev:os:32473-123456",
            "common-name:device 0001",
            "serial-number:0001",
        ] {
            let name: CertName = text.parse().unwrap();
            assert_eq!(name.to_string(), text);
            assert_eq!(
                name.is_alternative(),
                !text.contains("r:") && !text.contains("e:"),
                "{text}"
            );
        }
        for text in ["", "a b", "ip:10.0.0", "ip:", "uri:a\nb", "other:x"] {
            assert!(text.parse::<CertName>().is_err(), "{text}");
        }
    }
}
