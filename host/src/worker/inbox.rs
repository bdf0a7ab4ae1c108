//! [`Inbox`]: the reading half of a connection that many threads share, each of which may be the one
//! that reads.
//!
//! A frame that wakes two threads one after the other costs far more than all that is done with it, the
//! more so if they are on different processors. So whoever is sure to be awake reads: in the server
//! the thread that waits for a reply, in a worker any thread that is free. Between them the kernel
//! watches the socket (epoll, one shot at a time) and wakes one thread of those that
//! [`wait`](Inbox::wait), but none while somebody reads.

use std::io::{Error, ErrorKind};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::frame::{Bad, Frame, Partial};

pub(super) struct Inbox {
    stream: UnixStream,
    epoll: OwnedFd,
    partial: Mutex<Partial>,
}

/// The right to read. Giving it up has the kernel watch the socket again.
pub(super) struct Reading<'a> {
    inbox: &'a Inbox,
    partial: MutexGuard<'a, Partial>,
}

/// What reading comes to.
pub(super) enum Next {
    Frame(Frame),
    /// No whole frame is there yet.
    Nothing,
    /// There will be no more.
    End,
}

impl Inbox {
    pub(super) fn new(stream: UnixStream) -> std::io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let events = EventFlags::IN | EventFlags::ONESHOT;
        epoll::add(&epoll, &stream, EventData::new_u64(0), events)?;
        Ok(Self {
            stream,
            epoll,
            partial: Mutex::default(),
        })
    }

    /// Waits until there is something to read and it is for this thread to do so.
    pub(super) fn wait(&self) -> Result<Reading<'_>, Bad> {
        let mut events = [MaybeUninit::uninit()];
        loop {
            match epoll::wait(&self.epoll, &mut events, None) {
                Ok(_) => return Ok(self.reading(self.partial.lock())),
                Err(Errno::INTR) => {}
                Err(error) => return Err(Error::from(error).into()),
            }
        }
    }

    /// For a thread that waits for a reply: to read, unless another one does.
    pub(super) fn try_read(&self) -> Option<Reading<'_>> {
        let partial = self.partial.try_lock()?;
        self.watch(EventFlags::empty());
        Some(self.reading(partial))
    }

    /// Waits for one frame, for as long as it takes; nothing at the end.
    pub(super) fn receive(&self) -> Result<Option<Frame>, Bad> {
        loop {
            match self.wait()?.next()? {
                Next::Frame(frame) => return Ok(Some(frame)),
                Next::Nothing => {}
                Next::End => return Ok(None),
            }
        }
    }

    fn reading<'a>(&'a self, partial: MutexGuard<'a, Partial>) -> Reading<'a> {
        Reading {
            inbox: self,
            partial,
        }
    }

    fn watch(&self, what: EventFlags) {
        let what = what | EventFlags::ONESHOT;
        // It fails only for a descriptor that is not there, and it is.
        let _ = epoll::modify(&self.epoll, &self.stream, EventData::new_u64(0), what);
    }
}

impl Reading<'_> {
    /// The next frame, if it is there. No more is taken from the socket than belongs to it.
    pub(super) fn next(&mut self) -> Result<Next, Bad> {
        let stream = &self.inbox.stream;
        let received = self.partial.receive(|space| {
            let (_, count) = recv(stream, space, RecvFlags::DONTWAIT)?;
            Ok(count)
        });
        match received {
            Ok(Some(frame)) => Ok(Next::Frame(frame)),
            Ok(None) => Ok(Next::End),
            Err(Bad::Io(error)) if error.kind() == ErrorKind::WouldBlock => Ok(Next::Nothing),
            Err(bad) => Err(bad),
        }
    }

    /// Waits until there is something to read; whether there is, by then.
    pub(super) fn ready(&self, until: Instant) -> bool {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).ok();
            let mut socket = [PollFd::new(&self.inbox.stream, PollFlags::IN)];
            match poll(&mut socket, left.as_ref()) {
                Ok(ready) => return ready > 0,
                Err(Errno::INTR) => {}
                // Reading will tell.
                Err(_) => return true,
            }
        }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.inbox.watch(EventFlags::IN);
    }
}
