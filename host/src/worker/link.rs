//! [`Link`]: one end of the connection, for many calls at once in both directions.

use std::collections::HashMap;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use serde::Serialize;

use super::frame::{self, Bad, Buffer, Kind};

/// The writing half of a connection, and who waits for which reply. Whoever reads (see
/// [`Inbox`](super::inbox::Inbox)) hands replies to [`deliver`](Self::deliver).
pub(super) struct Link {
    stream: UnixStream,
    /// Held for one frame, so that frames don't mix.
    writing: Mutex<()>,
    /// How long sending a frame may take, with the wait for those before it; for ever if not set.
    patience: Option<Duration>,
    unread: AtomicBool,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    last: u32,
    replies: HashMap<u32, SyncSender<Buffer>>,
    refusing: bool,
    closed: bool,
}

/// A call that has been sent.
pub(super) struct Sent {
    pub(super) number: u32,
    /// Its reply; broken if there will be none.
    pub(super) reply: Receiver<Buffer>,
}

impl Link {
    pub(super) fn new(stream: UnixStream, patience: Option<Duration>) -> Self {
        Self {
            stream,
            writing: Mutex::default(),
            patience,
            unread: AtomicBool::new(false),
            waiting: Mutex::default(),
        }
    }

    pub(super) fn call(&self, message: &impl Serialize) -> Result<Sent, Bad> {
        self.call_within(message, self.patience)
    }

    /// Sends a call, which may take so long.
    pub(super) fn call_within(
        &self,
        message: &impl Serialize,
        patience: Option<Duration>,
    ) -> Result<Sent, Bad> {
        self.enter(message, patience, false)
    }

    /// Sends the call that may follow [`refuse`](Self::refuse).
    pub(super) fn last_call(
        &self,
        message: &impl Serialize,
        patience: Option<Duration>,
    ) -> Result<Sent, Bad> {
        self.enter(message, patience, true)
    }

    fn enter(
        &self,
        message: &impl Serialize,
        patience: Option<Duration>,
        last: bool,
    ) -> Result<Sent, Bad> {
        let (sender, reply) = sync_channel(1);
        let number = {
            let mut waiting = self.waiting.lock();
            if waiting.refusing && !last {
                return Err(Bad::Refused);
            }
            waiting.last = waiting.last.wrapping_add(1);
            let number = waiting.last;
            // After the end the sender is dropped, so that nobody waits.
            if !waiting.closed {
                waiting.replies.insert(number, sender);
            }
            number
        };
        let sent = frame::encode(Kind::Call, number, message)
            .and_then(|frame| self.write_within(&frame, patience));
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

    /// From here on no call is sent. Whoever was quicker is one of those that wait.
    pub(super) fn refuse(&self) {
        self.waiting.lock().refusing = true;
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

    /// Whether it was cut because the other side did not read.
    pub(super) fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Acquire)
    }

    /// Sends a frame.
    pub(super) fn write(&self, frame: &[u8]) -> Result<(), Bad> {
        self.write_within(frame, self.patience)
    }

    /// Who does not read in time gets no more: a frame that was sent in part can't be gone on with, and
    /// those who wait to send theirs would do so for ever.
    fn write_within(&self, frame: &[u8], patience: Option<Duration>) -> Result<(), Bad> {
        let until = patience.map(|patience| Instant::now() + patience);
        let written = match self.turn(until) {
            Some(_whole) => self.send(frame, until)?,
            None => false,
        };
        if written {
            return Ok(());
        }
        self.unread.store(true, Ordering::Release);
        self.cut();
        Err(Bad::Unread)
    }

    fn turn(&self, until: Option<Instant>) -> Option<MutexGuard<'_, ()>> {
        match until {
            Some(until) => self.writing.try_lock_until(until),
            None => Some(self.writing.lock()),
        }
    }

    /// Whether all of it could be sent by then.
    fn send(&self, mut rest: &[u8], until: Option<Instant>) -> std::io::Result<bool> {
        while !rest.is_empty() {
            match send(
                &self.stream,
                rest,
                SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
            ) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if self.has_room(until) => {}
                Err(Errno::AGAIN) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Waits until more can be sent; whether it can, by then.
    fn has_room(&self, until: Option<Instant>) -> bool {
        let mut socket = [PollFd::new(&self.stream, PollFlags::OUT)];
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            match poll(&mut socket, left.as_ref()) {
                Ok(ready) => return ready > 0,
                Err(Errno::INTR) => {}
                // Sending will tell.
                Err(_) => return true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn who_does_not_read_is_given_up() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let patience = Duration::from_millis(200);
        let link = Link::new(ours, Some(patience));
        let begun = Instant::now();
        // More than the socket takes: whose turn it is waits for room, and the others for their turn.
        let unread = std::thread::scope(|scope| {
            let writers = [(); 4].map(|()| scope.spawn(|| link.call(&vec![7_u8; 300_000])));
            writers.map(|writer| writer.join().unwrap().err().unwrap())
        });
        let all = unread.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(matches!(unread[0], Bad::Unread | Bad::Io(_)), "{all:?}");
        assert!(link.is_unread() && link.is_idle());
        assert!(begun.elapsed() < patience * 10, "{:?}", begun.elapsed());
        // The other side gets what was sent, and then the end.
        let mut read = Vec::new();
        theirs.read_to_end(&mut read).unwrap();
        assert!(read.len() < 300_000);
        assert!(matches!(link.note(&1), Err(Bad::Io(_))));
    }

    #[test]
    fn who_reads_slowly_gets_all_of_it() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let link = Link::new(ours, Some(Duration::from_secs(20)));
        std::thread::scope(|scope| {
            scope.spawn(|| link.note(&vec![7_u8; 1_000_000]).unwrap());
            let mut read = vec![0; 1_000_000];
            for piece in read.chunks_mut(100_000) {
                std::thread::sleep(Duration::from_millis(5));
                theirs.read_exact(piece).unwrap();
            }
        });
        assert!(!link.is_unread());
    }
}
