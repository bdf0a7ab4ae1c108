//! [`serve_tls`] and its plainer sisters: accepting connections, no more than the limit at once.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use rustix::net::sockopt::set_ipv6_v6only;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::config::Limits;
use crate::observe::metrics;
use crate::server::connection::{self, Peer, Service, Version};
use crate::server::handshakes::{Current, Handshakes};
use crate::server::routes::Routes;
use crate::server::session::{ClientIdentity, TlsSession};
use crate::server::shutdown::Shutdown;
use crate::server::unix::UnixSocket;

/// Binds each address, within a runtime. All of IPv6, `[::]`, is IPv4 too, unless that is listed apart.
///
/// # Errors
/// An address can't be bound; the message names it.
pub fn bind(addresses: &[SocketAddr]) -> anyhow::Result<Vec<TcpListener>> {
    let listeners = addresses.iter().map(|address| {
        let shared = addresses.iter().any(|other| serves_v4_of(*address, *other));
        listen(*address, shared).with_context(|| format!("can't listen on {address}"))
    });
    listeners.collect()
}

/// Whether `other` is an IPv4 address that `any`, being all of IPv6, would serve too.
fn serves_v4_of(any: SocketAddr, other: SocketAddr) -> bool {
    any.is_ipv6() && any.ip().is_unspecified() && other.is_ipv4() && any.port() == other.port()
}

fn listen(address: SocketAddr, v6_only: bool) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // After a restart, connections of the former process may still be in their last minute.
    socket.set_reuseaddr(true)?;
    if v6_only {
        set_ipv6_v6only(&socket, true)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 1024;

/// Serves HTTPS until `shutdown` starts. The listeners share one limit of connections.
pub fn serve_tls(
    listeners: Vec<TcpListener>,
    handshakes: &Arc<Handshakes>,
    routes: impl Into<Routes>,
    limits: &Limits,
    shutdown: &Shutdown,
) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let service = service(routes, limits, shutdown);
    for listener in listeners {
        let (service, slots) = (Arc::clone(&service), Arc::clone(&slots));
        let handshakes = Arc::clone(handshakes);
        shutdown.spawn(async move {
            accept(
                &service,
                &slots,
                || listener.accept(),
                |(stream, address), slot| {
                    let task = secure(Arc::clone(&service), handshakes.current(), stream, address);
                    service.shutdown.spawn(holding(slot, task));
                },
            )
            .await;
        });
    }
}

/// Serves plain HTTP/1.1 until `shutdown` starts.
pub fn serve_plain(
    listener: TcpListener,
    routes: impl Into<Routes>,
    limits: &Limits,
    shutdown: &Shutdown,
) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let service = service(routes, limits, shutdown);
    shutdown.spawn(async move {
        accept(
            &service,
            &slots,
            || listener.accept(),
            |(stream, address), slot| {
                let _ = stream.set_nodelay(true);
                let peer = Peer {
                    address: Some(address),
                    session: None,
                };
                let task = connection::serve(Arc::clone(&service), stream, peer, Version::Http1);
                service.shutdown.spawn(holding(slot, task));
            },
        )
        .await;
    });
}

/// Serves plain HTTP/1.1 on a Unix socket until `shutdown` starts, to whoever shows its pass.
pub fn serve_unix(socket: UnixSocket, routes: Router, limits: &Limits, shutdown: &Shutdown) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let service = service(socket.pass.clone().guard(routes), limits, shutdown);
    shutdown.spawn(async move {
        accept(
            &service,
            &slots,
            || socket.listener.accept(),
            |(stream, _), slot| {
                let peer = Peer {
                    address: None,
                    session: None,
                };
                let task = connection::serve(Arc::clone(&service), stream, peer, Version::Http1);
                service.shutdown.spawn(holding(slot, task));
            },
        )
        .await;
    });
}

fn service(routes: impl Into<Routes>, limits: &Limits, shutdown: &Shutdown) -> Arc<Service> {
    Arc::new(Service {
        routes: routes.into(),
        limits: limits.clone(),
        shutdown: shutdown.clone(),
    })
}

/// The first wait after a failed accept, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// How long a peer that is sent away may take to go.
const LINGER: Duration = Duration::from_secs(1);

/// Hands each connection on, together with its slot. Beyond the limit, connections wait in the
/// kernel's queue.
async fn accept<C, A>(
    service: &Service,
    slots: &Arc<Semaphore>,
    next: impl Fn() -> A,
    hand_on: impl Fn(C, OwnedSemaphorePermit),
) where
    A: Future<Output = io::Result<C>>,
{
    let mut pause = PAUSE.0;
    loop {
        let connection = async {
            let slot = Arc::clone(slots).acquire_owned().await;
            (slot, next().await)
        };
        let (slot, connection) = tokio::select! {
            () = service.shutdown.started() => return,
            connection = connection => connection,
        };
        match (slot, connection) {
            (Ok(slot), Ok(connection)) => {
                pause = PAUSE.0;
                hand_on(connection, slot);
            }
            (Ok(_), Err(error)) if of_one_connection(&error) => {}
            (Ok(_), Err(error)) => {
                // No file descriptors, no memory: it fails again at once, and may pass.
                tracing::warn!(%error, "can't accept connections for the moment");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE.1);
            }
            (Err(_), _) => return,
        }
    }
}

fn of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

async fn holding(slot: OwnedSemaphorePermit, task: impl Future<Output = ()>) {
    let _counted = metrics::Connection::opened();
    task.await;
    drop(slot);
}

/// TLS first, then HTTP as agreed by ALPN.
async fn secure(
    service: Arc<Service>,
    handshake: Arc<Current>,
    stream: TcpStream,
    address: SocketAddr,
) {
    // An answer is one write; Nagle would only hold it back.
    let _ = stream.set_nodelay(true);
    let accepted = async {
        if speaks_plain_http(&stream).await? {
            refuse_plain_http(stream).await;
            return Ok(None);
        }
        let acceptor = TlsAcceptor::from(Arc::clone(&handshake.config));
        acceptor.accept(stream).await.map(Some)
    };
    let stream = match timeout(service.limits.head_timeout, accepted).await {
        Ok(Ok(Some(stream))) => stream,
        Ok(Ok(None)) => return,
        Ok(Err(error)) => {
            tracing::debug!(%address, %error, "TLS handshake failed");
            return;
        }
        Err(_) => {
            tracing::debug!(%address, "TLS handshake took too long");
            return;
        }
    };
    let version = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Version::Http2,
        _ => Version::Http1,
    };
    let session = match handshake.identity {
        ClientIdentity::Ignored => None,
        ClientIdentity::Bound | ClientIdentity::Requested => {
            Some(Arc::new(TlsSession::of(stream.get_ref().1)))
        }
    };
    let peer = Peer {
        address: Some(address),
        session,
    };
    connection::serve(service, stream, peer, version).await;
}

/// Every TLS record begins with its content type, and a handshake's is 22 (RFC 8446 §5.1). An HTTP
/// method begins with a letter.
async fn speaks_plain_http(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    let length = stream.peek(&mut first).await?;
    Ok(length == 1 && first[0].is_ascii_alphabetic())
}

async fn refuse_plain_http(mut stream: TcpStream) {
    const ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\
        Content-Length: 41\r\nConnection: close\r\n\r\nthis port speaks HTTPS; use https:// URLs";
    let _ = stream.write_all(ANSWER).await;
    let _ = stream.shutdown().await;
    // Closing with bytes unread would reset the connection, and the answer with it.
    let mut rest = stream.take(64 * 1024);
    let _ = timeout(LINGER, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// EMFILE and the like pass; a listener that gave up would not come back.
    #[tokio::test(start_paused = true)]
    async fn accepting_goes_on_after_errors() {
        let shutdown = Shutdown::new();
        let service = service(Router::new(), &Limits::default(), &shutdown);
        let slots = Arc::new(Semaphore::new(2));
        let calls = Cell::new(0);
        let next = || {
            calls.set(calls.get() + 1);
            std::future::ready(match calls.get() {
                1..=3 => Err(io::Error::from_raw_os_error(24)),
                4 => Err(io::ErrorKind::ConnectionAborted.into()),
                call => Ok(call),
            })
        };
        let start = tokio::time::Instant::now();
        let slots_held = std::cell::RefCell::new(Vec::new());
        let accepting = accept(&service, &slots, next, |call, slot| {
            slots_held.borrow_mut().push((call, slot));
        });
        // Two slots, so two connections; the third is not even accepted.
        let result = timeout(Duration::from_secs(5), accepting).await;
        assert!(result.is_err());
        let handed_on: Vec<i32> = slots_held.borrow().iter().map(|(call, _)| *call).collect();
        assert_eq!(handed_on, [5, 6]);
        assert_eq!(calls.get(), 6);
        assert_eq!(start.elapsed(), Duration::from_secs(5));

        shutdown.start();
        slots_held.borrow_mut().clear();
        accept(
            &service,
            &slots,
            std::future::pending::<io::Result<()>>,
            |(), _| {},
        )
        .await;
    }
}
