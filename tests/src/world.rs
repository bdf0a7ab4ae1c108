//! A server with everything around it that a client and a validator need.

use std::sync::Arc;

use rustls::ClientConfig;

use crate::acme::{Account, AccountKey, Client};
use crate::challenge::{Http01, TlsAlpn01};
use crate::dns::Dns;
use crate::server::Server;
use crate::settings::Settings;
use crate::tls;

pub struct World {
    pub server: Server,
    pub dns: Dns,
    pub http01: Arc<Http01>,
    pub tls_alpn01: TlsAlpn01,
    pub tls: Arc<ClientConfig>,
}

impl World {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With settings changed before the server starts.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut world = Self::prepare(change).await;
        world.server.restart();
        world
    }

    /// Everything but a running server.
    pub async fn prepare(change: impl FnOnce(&mut Settings)) -> Self {
        Self::prepare_in(change, &std::env::temp_dir()).await
    }

    pub async fn prepare_in(change: impl FnOnce(&mut Settings), parent: &std::path::Path) -> Self {
        let dns = Dns::start().await;
        let http01 = Arc::new(Http01::start().await);
        let tls_alpn01 = TlsAlpn01::start().await;
        let mut settings = Settings {
            resolver: Some(dns.address()),
            http01_port: http01.port(),
            tls_alpn01_port: tls_alpn01.port(),
            ..Settings::default()
        };
        change(&mut settings);
        let server = Server::prepare_in(settings, parent);
        let tls = tls::client_config(&server.identity.root);
        Self {
            server,
            dns,
            http01,
            tls_alpn01,
            tls,
        }
    }

    pub async fn client(&self) -> Client {
        Client::new(&self.server.directory(), self.tls.clone())
            .await
            .unwrap()
    }

    /// A client with a fresh ES256 account.
    pub async fn account(&self) -> (Client, Account) {
        let mut client = self.client().await;
        let account = client.new_account(AccountKey::es256()).await.unwrap();
        (client, account)
    }
}
