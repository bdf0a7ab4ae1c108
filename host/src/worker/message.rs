//! What the server and a worker say to each other. Both are one program, so there are no versions.

use std::borrow::Cow;
use std::path::PathBuf;

use certdock_plugin_api::abi::answer::{Answer, UpTo, is_line};
use certdock_plugin_api::abi::types::{MAX_NAME, MAX_PAIRS, MAX_PRIVATE, MAX_PUBLIC, MAX_SCHEMA};
use certdock_plugin_api::{
    EnrollRequest, Level, PollRequest, PushRequest, RecoverRequest, RevokeRequest, SecretRef,
};
use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::frame::{self, Bad};
use super::{Limits, Paths};
use crate::handlers::Abilities;

/// The first call of all: what the worker is for. The reply is [`Started`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Start {
    /// The server's process.
    pub(super) server: i32,
    /// The group of processes that the server belongs to, if the worker could name it.
    pub(super) group: Option<i32>,
    /// The plugin's id, as its note has it.
    pub(super) plugin: String,
    pub(super) threads: usize,
    pub(super) limits: Limits,
    pub(super) paths: Paths,
    pub(super) base_dir: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Started {
    /// What this system has no means to take away from the worker, each in a few words.
    pub(super) lacks: Few<String>,
    pub(super) loaded: Result<Loaded, NotLoaded>,
}

/// No worker has more of anything to say of itself.
pub(super) type Few<T> = UpTo<MAX_PAIRS, T>;

impl Answer for Started {
    fn is_within_bounds(&self) -> bool {
        let is_detail = |detail: &Option<String>| {
            let length = detail.as_ref().map_or(0, String::len);
            length <= MAX_PRIVATE
        };
        let loaded = match &self.loaded {
            Ok(loaded) => {
                let mut unusable = loaded.unusable.0.iter();
                loaded.schema.len() <= MAX_SCHEMA
                    && unusable.all(|(id, detail)| is_line(id, MAX_NAME) && is_detail(detail))
            }
            Err(refused) => is_line(&refused.reason, MAX_PUBLIC) && is_detail(&refused.detail),
        };
        loaded && self.lacks.0.iter().all(|lack| is_line(lack, MAX_PUBLIC))
    }
}

/// What a plugin's code says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Loaded {
    pub(crate) abilities: Abilities,
    /// The JSON Schema of its configuration; empty if it has none.
    pub(crate) schema: String,
    /// Extensions that can't be used, with what the layout checker found.
    pub(crate) unusable: Few<(String, Option<String>)>,
}

/// Why it could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NotLoaded {
    /// One sentence.
    pub(crate) reason: String,
    /// The long form, for the debug log.
    pub(crate) detail: Option<String>,
}

/// A worker's answer, if it is one that the plugin's caller in there would have handed on.
pub(super) fn answer<T: DeserializeOwned + Answer>(body: &[u8]) -> Result<T, Bad> {
    let answer = frame::decode::<T>(body)?;
    match answer.is_within_bounds() {
        true => Ok(answer),
        false => Err(Bad::Garbage("it is not within its bounds".to_owned())),
    }
}

/// What the server asks of a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Task<'a> {
    /// Answered with `Vec<ConfigNote>`; all others but the last with a `Result<_, Fault>`.
    ValidateConfig(Cow<'a, str>),
    Open(Cow<'a, str>),
    Enroll(Cow<'a, EnrollRequest>),
    Poll(Cow<'a, PollRequest>),
    Recover(Cow<'a, RecoverRequest>),
    Push(Cow<'a, PushRequest>),
    Health,
    Revoke(Cow<'a, RevokeRequest>),
    CaCerts,
    Crl,
    /// Close the handler. Answered with `()`.
    Close,
}

/// What a plugin asks of the host. Answered with a `Result<_, Fault>`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Errand<'a> {
    Secret(SecretRef),
    StateGet(Cow<'a, str>),
    StatePut {
        key: Cow<'a, str>,
        value: Cow<'a, [u8]>,
    },
    StateSwap {
        key: Cow<'a, str>,
        expected: Option<u64>,
        value: Cow<'a, [u8]>,
    },
    StateDelete(Cow<'a, str>),
    StateList {
        prefix: Cow<'a, str>,
        after: Option<Cow<'a, str>>,
        limit: usize,
    },
}

/// What a plugin tells the host.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Note<'a> {
    Log {
        level: Level,
        message: Cow<'a, str>,
        fields: Pairs<'a>,
    },
    MetricAdd {
        name: Cow<'a, str>,
        labels: Pairs<'a>,
        value: u64,
    },
    MetricSet {
        name: Cow<'a, str>,
        labels: Pairs<'a>,
        value: f64,
    },
}

impl Note<'_> {
    /// Whether the plugin's host in a worker could have sent it.
    pub(super) fn is_within_bounds(&self) -> bool {
        let (text, limit, pairs) = match self {
            Self::Log {
                message, fields, ..
            } => (message, MAX_PRIVATE, fields),
            Self::MetricAdd { name, labels, .. } | Self::MetricSet { name, labels, .. } => {
                (name, MAX_NAME, labels)
            }
        };
        let mut pairs = pairs.0.iter();
        text.len() <= limit
            && pairs.all(|(name, value)| name.len() <= MAX_NAME && value.len() <= MAX_PRIVATE)
    }
}

pub(super) type Pairs<'a> = UpTo<MAX_PAIRS, (Cow<'a, str>, Cow<'a, str>)>;

/// Bytes that are wiped when they are dropped.
pub(super) struct Secret(pub(super) Zeroizing<Vec<u8>>);

impl Serialize for Secret {
    // In one piece.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(SecretVisitor)
    }
}

struct SecretVisitor;

impl Visitor<'_> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a secret's bytes")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Secret, E> {
        Ok(Secret(Zeroizing::new(bytes.to_vec())))
    }
}

#[cfg(test)]
mod tests {
    use postcard::ser_flavors::Flavor;

    use super::*;

    /// Counts what is written at once.
    struct Pieces(usize);

    impl Flavor for Pieces {
        type Output = usize;

        fn try_push(&mut self, _: u8) -> postcard::Result<()> {
            self.0 += 1;
            Ok(())
        }

        fn try_extend(&mut self, _: &[u8]) -> postcard::Result<()> {
            self.0 += 1;
            Ok(())
        }

        fn finalize(self) -> postcard::Result<usize> {
            Ok(self.0)
        }
    }

    #[test]
    fn a_secret_is_carried_in_one_piece() {
        let secret = || Secret(Zeroizing::new(vec![7; 5_000]));
        let pieces = postcard::serialize_with_flavor(&secret(), Pieces(0)).unwrap();
        // Its length and itself.
        assert!(pieces <= 3, "{pieces}");
        let frame = frame::encode(frame::Kind::Reply, 1, &secret()).unwrap();
        let carried: Secret = frame::decode(&frame[9..]).unwrap();
        assert_eq!(*carried.0, vec![7; 5_000]);
    }
}
