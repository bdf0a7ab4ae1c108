//! Listeners, TLS, limits, request ids, graceful shutdown. Knows no protocol above HTTP: what is
//! served is a `Router` that somebody else made, and may be exchanged ([`Routes`]).
//!
//! A connection's way: [`listener`] accepts, `tls` decides what certificate it sees, `connection`
//! speaks HTTP on it under the limits, `request` wraps each request, [`shutdown`] ends it all.

mod connection;
mod handshakes;
pub mod listener;
mod own_certificate;
mod pass;
mod pulse;
mod request;
mod routes;
mod session;
pub mod shutdown;
pub mod tls;
mod unix;

#[cfg(test)]
mod tests;

pub use connection::Peer;
pub use handshakes::Handshakes;
pub use listener::{bind, serve_plain, serve_tls, serve_unix};
pub use own_certificate::{OwnCertificate, keep_issued};
pub use pass::Pass;
pub use request::is_too_long;
pub use routes::Routes;
pub use session::{ClientIdentity, TlsSession};
pub use shutdown::{Ending, Shutdown};
pub use tls::{CurrentCertificate, keep_loaded, load};
pub use unix::UnixSocket;
