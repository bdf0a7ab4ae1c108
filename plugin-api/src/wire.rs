//! How a handler's calls are carried when the host has it in another process: bytes in one piece, where
//! serde would take them one by one; lists up to the length that they may have; times as the tables of
//! `abi` carry them, those before 1970 too.

use std::fmt;
use std::marker::PhantomData;
use std::time::SystemTime;

use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::abi::types::{MAX_CHAIN, Timestamp};

/// For `#[serde(with)]` on a `Vec<u8>`.
pub(crate) mod bytes {
    use super::{BytesVisitor, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_byte_buf(BytesVisitor)
    }
}

/// For `#[serde(with)]` on a chain, or on a CA's certificates.
pub(crate) mod lists {
    use serde::Deserialize as _;
    use serde::ser::SerializeSeq as _;

    use super::{Certificates, Deserializer, Piece, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        list: &[Vec<u8>],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut pieces = serializer.serialize_seq(Some(list.len()))?;
        for piece in list {
            pieces.serialize_element(&Piece(piece))?;
        }
        pieces.end()
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Vec<u8>>, D::Error> {
        Ok(Certificates::deserialize(deserializer)?.into())
    }
}

/// For `#[serde(with)]` on the alternates of a chain.
pub(crate) mod chains {
    use serde::Deserialize as _;
    use serde::ser::SerializeSeq as _;

    use super::{Certificates, Deserializer, List, Serializer, UpTo};
    use crate::abi::types::MAX_ALTERNATES;

    pub(crate) fn serialize<S: Serializer>(
        chains: &[Vec<Vec<u8>>],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut lists = serializer.serialize_seq(Some(chains.len()))?;
        for chain in chains {
            lists.serialize_element(&List(chain))?;
        }
        lists.end()
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Vec<Vec<u8>>>, D::Error> {
        let chains = UpTo::<MAX_ALTERNATES, Certificates>::deserialize(deserializer)?;
        Ok(chains.0.into_iter().map(Vec::from).collect())
    }
}

/// For `#[serde(with)]` on a `SystemTime`.
pub(crate) mod time {
    use serde::{Deserialize as _, Serialize as _};

    use super::{Deserializer, Serializer, SystemTime, Time};

    pub(crate) fn serialize<S: Serializer>(
        time: &SystemTime,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        Time(*time).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SystemTime, D::Error> {
        Time::deserialize(deserializer).map(|time| time.0)
    }
}

/// For `#[serde(with)]` on an `Option<SystemTime>`.
pub(crate) mod optional_time {
    use serde::{Deserialize as _, Serialize as _};

    use super::{Deserializer, Serializer, SystemTime, Time};

    pub(crate) fn serialize<S: Serializer>(
        time: &Option<SystemTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(Time).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        Option::<Time>::deserialize(deserializer).map(|time| time.map(|time| time.0))
    }
}

/// A list that is refused as soon as it says that it has more than `N`, before there is memory for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpTo<const N: usize, T>(pub Vec<T>);

impl<const N: usize, T: Serialize> Serialize for UpTo<N, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, const N: usize, T: Deserialize<'de>> Deserialize<'de> for UpTo<N, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(UpToVisitor(PhantomData))
    }
}

struct UpToVisitor<const N: usize, T>(PhantomData<T>);

impl<'de, const N: usize, T: Deserialize<'de>> Visitor<'de> for UpToVisitor<N, T> {
    type Value = UpTo<N, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of up to {N}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<UpTo<N, T>, A::Error> {
        let announced = items.size_hint().unwrap_or_default();
        if announced > N {
            return Err(A::Error::invalid_length(announced, &self));
        }
        let mut list = Vec::with_capacity(announced);
        while let Some(item) = items.next_element()? {
            if list.len() == N {
                return Err(A::Error::invalid_length(N + 1, &self));
            }
            list.push(item);
        }
        Ok(UpTo(list))
    }
}

/// A chain, or what a CA's certificates are.
type Certificates = UpTo<MAX_CHAIN, Bytes>;

impl From<Certificates> for Vec<Vec<u8>> {
    fn from(certificates: Certificates) -> Self {
        certificates.0.into_iter().map(|bytes| bytes.0).collect()
    }
}

struct Time(SystemTime);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Timestamp { seconds, nanos } = self.0.into();
        (seconds, nanos).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (seconds, nanos) = Deserialize::deserialize(deserializer)?;
        let time = Timestamp { seconds, nanos }.to_system();
        time.map(Self).map_err(|_| D::Error::custom("no such time"))
    }
}

/// A list of pieces, to be serialised.
struct List<'a>(&'a [Vec<u8>]);

impl Serialize for List<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        lists::serialize(self.0, serializer)
    }
}

struct Piece<'a>(&'a [u8]);

impl Serialize for Piece<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bytes::deserialize(deserializer).map(Self)
    }
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_owned())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }

    // Formats made for people have no bytes, only lists of numbers.
    fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Vec<u8>, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = numbers.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::UpTo;
    use crate::abi::types::{MAX_ALTERNATES, MAX_CHAIN};
    use crate::{Chain, Crl, EnrollRequest, Enrollment, Fault, Poll, SecretRef, Versioned};

    fn there_and_back<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
        serde_json::from_slice(&serde_json::to_vec(value).unwrap()).unwrap()
    }

    #[test]
    fn what_is_carried_arrives() {
        let mut chain = Chain::new(vec![vec![0x30, 0xff], Vec::new()]);
        chain.alternates.push(vec![vec![7]]);
        let issued = Enrollment::Issued(chain);
        assert_eq!(there_and_back(&issued), issued);
        let rejected = Poll::Rejected {
            reason: "nö".to_owned(),
        };
        assert_eq!(there_and_back(&rejected), rejected);
        let fault = Fault::denied("no").code("x").private("y");
        assert_eq!(there_and_back(&fault), fault);
        let secret = SecretRef::File("ca.key".into());
        assert_eq!(there_and_back(&secret), secret);
        let versioned = Versioned {
            value: vec![0, 255],
            version: 9,
        };
        assert_eq!(there_and_back(&versioned), versioned);
        let mut request = EnrollRequest::new("id", vec![1, 2, 3], Vec::new());
        request.not_before = Some(SystemTime::UNIX_EPOCH - Duration::from_nanos(1));
        request.not_after = Some(SystemTime::UNIX_EPOCH);
        let carried = there_and_back(&request);
        assert_eq!(carried.csr, request.csr);
        assert_eq!(carried.not_before, request.not_before);
        assert_eq!(carried.not_after, request.not_after);
        assert_eq!(carried.deadline, request.deadline);
        let crl = Crl {
            der: vec![0x30, 0],
            next_update: SystemTime::UNIX_EPOCH - Duration::from_secs(86_400),
        };
        assert_eq!(there_and_back(&crl), crl);
    }

    #[test]
    fn lists_are_no_longer_than_they_may_be() {
        let read = |text| serde_json::from_str::<UpTo<3, u8>>(text).map(|list| list.0);
        assert!(read("[]").unwrap().is_empty());
        assert_eq!(read("[1, 2, 3]").unwrap(), [1, 2, 3]);
        assert!(read("[1, 2, 3, 4]").is_err());
        let mut chain = Chain::new(vec![vec![0]; MAX_CHAIN]);
        chain.alternates = vec![vec![vec![1]; MAX_CHAIN]; MAX_ALTERNATES];
        assert_eq!(there_and_back(&chain), chain);
        let refused = |chain: &Chain| {
            let written = serde_json::to_vec(chain).unwrap();
            serde_json::from_slice::<Chain>(&written).is_err()
        };
        assert!(refused(&Chain::new(vec![vec![0]; MAX_CHAIN + 1])));
        chain.alternates.push(vec![vec![1]]);
        assert!(refused(&chain));
        chain.alternates = vec![vec![Vec::new(); MAX_CHAIN + 1]];
        assert!(refused(&chain));
    }
}
