//! `/admin/v1`: what the commands ask for. The running server offers it on a Unix socket; without one
//! the commands call the same router in their own process.

mod accounts;
mod certificates;
mod error;
mod external_keys;
mod orders;
mod page;
pub mod plugins;
pub mod views;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;

use self::error::Error;
use crate::ids::EndpointName;
use crate::issuance::Issuance;
use crate::store::Store;

/// What the commands work with.
#[derive(Clone)]
pub struct Admin {
    pub store: Arc<dyn Store>,
    /// In a running server only: what needs a handler is refused without it.
    pub issuance: Option<Arc<Issuance>>,
    /// The ACME endpoints that are configured.
    pub endpoints: Arc<BTreeSet<EndpointName>>,
    /// Looks at the plugins; it may load them.
    pub plugins: Arc<dyn Fn() -> Vec<views::Plugin> + Send + Sync>,
}

/// All routes, from the root.
pub fn router(admin: Admin) -> Router {
    let routes = Router::new()
        .merge(accounts::routes())
        .merge(external_keys::routes())
        .merge(orders::routes())
        .merge(certificates::routes())
        .merge(plugins::routes())
        .fallback(async || Error::NotFound("there is no such resource".to_owned()));
    Router::new().nest("/admin/v1", routes).with_state(admin)
}
