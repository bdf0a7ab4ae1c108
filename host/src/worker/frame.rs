//! [`Frame`]: how messages are told apart on the socket: their length, their kind, the number of the
//! call they belong to, and then the message in postcard's format.

use std::io::ErrorKind;

use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

/// No message is larger; a frame that says it is ends the worker.
pub(super) const LARGEST: usize = 16 * 1024 * 1024;

/// Length, kind, number.
const HEAD: usize = 4 + 1 + 4;

/// How much memory is made ready for what has not come yet.
const PIECE: usize = 64 * 1024;

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
    #[error("it did not read what it was sent")]
    Unread,
    #[error("it takes no more calls")]
    Refused,
    #[error("what came is no message: {0}")]
    Garbage(String),
    #[error("it asked for more than {0} things at once")]
    TooMany(usize),
}

/// A frame of which some part has come.
#[derive(Default)]
pub(super) struct Partial {
    head: [u8; HEAD],
    in_head: usize,
    /// Set once the head is whole: the frame, whose body is memory made ready so far, how much of that has
    /// come, and how long it will be.
    body: Option<(Frame, usize, usize)>,
}

impl Partial {
    /// The rest of the frame, from what fills a piece of memory; nothing at the end. It takes no byte
    /// more than belongs to it, and the memory grows with what has come, not with what is announced.
    /// After an error of kind `WouldBlock` it goes on where it was.
    pub(super) fn receive(
        &mut self,
        mut fill: impl FnMut(&mut [u8]) -> std::io::Result<usize>,
    ) -> Result<Option<Frame>, Bad> {
        let mut fill = |space: &mut [u8]| loop {
            match fill(space) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => return other,
            }
        };
        let broken = || std::io::Error::from(ErrorKind::UnexpectedEof);
        while let Some(space) = self.head.get_mut(self.in_head..).filter(|s| !s.is_empty()) {
            match (fill(space)?, self.in_head) {
                (0, 0) => return Ok(None),
                (0, _) => return Err(broken().into()),
                (count, _) => self.in_head += count,
            }
        }
        let (frame, filled, length) = match &mut self.body {
            Some(body) => body,
            None => {
                let (frame, length) = announced(self.head)?;
                self.body.insert((frame, 0, length))
            }
        };
        while *filled < *length {
            if *filled == frame.body.len() {
                let more = PIECE.min(*length - *filled);
                reserve(&mut frame.body, more);
                frame.body.resize(*filled + more, 0);
            }
            match fill(frame.body.get_mut(*filled..).unwrap_or_default())? {
                0 => return Err(broken().into()),
                count => *filled += count,
            }
        }
        let whole = self.body.take().map(|(frame, _, _)| frame);
        self.in_head = 0;
        Ok(whole)
    }
}

/// What a head says: a frame with no body yet, and how long that will be.
fn announced(head: [u8; HEAD]) -> Result<(Frame, usize), Bad> {
    let [l0, l1, l2, l3, kind, n0, n1, n2, n3] = head;
    let kind = match kind {
        0 => Kind::Call,
        1 => Kind::Reply,
        2 => Kind::Note,
        other => return Err(Bad::Garbage(format!("kind {other}"))),
    };
    let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3]));
    let length = length.ok().filter(|length| *length <= LARGEST);
    let frame = Frame {
        kind,
        number: u32::from_le_bytes([n0, n1, n2, n3]),
        body: Buffer::default(),
    };
    Ok((frame, length.ok_or(Bad::TooLarge)?))
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

/// Makes room for so many more bytes. Memory that grew by itself would leave what is in it behind.
fn reserve(buffer: &mut Buffer, more: usize) {
    let needed = buffer.len() + more;
    if needed > buffer.capacity() {
        let mut larger = Vec::with_capacity(needed.max(2 * buffer.capacity()));
        larger.extend_from_slice(buffer);
        // The former one is wiped.
        *buffer = Buffer::new(larger);
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
        reserve(&mut self.0, bytes.len());
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Buffer> {
        Ok(self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    /// All frames in these bytes, which come `at_once` at a time with nothing in between.
    fn frames(mut bytes: &[u8], at_once: usize) -> Result<Vec<Frame>, Bad> {
        let mut found = Vec::new();
        let mut partial = Partial::default();
        let mut pause = false;
        loop {
            let received = partial.receive(|space| {
                pause = !pause;
                if pause {
                    return Err(ErrorKind::WouldBlock.into());
                }
                let count = space.len().min(at_once);
                bytes.read(&mut space[..count])
            });
            match received {
                Ok(Some(frame)) => found.push(frame),
                Ok(None) => return Ok(found),
                Err(Bad::Io(error)) if error.kind() == ErrorKind::WouldBlock => {}
                Err(bad) => return Err(bad),
            }
        }
    }

    #[test]
    fn a_message_arrives_as_it_was_sent() {
        let message = ("text".to_owned(), vec![1_u16, 2], vec![7_u8; 2 * PIECE]);
        let mut sent = encode(Kind::Reply, 0xdead_beef, &message).unwrap();
        sent.extend_from_slice(&encode(Kind::Note, 0, &()).unwrap());
        for at_once in [1, 3, 1_000, usize::MAX] {
            let [first, second] = frames(&sent, at_once).unwrap().try_into().unwrap();
            assert_eq!((first.kind, first.number), (Kind::Reply, 0xdead_beef));
            assert_eq!(
                decode::<(String, Vec<u16>, Vec<u8>)>(&first.body).unwrap(),
                message
            );
            assert_eq!((second.kind, second.number), (Kind::Note, 0));
        }
    }

    #[test]
    fn what_is_cut_off_too_large_or_no_message_is_told() {
        let sent = encode(Kind::Call, 1, &"a message").unwrap();
        for end in 1..sent.len() {
            let cut = frames(&sent[..end], 4);
            assert!(matches!(cut, Err(Bad::Io(_))), "{end}: {cut:?}");
        }
        let announced = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0];
        assert!(matches!(frames(&announced, 9), Err(Bad::TooLarge)));
        let unknown = [0, 0, 0, 0, 3, 0, 0, 0, 0];
        assert!(matches!(frames(&unknown, 9), Err(Bad::Garbage(_))));
        let large = encode(Kind::Call, 1, &"x".repeat(LARGEST + 1));
        assert!(matches!(large, Err(Bad::TooLarge)));
        assert!(decode::<u8>(&[1, 2]).is_err(), "bytes are left over");
    }

    #[test]
    fn room_is_made_once_for_much_and_seldom_for_little() {
        let mut buffer = Buffer::new(vec![7; 3]);
        reserve(&mut buffer, 1_000);
        let capacity = buffer.capacity();
        assert!(capacity >= 1_003 && **buffer == [7; 3]);
        reserve(&mut buffer, capacity - 3);
        assert_eq!(buffer.capacity(), capacity);
        buffer.resize(capacity, 7);
        reserve(&mut buffer, 1);
        assert!(buffer.capacity() >= 2 * capacity && **buffer == vec![7; capacity]);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), at_once in 1..20_usize) {
            for frame in frames(&bytes, at_once).unwrap_or_default() {
                let _ = decode::<super::super::message::Errand<'_>>(&frame.body);
                let _ = decode::<super::super::message::Task<'_>>(&frame.body);
            }
        }
    }
}
