//! Names and ids. Every id of a resource is random, so that none can be guessed (RFC 8555 §10.5).

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::time::UnixTime;

/// An id in a URL is not one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of this server")]
pub struct InvalidId;

/// Five bytes of time in front, the last in 256ths of a second, keep inserts at the end of an index,
/// where those of one transaction share a page; eleven random bytes follow.
fn random_id(now: UnixTime) -> [u8; 16] {
    let fraction = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.subsec_nanos() / (1_000_000_000 / 256));
    let mut bytes = [0; 16];
    crate::random::fill(&mut bytes);
    // Wraps in 2106, and a second may begin in between: order in the index is all that suffers.
    let [a, b, c, d] = (now.as_secs() as u32).to_be_bytes();
    let [.., e] = fraction.to_be_bytes();
    let (time, _) = bytes.split_at_mut(5);
    time.copy_from_slice(&[a, b, c, d, e]);
    bytes
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// A fresh random id.
            #[must_use]
            pub fn random(now: UnixTime) -> Self {
                Self(random_id(now))
            }

            #[must_use]
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; 22];
                match URL_SAFE_NO_PAD.encode_slice(self.0, &mut text) {
                    Ok(_) => f.write_str(std::str::from_utf8(&text).unwrap_or_default()),
                    Err(_) => Err(fmt::Error),
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let mut bytes = [0; 16];
                match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
                    Ok(16) if text.len() == 22 => Ok(Self(bytes)),
                    _ => Err(InvalidId),
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// An ACME account.
    AccountId;
    /// An ACME order.
    OrderId;
    /// An ACME authorization.
    AuthorizationId;
    /// One request to a handler for one certificate.
    EnrollmentId;
    /// A certificate that a handler returned.
    CertificateId;
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(std::sync::Arc<str>);

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
                let well_begun = text.starts_with(|c: char| c.is_ascii_alphanumeric());
                if well_begun && text.len() <= 64 && text.chars().all(fine) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidName(text.chars().take(64).collect()))
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

/// A configured name that can't stand in a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not a name: use 1 to 64 letters, digits, '-', '_' or '.', beginning with a letter or digit"
)]
pub struct InvalidName(String);

names! {
    /// `[handlers.NAME]`
    HandlerName;
    /// `[acme.NAME]` or `[est.NAME]`
    EndpointName;
    /// A plugin's id, `openssl-local` for example.
    PluginId;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_their_text_form() {
        let id = OrderId::random(UnixTime::from_secs(1_800_000_000));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().len(), 22);
    }

    #[test]
    fn foreign_ids_are_refused() {
        for text in [
            "",
            "%",
            "AAAA",
            "AAAAAAAAAAAAAAAAAAAAAA=",
            "AAAAAAAAAAAAAAAAAAAAA/",
        ] {
            assert_eq!(text.parse::<OrderId>(), Err(InvalidId), "{text}");
        }
        // The last character carries four unused bits; only one spelling of an id is an id.
        assert_eq!("AAAAAAAAAAAAAAAAAAAAAB".parse::<OrderId>(), Err(InvalidId));
    }

    #[test]
    fn names_fit_in_a_url() {
        assert!("local-2".parse::<HandlerName>().is_ok());
        for text in ["", "-x", "a/b", "ü", "a b"] {
            assert!(text.parse::<HandlerName>().is_err(), "{text}");
        }
    }
}
