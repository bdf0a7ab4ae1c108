//! [`Rooms`]: what a running server has, whatever its configuration becomes.

use std::sync::Arc;

use anyhow::Context as _;

use crate::config::{self, Config};
use crate::est;
use crate::handlers::Handlers;
use crate::issuance::Issuance;
use crate::store::Store;
use crate::store::sqlite::SqliteStore;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Rooms {
    pub(super) sqlite: Arc<SqliteStore>,
    pub(super) handlers: Arc<Handlers>,
    pub(super) issuance: Arc<Issuance>,
    pub(super) est: est::Shared,
}

impl Rooms {
    /// Over a store that is open and handlers that have been tried.
    pub(super) fn new(sqlite: Arc<SqliteStore>, handlers: Handlers) -> Self {
        let store: Arc<dyn Store> = Arc::clone(&sqlite) as _;
        let handlers = Arc::new(handlers);
        let issuance = Issuance::new(Arc::clone(&store), Arc::clone(&handlers));
        Self {
            est: est::Shared {
                users: Arc::new(est::auth::Users::new(Arc::clone(&store))),
                store,
                issuance: Arc::clone(&issuance),
                handlers: Arc::clone(&handlers),
            },
            sqlite,
            handlers,
            issuance,
        }
    }

    pub(super) fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.est.store)
    }
}

/// Opens the store, and makes its folder if need be.
pub(super) fn open_store(config: &Config) -> anyhow::Result<Arc<SqliteStore>> {
    let config::Store::Sqlite(path) = &config.store;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("can't make the folder {}", folder.display()))?;
    }
    Ok(Arc::new(SqliteStore::open(path)?))
}
