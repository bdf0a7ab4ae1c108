//! How bytes are carried when the host has a handler in another process: in one piece, where serde
//! would take them one by one.

use std::fmt;

use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

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

/// For `#[serde(with)]` on a `Vec<Vec<u8>>`.
pub(crate) mod lists {
    use serde::Deserialize as _;
    use serde::ser::SerializeSeq as _;

    use super::{Bytes, Deserializer, Piece, Serializer};

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
        let list = Vec::<Bytes>::deserialize(deserializer)?;
        Ok(list.into_iter().map(|bytes| bytes.0).collect())
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
    use std::time::SystemTime;

    use crate::{Chain, EnrollRequest, Enrollment, Fault, Poll, SecretRef, Versioned};

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
        request.not_after = Some(SystemTime::UNIX_EPOCH);
        let carried = there_and_back(&request);
        assert_eq!(carried.csr, request.csr);
        assert_eq!(carried.not_after, request.not_after);
        assert_eq!(carried.deadline, request.deadline);
    }
}
