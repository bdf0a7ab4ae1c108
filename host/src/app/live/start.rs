//! [`Start`]: what handlers are to run when the server starts.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::kept::{Histories, Kept};
use super::{KEPT, data_folder};
use crate::config::Config;
use crate::ids::HandlerName;
use crate::plugins::{Plugin, Plugins};

/// What was found on the disk.
pub struct Start {
    pub(super) plugins: Arc<Plugins>,
    pub(super) kept: Kept,
    pub(super) histories: Histories,
    chosen: BTreeMap<HandlerName, Arc<Plugin>>,
}

impl Start {
    /// Reads the plugins directory, and what operators have rolled back to. Blocks, and changes nothing.
    #[must_use]
    pub fn look(config: &Config) -> Self {
        let trust = &config.plugins.trust;
        let plugins = Arc::new(Plugins::discover(&config.plugins.directory, trust));
        let kept = Kept::in_folder(data_folder(config).join(KEPT));
        let histories = kept.histories();
        let mut chosen = BTreeMap::new();
        for (name, handler) in &config.handlers {
            let file = plugins.get(&handler.plugin);
            let plugin = match kept.instead_of(file, handler, histories.get(name), trust) {
                Some(Ok(plugin)) => Some(plugin),
                Some(Err(reason)) => {
                    not_rolled_back(name, &reason);
                    file.cloned()
                }
                None => file.cloned(),
            };
            chosen.extend(plugin.map(|plugin| (name.clone(), plugin)));
        }
        Self {
            plugins,
            kept,
            histories,
            chosen,
        }
    }

    #[must_use]
    pub fn plugins(&self) -> &Plugins {
        &self.plugins
    }

    /// What a handler is to run: the file in the directory, or what was rolled back to.
    #[must_use]
    pub fn plugin(&self, handler: &HandlerName) -> Option<&Arc<Plugin>> {
        self.chosen.get(handler)
    }
}

pub(super) fn not_rolled_back(handler: &HandlerName, reason: &str) {
    tracing::warn!(
        %handler,
        reason,
        "what was rolled back to can't be used; the file in the plugins directory is, if it can be"
    );
}
