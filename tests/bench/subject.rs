//! A server under load, with the DNS server and the responder that its validators ask.

use std::sync::Arc;

use certdock_tests::challenge::Http01;
use certdock_tests::dns::Dns;
use certdock_tests::program::build_dir;
use certdock_tests::server::Server;
use certdock_tests::settings::Settings;
use certdock_tests::tls;
use rustls::ClientConfig;

use crate::pebble::Pebble;

/// A line of the handler's configuration.
pub(crate) const IN_PROCESS: &str = "isolation = \"in-process\"";

pub(crate) struct Subject {
    pub(crate) directory: String,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) pid: u32,
    pub(crate) http01: Arc<Http01>,
    _dns: Dns,
    _process: Process,
}

/// Kept for its end: dropping it stops the server.
enum Process {
    Certdock { _server: Box<Server> },
    Pebble { _server: Pebble },
}

/// Where the code of certdock's CA runs.
#[derive(Clone, Copy)]
pub(crate) enum Isolation {
    InProcess,
    Worker,
}

impl Subject {
    /// On the disk that the build is on: a folder for temporary files may be in memory.
    pub(crate) async fn certdock(isolation: Isolation) -> Self {
        let (dns, http01) = (Dns::start().await, Http01::start().await);
        let settings = Settings {
            resolver: Some(dns.address()),
            http01_port: http01.port(),
            handler: match isolation {
                Isolation::InProcess => IN_PROCESS.to_owned(),
                Isolation::Worker => String::new(),
            },
            ..Settings::default()
        };
        let mut server = Server::prepare_in(settings, &build_dir());
        server.restart();
        Self {
            directory: server.directory(),
            tls: tls::client_config(&server.identity.root),
            pid: server.pid().as_raw_nonzero().get().unsigned_abs(),
            http01: Arc::new(http01),
            _dns: dns,
            _process: Process::Certdock {
                _server: Box::new(server),
            },
        }
    }

    pub(crate) async fn pebble() -> Self {
        let (dns, http01) = (Dns::start().await, Http01::start().await);
        let server = Pebble::start(dns.address(), http01.port(), 1);
        Self {
            directory: server.directory.clone(),
            tls: tls::client_config(&server.identity.root),
            pid: server.pid(),
            http01: Arc::new(http01),
            _dns: dns,
            _process: Process::Pebble { _server: server },
        }
    }
}
