//! [`Handshakes`]: how TLS connections begin, exchanged while the listener serves.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;

use crate::server::session::ClientIdentity;
use crate::server::tls::CurrentCertificate;

/// What the next handshake is done with. Connections that are open stay as they are.
#[derive(Debug)]
pub struct Handshakes {
    certificate: Arc<CurrentCertificate>,
    current: ArcSwap<Current>,
}

#[derive(Debug)]
pub(super) struct Current {
    pub(super) identity: ClientIdentity,
    pub(super) config: Arc<ServerConfig>,
}

impl Handshakes {
    /// # Errors
    /// The TLS library refuses its own defaults.
    pub fn new(
        certificate: Arc<CurrentCertificate>,
        identity: ClientIdentity,
    ) -> anyhow::Result<Arc<Self>> {
        let config = certificate.server_config(identity)?;
        Ok(Arc::new(Self {
            certificate,
            current: ArcSwap::from_pointee(Current { identity, config }),
        }))
    }

    /// Asks clients who they are, or no longer does.
    ///
    /// # Errors
    /// The TLS library refuses its own defaults.
    pub fn ask_for(&self, identity: ClientIdentity) -> anyhow::Result<()> {
        // The same again would lose the sessions that clients want to resume.
        if self.current.load().identity != identity {
            let config = self.certificate.server_config(identity)?;
            self.current.store(Arc::new(Current { identity, config }));
        }
        Ok(())
    }

    pub(super) fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }
}
