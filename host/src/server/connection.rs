//! One connection: HTTP/1.1 or HTTP/2 on a stream, under the limits, until it or the server ends.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::config::Limits;
use crate::server::pulse::{Pulse, Watched};
use crate::server::request;
use crate::server::routes::Routes;
use crate::server::session::TlsSession;
use crate::server::shutdown::Shutdown;

/// Who is at the other end. Stands among a request's extensions.
#[derive(Clone, Debug)]
pub struct Peer {
    /// `None` on a Unix socket.
    pub address: Option<SocketAddr>,
    /// Where the listener wants to know of it.
    pub session: Option<Arc<TlsSession>>,
}

/// What all connections of a listener share.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) routes: Routes,
    pub(super) limits: Limits,
    pub(super) shutdown: Shutdown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// Returns when the connection is closed.
pub(super) async fn serve<S>(service: Arc<Service>, stream: S, peer: Peer, version: Version)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let pulse = Pulse::new(service.limits.head_timeout);
    let stream = Watched::new(stream, pulse.clone(), version == Version::Http1);
    let handler = Handler {
        service: Arc::clone(&service),
        pulse: pulse.clone(),
        peer,
    };
    let builder = builder(&service.limits, version);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), handler));
    let mut watch = std::pin::pin!(tokio::time::sleep_until(pulse.deadline()));
    loop {
        tokio::select! {
            result = &mut connection => {
                if let Err(error) = result {
                    tracing::debug!(%error, "connection ended early");
                }
                return;
            }
            () = &mut watch => {
                let deadline = pulse.deadline();
                if deadline <= tokio::time::Instant::now() {
                    // Says so in HTTP/2, and closes TLS properly, if the peer still takes that.
                    connection.as_mut().graceful_shutdown();
                    let _ = timeout(FAREWELL, connection).await;
                    return;
                }
                watch.as_mut().reset(deadline);
            }
            () = service.shutdown.started() => {
                connection.as_mut().graceful_shutdown();
                // Requests under way end. hyper closes idle connections at once, but waits for those
                // that never sent a request.
                while timeout(FAREWELL, &mut connection).await.is_err() && !pulse.quiet_for(FAREWELL) {}
                return;
            }
        }
    }
}

/// For a connection that is out of time anyway.
const FAREWELL: Duration = Duration::from_secs(1);
/// The least that hyper takes for HTTP/1's buffers.
const LEAST_BUFFER: usize = 8192;
/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 32;

/// Small buffers: an answer is a few kilobytes, and there may be thousands of connections.
fn builder(limits: &Limits, version: Version) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .max_buf_size(limits.head.max(LEAST_BUFFER))
        // `Pulse` watches heads.
        .header_read_timeout(None)
        .timer(TokioTimer::new());
    builder
        .http2()
        .max_header_list_size(u32::try_from(limits.head).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(256 * 1024)
        .max_send_buf_size(64 * 1024)
        .timer(TokioTimer::new());
    match version {
        Version::Http1 => builder.http1_only(),
        Version::Http2 => builder.http2_only(),
    }
}

struct Handler {
    service: Arc<Service>,
    pulse: Pulse,
    peer: Peer,
}

impl hyper::service::Service<Request<Incoming>> for Handler {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let busy = self.pulse.request();
        let service = Arc::clone(&self.service);
        let peer = self.peer.clone();
        Box::pin(async move {
            let response = request::respond(&service, request, peer).await;
            drop(busy);
            Ok(response)
        })
    }
}
