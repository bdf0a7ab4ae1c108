//! [`Link`]: one end of the connection, for many calls at once in both directions.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use parking_lot::Mutex;
use serde::Serialize;

use super::frame::{self, Bad, Buffer, Kind};

/// The writing half of a connection, and who waits for which reply. Whoever reads (see
/// [`Inbox`](super::inbox::Inbox)) hands replies to [`deliver`](Self::deliver).
pub(super) struct Link {
    stream: UnixStream,
    /// Held for one frame, so that frames don't mix.
    writing: Mutex<()>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    last: u32,
    replies: HashMap<u32, SyncSender<Buffer>>,
    closed: bool,
}

/// A call that has been sent.
pub(super) struct Sent {
    pub(super) number: u32,
    /// Its reply; broken if there will be none.
    pub(super) reply: Receiver<Buffer>,
}

impl Link {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            writing: Mutex::default(),
            waiting: Mutex::default(),
        }
    }

    pub(super) fn call(&self, message: &impl Serialize) -> Result<Sent, Bad> {
        let (sender, reply) = sync_channel(1);
        let number = {
            let mut waiting = self.waiting.lock();
            waiting.last = waiting.last.wrapping_add(1);
            let number = waiting.last;
            // After the end the sender is dropped, so that nobody waits.
            if !waiting.closed {
                waiting.replies.insert(number, sender);
            }
            number
        };
        let sent = frame::encode(Kind::Call, number, message).and_then(|frame| self.write(&frame));
        match sent {
            Ok(()) => Ok(Sent { number, reply }),
            Err(error) => {
                self.forget(number);
                Err(error)
            }
        }
    }

    pub(super) fn note(&self, message: &impl Serialize) -> Result<(), Bad> {
        self.write(&frame::encode(Kind::Note, 0, message)?)
    }

    pub(super) fn reply(&self, number: u32, message: &impl Serialize) -> Result<(), Bad> {
        self.write(&frame::encode(Kind::Reply, number, message)?)
    }

    /// A reply that nobody waits for any longer is dropped.
    pub(super) fn deliver(&self, number: u32, body: Buffer) {
        let sender = self.waiting.lock().replies.remove(&number);
        if let Some(sender) = sender {
            // Whoever waited may be gone.
            let _ = sender.send(body);
        }
    }

    pub(super) fn forget(&self, number: u32) {
        self.waiting.lock().replies.remove(&number);
    }

    /// Whether nobody waits for a reply.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.lock().replies.is_empty()
    }

    /// There will be no more replies: nobody waits any longer.
    pub(super) fn close(&self) {
        let mut waiting = self.waiting.lock();
        waiting.closed = true;
        waiting.replies.clear();
    }

    /// Lets the other side read to the end.
    pub(super) fn hang_up(&self) {
        // It may be gone already.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends both directions at once, for those too who are reading or writing now.
    pub(super) fn cut(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Sends a frame.
    pub(super) fn write(&self, frame: &[u8]) -> Result<(), Bad> {
        let _whole = self.writing.lock();
        Ok((&self.stream).write_all(frame)?)
    }
}
