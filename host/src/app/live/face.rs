//! [`Face`]: what commands and health see of the configuration in force.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use crate::admin::{self, Configured, Error, Exchange, views};
use crate::config::Config;
use crate::handlers::{Handler, Handlers};
use crate::ids::{EndpointName, HandlerName};
use crate::observe::health::Refusals;
use crate::plugins::{PluginInfo, Plugins};

/// Something to do for the one task that exchanges things.
pub(super) enum Order {
    /// SIGHUP
    Reload,
    Exchange {
        handler: String,
        to: Exchange,
        answer: oneshot::Sender<Result<views::Generation, Error>>,
    },
}

/// What is in force, as it was last shown.
pub(super) struct Seen {
    pub(super) config: Config,
    pub(super) plugins: Arc<Plugins>,
    /// What handlers run, and what former generations with calls under way do.
    pub(super) runs: BTreeMap<(HandlerName, u64), Run>,
    /// Why the configuration on the disk is not in force.
    pub(super) refused: Option<String>,
}

/// The plugin of a generation.
#[derive(Clone)]
pub(super) struct Run {
    pub(super) plugin: PluginInfo,
    pub(super) rolled_back: bool,
}

pub(crate) struct Face {
    seen: ArcSwap<Seen>,
    handlers: Arc<Handlers>,
    orders: mpsc::Sender<Order>,
}

impl Face {
    pub(super) fn new(seen: Seen, handlers: Arc<Handlers>, orders: mpsc::Sender<Order>) -> Self {
        Self {
            seen: ArcSwap::from_pointee(seen),
            handlers,
            orders,
        }
    }

    pub(super) fn show(&self, seen: Seen) {
        self.seen.store(Arc::new(seen));
    }

    pub(super) fn seen(&self) -> Arc<Seen> {
        self.seen.load_full()
    }

    /// What on the disk is not used, for health.
    pub(crate) fn refusals(&self) -> Refusals {
        let seen = self.seen.load();
        Refusals {
            configuration: seen.refused.clone(),
            plugins: seen.plugins.rejected().to_vec(),
        }
    }

    /// What runs for a handler, if its plugin is known.
    pub(super) fn generation(&self, handler: &Handler) -> Option<views::Generation> {
        let key = (handler.name().clone(), handler.generation());
        let seen = self.seen.load();
        Some(generation(handler, seen.runs.get(&key)?))
    }
}

fn generation(handler: &Handler, run: &Run) -> views::Generation {
    views::Generation {
        handler: handler.name().to_string(),
        generation: handler.generation(),
        state: match handler.is_serving() {
            true => "serving".to_owned(),
            false => "down".to_owned(),
        },
        since: handler.since().to_string(),
        version: run.plugin.note.version.clone(),
        sha256: run.plugin.sha256.clone(),
        rolled_back: run.rolled_back,
        refused: handler.refused().map(|reason| reason.to_string()),
    }
}

#[async_trait]
impl Configured for Face {
    fn endpoints(&self) -> BTreeSet<EndpointName> {
        self.seen.load().config.acme.keys().cloned().collect()
    }

    fn labels(&self) -> BTreeSet<EndpointName> {
        self.seen.load().config.est.keys().cloned().collect()
    }

    fn plugins(&self) -> Vec<views::Plugin> {
        let seen = self.seen.load();
        let mut rows = admin::plugins(&seen.config, &seen.plugins);
        let mut add = |run: &Run, generation: views::Generation| {
            let same = |row: &&mut views::Plugin| row.sha256.as_ref() == Some(&run.plugin.sha256);
            if let Some(row) = rows.iter_mut().find(same) {
                row.generations.push(generation);
            } else {
                let mut row = admin::plugin(&run.plugin);
                row.former = true;
                row.generations.push(generation);
                rows.push(row);
            }
        };
        let current = self.handlers.list();
        let draining = self.handlers.draining();
        let with_state = current
            .iter()
            .map(|handler| (handler, None))
            .chain(draining.iter().map(|handler| (handler, Some("draining"))));
        for (handler, state) in with_state {
            let key = (handler.name().clone(), handler.generation());
            if let Some(run) = seen.runs.get(&key) {
                let mut generation = generation(handler, run);
                if let Some(state) = state {
                    state.clone_into(&mut generation.state);
                }
                add(run, generation);
            }
        }
        rows
    }

    async fn exchange(&self, handler: &str, to: Exchange) -> Result<views::Generation, Error> {
        let (answer, answered) = oneshot::channel();
        let order = Order::Exchange {
            handler: handler.to_owned(),
            to,
            answer,
        };
        let stopping = |()| Error::Unavailable("the server is stopping".to_owned());
        self.orders.send(order).await.map_err(|_| stopping(()))?;
        answered.await.map_err(|_| stopping(()))?
    }
}
