//! [`Frame`]: how messages are told apart on the socket: their length, their kind, the number of the
//! call they belong to, and then the message in postcard's format.

use std::io::{ErrorKind, Read};

use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

/// No message is larger; a frame that says it is ends the worker.
pub(super) const LARGEST: usize = 16 * 1024 * 1024;

/// Length, kind, number.
const HEAD: usize = 4 + 1 + 4;

/// Messages may carry secrets.
pub(super) type Buffer = Zeroizing<Vec<u8>>;

/// What a frame is, for whoever gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It wants a reply of the same number.
    Call = 0,
    Reply = 1,
    /// It wants none.
    Note = 2,
}

#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) number: u32,
    pub(super) body: Buffer,
}

/// What can't be a message.
#[derive(Debug, thiserror::Error)]
pub(super) enum Bad {
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
    #[error("a message is larger than {} MiB", LARGEST / (1024 * 1024))]
    TooLarge,
    #[error("what came is no message: {0}")]
    Garbage(String),
}

impl Frame {
    /// The next one, or nothing at the end. The memory it takes grows with what has come, not with what
    /// is announced.
    pub(super) fn read(from: &mut impl Read) -> Result<Option<Self>, Bad> {
        let mut head = [0; HEAD];
        if !fill(from, &mut head)? {
            return Ok(None);
        }
        let [l0, l1, l2, l3, kind, n0, n1, n2, n3] = head;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        let kind = match kind {
            0 => Kind::Call,
            1 => Kind::Reply,
            2 => Kind::Note,
            other => return Err(Bad::Garbage(format!("kind {other}"))),
        };
        if usize::try_from(length).map_or(true, |length| length > LARGEST) {
            return Err(Bad::TooLarge);
        }
        let mut body = Buffer::default();
        let got = from.take(length.into()).read_to_end(&mut body)?;
        if got as u64 != u64::from(length) {
            return Err(std::io::Error::from(ErrorKind::UnexpectedEof).into());
        }
        Ok(Some(Self {
            kind,
            number: u32::from_le_bytes([n0, n1, n2, n3]),
            body,
        }))
    }
}

/// Whether there was anything before the end; an end in the midst of it is an error.
fn fill(from: &mut impl Read, head: &mut [u8]) -> std::io::Result<bool> {
    let Some((first, rest)) = head.split_first_mut() else {
        return Ok(true);
    };
    loop {
        match from.read(std::slice::from_mut(first)) {
            Ok(0) => return Ok(false),
            Ok(_) => return from.read_exact(rest).map(|()| true),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A whole frame, ready to be sent.
pub(super) fn encode(kind: Kind, number: u32, message: &impl Serialize) -> Result<Buffer, Bad> {
    let mut frame = Buffer::new(Vec::with_capacity(1024));
    frame.extend_from_slice(&[0, 0, 0, 0, kind as u8]);
    frame.extend_from_slice(&number.to_le_bytes());
    let mut frame = match postcard::serialize_with_flavor(message, Bounded(frame)) {
        Ok(frame) => frame,
        Err(postcard::Error::SerializeBufferFull) => return Err(Bad::TooLarge),
        Err(error) => return Err(Bad::Garbage(error.to_string())),
    };
    let length = u32::try_from(frame.len() - HEAD).map_err(|_| Bad::TooLarge)?;
    if let Some(place) = frame.first_chunk_mut() {
        *place = length.to_le_bytes();
    }
    Ok(frame)
}

pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Bad> {
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Ok(message),
        Ok(_) => Err(Bad::Garbage("bytes are left over".to_owned())),
        Err(error) => Err(Bad::Garbage(error.to_string())),
    }
}

/// Where a message is written to, up to the largest size.
struct Bounded(Buffer);

impl Flavor for Bounded {
    type Output = Buffer;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        if self.0.len() + bytes.len() > LARGEST + HEAD {
            return Err(postcard::Error::SerializeBufferFull);
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Buffer> {
        Ok(self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_arrives_as_it_was_sent() {
        let message = ("text".to_owned(), vec![1_u16, 2], Some(7_u64));
        let mut sent = encode(Kind::Reply, 0xdead_beef, &message).unwrap();
        let second = encode(Kind::Note, 0, &()).unwrap();
        sent.extend_from_slice(&second);
        let mut from = sent.as_slice();
        let frame = Frame::read(&mut from).unwrap().unwrap();
        assert_eq!((frame.kind, frame.number), (Kind::Reply, 0xdead_beef));
        assert_eq!(
            decode::<(String, Vec<u16>, Option<u64>)>(&frame.body).unwrap(),
            message
        );
        let frame = Frame::read(&mut from).unwrap().unwrap();
        assert_eq!((frame.kind, frame.number), (Kind::Note, 0));
        assert!(Frame::read(&mut from).unwrap().is_none());
    }

    #[test]
    fn what_is_cut_off_too_large_or_no_message_is_told() {
        let sent = encode(Kind::Call, 1, &"a message").unwrap();
        for end in 1..sent.len() {
            let cut = Frame::read(&mut &sent[..end]);
            assert!(matches!(cut, Err(Bad::Io(_))), "{end}: {cut:?}");
        }
        let announced = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0];
        let large = Frame::read(&mut announced.as_slice());
        assert!(matches!(large, Err(Bad::TooLarge)));
        let large = encode(Kind::Call, 1, &"x".repeat(LARGEST + 1));
        assert!(matches!(large, Err(Bad::TooLarge)));
        assert!(decode::<u8>(&[1, 2]).is_err(), "bytes are left over");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut from = bytes.as_slice();
            while let Ok(Some(frame)) = Frame::read(&mut from) {
                let _ = decode::<super::super::message::Errand<'_>>(&frame.body);
                let _ = decode::<super::super::message::Task<'_>>(&frame.body);
            }
        }
    }
}
