//! [`Routes`]: what a listener serves, exchanged while it serves.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;

/// Cheap to clone; all clones serve the same. A request ends with the routes that it began with.
#[derive(Clone, Debug)]
pub struct Routes(Arc<ArcSwap<Router>>);

impl Routes {
    pub fn replace(&self, router: Router) {
        self.0.store(Arc::new(router));
    }

    pub(super) fn current(&self) -> Router {
        Router::clone(&self.0.load())
    }
}

impl From<Router> for Routes {
    fn from(router: Router) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(router)))
    }
}
