//! [`Open`]: an instance in use, closed on a thread of its own.

use std::sync::Arc;

use certdock_plugin_api::Fault;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::handlers::{Abilities, HandlerInstance};

/// An open instance. Whoever drops it last does not wait for the plugin's closing, which may block.
pub(super) struct Open {
    pub(super) abilities: Abilities,
    instance: Option<Arc<dyn HandlerInstance>>,
    /// Until it is closed.
    token: Option<TaskTrackerToken>,
}

impl Open {
    pub(super) fn new(instance: Arc<dyn HandlerInstance>, all: &TaskTracker) -> Self {
        Self {
            abilities: instance.abilities(),
            instance: Some(instance),
            token: Some(all.token()),
        }
    }

    pub(super) fn broken(&self) -> Option<String> {
        self.instance.as_ref()?.broken()
    }

    pub(super) fn call<T>(
        &self,
        call: impl FnOnce(&dyn HandlerInstance) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        match &self.instance {
            Some(instance) => call(&**instance),
            None => Err(Fault::busy("the CA handler is being closed")),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let (instance, token) = (self.instance.take(), self.token.take());
        let thread = std::thread::Builder::new().name("close-handler".to_owned());
        // Without a thread it is closed here and now: what is not run is dropped.
        let _ = thread.spawn(move || {
            drop(instance);
            drop(token);
        });
    }
}
