//! [`Pulse`]: what a connection is doing, and how long it may. One timer a connection watches all of
//! it, where a timer for each head and each answer would cost every request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Shared by a connection's stream, its requests and its watch.
#[derive(Clone, Debug)]
pub(super) struct Pulse {
    state: Arc<Mutex<State>>,
    head_timeout: Duration,
}

#[derive(Debug)]
struct State {
    /// Requests that are being worked on; they have a time limit of their own.
    busy: usize,
    /// The first byte of a request's head has come, the last has not.
    head: bool,
    /// Since when it is so.
    since: Instant,
}

/// How long a connection may stay open between requests, and a peer may leave an answer unread.
/// Longer than clients wait between two polls.
const IDLE: Duration = Duration::from_secs(75);

impl Pulse {
    pub(super) fn new(head_timeout: Duration) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                busy: 0,
                // A new connection owes us a head.
                head: true,
                since: Instant::now(),
            })),
            head_timeout,
        }
    }

    /// A request's head is complete; its work lasts until the guard is dropped.
    pub(super) fn request(&self) -> Busy {
        let mut state = self.state.lock();
        state.busy += 1;
        state.head = false;
        Busy(self.clone())
    }

    /// When the connection will have been idle, or in a head, for too long.
    pub(super) fn deadline(&self) -> Instant {
        let state = self.state.lock();
        match (state.busy, state.head) {
            (0, true) => state.since + self.head_timeout,
            (0, false) => state.since + IDLE,
            // Not before this request has ended and the time for the next has run.
            _ => Instant::now() + self.head_timeout,
        }
    }

    /// Nothing has been worked on, begun or sent for so long?
    pub(super) fn quiet_for(&self, time: Duration) -> bool {
        let state = self.state.lock();
        state.busy == 0 && state.since.elapsed() >= time
    }

    /// Bytes came in: if nothing is under way, a head begins.
    fn received(&self) {
        let mut state = self.state.lock();
        if state.busy == 0 && !state.head {
            state.head = true;
            state.since = Instant::now();
        }
    }

    /// Bytes went out: the peer reads.
    fn sent(&self) {
        let mut state = self.state.lock();
        if state.busy == 0 && !state.head {
            state.since = Instant::now();
        }
    }
}

pub(super) struct Busy(Pulse);

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.busy -= 1;
        state.since = Instant::now();
    }
}

/// A stream that tells its pulse.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    pulse: Pulse,
    /// HTTP/2 has frames that belong to no request, so there bytes don't begin a head.
    heads: bool,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, pulse: Pulse, heads: bool) -> Self {
        Self {
            stream,
            pulse,
            heads,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        if self.heads && buffer.filled().len() > before {
            self.pulse.received();
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        if result.is_ready() {
            self.pulse.sent();
        }
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        if result.is_ready() {
            self.pulse.sent();
        }
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_limit() {
        let start = Instant::now();
        let pulse = Pulse::new(HEAD);
        assert_eq!(pulse.deadline(), start + HEAD);
        tokio::time::advance(Duration::from_secs(1)).await;
        // More bytes of the same head win no time.
        pulse.received();
        assert_eq!(pulse.deadline(), start + HEAD);

        let (one, two) = (pulse.request(), pulse.request());
        tokio::time::advance(Duration::from_secs(100)).await;
        assert!(pulse.deadline() > Instant::now());
        drop(one);
        assert!(pulse.deadline() > Instant::now());
        drop(two);
        assert_eq!(pulse.deadline(), Instant::now() + IDLE);

        tokio::time::advance(Duration::from_secs(5)).await;
        pulse.sent();
        assert_eq!(pulse.deadline(), Instant::now() + IDLE);
        tokio::time::advance(Duration::from_secs(5)).await;
        pulse.received();
        assert_eq!(pulse.deadline(), Instant::now() + HEAD);
    }
}
