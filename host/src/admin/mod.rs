//! `/admin/v1`: what the commands ask for. The running server offers it on a Unix socket; without one
//! the commands call the same router in their own process.

mod accounts;
mod certificates;
mod directory;
mod enrollments;
mod error;
mod est_users;
mod external_keys;
mod orders;
mod page;
pub mod views;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;

use self::error::Error;
use crate::config::Config;
use crate::ids::EndpointName;
use crate::issuance::Issuance;
use crate::plugins::Plugins;
use crate::store::Store;

pub use directory::plugins;

/// What the commands work with.
#[derive(Clone)]
pub struct Admin {
    pub store: Arc<dyn Store>,
    /// In a running server only: what needs a handler is refused without it.
    pub issuance: Option<Arc<Issuance>>,
    /// The ACME endpoints that are configured.
    pub endpoints: Arc<BTreeSet<EndpointName>>,
    /// The EST labels that are configured.
    pub labels: Arc<BTreeSet<EndpointName>>,
    /// Looks at the plugins; it may load them.
    pub plugins: Arc<dyn Fn() -> Vec<views::Plugin> + Send + Sync>,
}

impl Admin {
    /// The state of a running server.
    #[must_use]
    pub fn running(
        config: &Config,
        store: Arc<dyn Store>,
        issuance: Arc<Issuance>,
        plugins: &Plugins,
    ) -> Self {
        let found = directory::plugins(config, plugins);
        Self {
            issuance: Some(issuance),
            plugins: Arc::new(move || found.clone()),
            ..Self::alone(config, store)
        }
    }

    /// The state where no server runs. Plugins are loaded when they are asked for.
    #[must_use]
    pub fn alone(config: &Config, store: Arc<dyn Store>) -> Self {
        let endpoints = config.acme.keys().cloned().collect();
        let labels = config.est.keys().cloned().collect();
        let config = config.clone();
        let look = move || {
            plugins(
                &config,
                &Plugins::discover(&config.plugins.directory, &config.plugins.trust),
            )
        };
        Self {
            store,
            issuance: None,
            endpoints: Arc::new(endpoints),
            labels: Arc::new(labels),
            plugins: Arc::new(look),
        }
    }
}

/// All routes, from the root.
pub fn router(admin: Admin) -> Router {
    let routes = Router::new()
        .merge(accounts::routes())
        .merge(external_keys::routes())
        .merge(est_users::routes())
        .merge(orders::routes())
        .merge(enrollments::routes())
        .merge(certificates::routes())
        .merge(directory::routes())
        .fallback(async || Error::NotFound("there is no such resource".to_owned()));
    Router::new().nest("/admin/v1", routes).with_state(admin)
}
