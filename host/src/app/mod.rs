//! Puts the rooms together for `certdock serve`.

mod crl;
mod openers;
mod push;
mod serve;
mod signals;
mod tls;

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;

use crate::acme::{self, Acme};
use crate::config::{self, Config};
use crate::est::{self, Est};
use crate::handlers::Handlers;
use crate::issuance::Issuance;
use crate::observe::metrics;
use crate::plugins::Plugins;
use crate::store::Store;
use crate::store::sqlite::SqliteStore;
use crate::validation::{RealValidator, Validator};

pub use serve::serve;

/// The rooms of a running server.
pub struct App {
    pub store: Arc<SqliteStore>,
    pub plugins: Arc<Plugins>,
    pub handlers: Arc<Handlers>,
    pub issuance: Arc<Issuance>,
    pub endpoints: Vec<Acme>,
    pub est: Est,
    push_secrets: push::Secrets,
}

impl App {
    /// Opens the store and the handlers. A plugin or handler that can't be
    /// opened does not stop the others.
    ///
    /// # Errors
    /// What no part of the server can do without: the store, the resolver, the files of EST labels.
    pub async fn open(config: &Config, plugins: Arc<Plugins>) -> anyhow::Result<Self> {
        let config::Store::Sqlite(path) = &config.store;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("can't make the folder {}", folder.display()))?;
        }
        let store = Arc::new(SqliteStore::open(path)?);
        let shared_store: Arc<dyn Store> = Arc::clone(&store) as _;
        let handlers =
            Arc::new(Handlers::open(openers::openers(config, &plugins, &shared_store)).await);
        let issuance = Issuance::new(Arc::clone(&shared_store), Arc::clone(&handlers));
        let validator: Arc<dyn Validator> = Arc::new(RealValidator::new(&config.validation)?);
        let est_shared = est::Shared {
            store: Arc::clone(&shared_store),
            issuance: Arc::clone(&issuance),
            handlers: Arc::clone(&handlers),
            users: Arc::new(est::auth::Users::new(Arc::clone(&shared_store))),
        };
        let push_secrets = push::secrets(config)?;
        let est = Est::new(config.est.clone(), &est_shared)?;
        let shared = acme::Shared {
            base_url: config.server.base_url.clone(),
            store: shared_store,
            issuance: Arc::clone(&issuance),
            validator,
            nonces: Arc::new(acme::nonce::Nonces::new().context("no nonces can be sealed")?),
        };
        let endpoints = config
            .acme
            .iter()
            .map(|(name, endpoint)| Acme::new(name.clone(), endpoint.clone(), shared.clone()))
            .collect();
        Ok(Self {
            store,
            plugins,
            handlers,
            issuance,
            endpoints,
            est,
            push_secrets,
        })
    }

    /// What the public listener serves.
    pub fn router(&self) -> Router {
        self.endpoints
            .iter()
            .fold(self.crl_router(), |router, acme| {
                router.merge(acme::router(acme.clone()))
            })
            .merge(est::router(self.est.clone()))
            .merge(push::router(
                self.push_secrets.clone(),
                Arc::clone(&self.handlers),
                Arc::clone(&self.issuance),
            ))
            .route_layer(axum::middleware::from_fn(metrics::count_requests))
    }

    /// What the plain HTTP listener serves.
    pub fn crl_router(&self) -> Router {
        crl::router(Arc::clone(&self.handlers))
    }
}
