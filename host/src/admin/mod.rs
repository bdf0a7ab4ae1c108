//! `/admin/v1`: what the commands ask for. The running server offers it on a Unix socket; without one
//! the commands call the same router in their own process.

mod accounts;
mod certificates;
mod configured;
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

use std::sync::Arc;

use axum::Router;

use self::configured::Alone;
use crate::config::Config;
use crate::issuance::Issuance;
use crate::store::Store;

pub use configured::{Configured, Exchange};
pub use directory::{plugin, plugins};
pub use error::Error;

/// What the commands work with.
#[derive(Clone)]
pub struct Admin {
    pub store: Arc<dyn Store>,
    /// In a running server only: what needs a handler is refused without it.
    pub issuance: Option<Arc<Issuance>>,
    pub configured: Arc<dyn Configured>,
}

impl Admin {
    /// The state where no server runs. Plugins are loaded when they are asked for.
    #[must_use]
    pub fn alone(config: &Config, store: Arc<dyn Store>) -> Self {
        Self {
            store,
            issuance: None,
            configured: Arc::new(Alone(config.clone())),
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
