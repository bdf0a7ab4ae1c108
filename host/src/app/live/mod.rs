//! [`Live`]: the configuration in force and the plugins that run by it, exchanged while the server
//! serves.
//!
//! One task does all of it, one thing after the other: `reload` takes up what has changed on the disk,
//! `exchange` rolls a handler's plugin back, `remember` keeps what may be rolled back to, `verdict` tells
//! what is refused. What it puts in place (handlers, routes, how handshakes begin) is read by everybody
//! else without a lock.

mod endpoints;
mod exchange;
mod face;
mod history;
mod kept;
mod reload;
mod remember;
mod start;
mod verdict;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use tokio::sync::mpsc;
use tokio::time::sleep;

use self::endpoints::Endpoints;
use self::face::{Order, Run, Seen};
use self::kept::{Histories, Kept};
use self::reload::places;
use self::remember::Copied;
use self::verdict::Said;
use self::watch::{Watch, settled};
use crate::app::openers::{doubtful_opener, opener, settings};
use crate::app::rooms::{Rooms, open_store};
use crate::config::{self, Config, Source};
use crate::handlers::{Handlers, Replaced};
use crate::ids::{HandlerName, PluginId};
use crate::observe::metrics;
use crate::plugins::{Isolation, Plugin, Plugins};
use crate::server::{Handshakes, Routes, Shutdown};

pub(super) use self::endpoints::client_identity;
pub(super) use self::face::Face;
pub use self::start::Start;

/// Where the files are kept that can be rolled back to, in the data folder.
const KEPT: &str = "former-plugins";

/// Nothing is ever unloaded in this process, so each generation of a plugin stays in memory.
const MANY_LOADS: usize = 8;

pub(super) struct Live {
    source: Source,
    pub(super) rooms: Rooms,
    config: Config,
    plugins: Arc<Plugins>,
    /// Where each plugin lay in the directory when it could last be used.
    places: BTreeMap<PluginId, PathBuf>,
    /// The plugins that a configuration which is not in force would have.
    looked: Option<(config::Plugins, Arc<Plugins>)>,
    running: BTreeMap<HandlerName, Running>,
    kept: Kept,
    histories: Histories,
    /// What is known to be kept.
    copied: Copied,
    endpoints: Endpoints,
    pub(super) face: Arc<Face>,
    orders: mpsc::Receiver<Order>,
    watch: Watch,
    /// What takes a restart, as it was last said.
    waiting_for_restart: Vec<&'static str>,
    /// Why the configuration on the disk is not in force.
    refused: Option<String>,
    /// Warnings of the last reload.
    said: Said,
}

/// What a handler runs by.
struct Running {
    config: config::Handler,
    plugin: Option<Arc<Plugin>>,
    /// Files of the plugin that were put in service so far.
    loads: usize,
}

/// What is refused may be so for a file that only the configuration names, and which is not watched: it is
/// looked at again after this.
const AGAIN: Duration = Duration::from_secs(2);

/// And then ever more seldom, down to this.
const SELDOM: Duration = Duration::from_secs(30);

/// Looking takes no more of the time than one part in so many.
const SHARE: u32 = 10;

/// What the listeners serve, for an exchange.
pub(super) struct Front {
    pub(super) routes: Routes,
    pub(super) handshakes: Arc<Handshakes>,
    pub(super) shutdown: Shutdown,
}

/// Tells the task of [`Live`] what to do.
#[derive(Clone)]
pub(super) struct Orders(mpsc::Sender<Order>);

impl Orders {
    /// Everything is to be read again.
    pub(super) fn reload(&self) {
        // If there are more than it can take, it has enough to do.
        let _ = self.0.try_send(Order::Reload);
    }
}

impl Live {
    /// Opens the store, and the handlers with what `start` has found for them. A plugin or handler that
    /// can't be opened, or whose plugin finds its configuration wrong (`doubtful`), does not stop the
    /// others.
    ///
    /// # Errors
    /// What no part of the server can do without: the store, the resolver, the files of EST labels.
    pub(super) async fn open(
        source: Source,
        config: Config,
        start: Start,
        doubtful: &BTreeSet<HandlerName>,
    ) -> anyhow::Result<(Self, Orders)> {
        let sqlite = open_store(&config)?;
        let mut running = BTreeMap::new();
        let mut openers = Vec::new();
        for (name, handler) in &config.handlers {
            let plugin = start.plugin(name).cloned();
            let make = match doubtful.contains(name) {
                true => doubtful_opener,
                false => opener,
            };
            let opener = make(name, handler, plugin.clone(), Arc::clone(&sqlite) as _);
            openers.push((name.clone(), settings(handler), opener));
            let running_by = Running {
                config: handler.clone(),
                plugin,
                loads: 1,
            };
            running.insert(name.clone(), running_by);
        }
        let rooms = Rooms::new(sqlite, Handlers::open(openers).await);
        let endpoints = Endpoints::new(&config, &rooms)?;
        let (sender, orders) = mpsc::channel(16);
        let Start {
            plugins,
            kept,
            histories,
            ..
        } = start;
        let seen = Seen {
            config: config.clone(),
            plugins: Arc::clone(&plugins),
            runs: BTreeMap::new(),
            refused: None,
        };
        let face = Face::new(seen, Arc::clone(&rooms.handlers), sender.clone());
        let watch = Watch::start(&source, &config.plugins.directory);
        let mut live = Self {
            source,
            rooms,
            config,
            places: places(&plugins).collect(),
            plugins,
            looked: None,
            running,
            kept,
            histories,
            copied: Copied::new(),
            endpoints,
            face: Arc::new(face),
            orders,
            watch,
            waiting_for_restart: Vec::new(),
            refused: None,
            said: Said::default(),
        };
        live.show();
        Ok((live, Orders(sender)))
    }

    /// What the public listener serves at first.
    pub(super) fn router(&self) -> Router {
        self.endpoints.router(&self.rooms)
    }

    /// Begins what the endpoints do by themselves.
    ///
    /// # Errors
    /// If the store can't be read.
    pub(super) async fn begin(&self, shutdown: &Shutdown) -> Result<(), crate::store::Error> {
        self.endpoints.begin(None, shutdown).await
    }

    /// Takes up changes until `front` shuts down.
    pub(super) async fn run(mut self, front: Front) {
        let shutdown = front.shutdown.clone();
        let work = async {
            let changes = self.watch.changes();
            let mut changed = pin!(settled(&changes));
            // What changed after it was read and before it was watched.
            self.reload(false, &front).await;
            let mut pause = AGAIN;
            loop {
                let is_unsettled = self.is_unsettled();
                tokio::select! {
                    order = self.orders.recv() => {
                        pause = AGAIN;
                        match order {
                            Some(Order::Reload) => self.reload(true, &front).await,
                            Some(Order::Exchange { handler, to, answer }) => {
                                // Perhaps nobody listens any more.
                                let _ = answer.send(self.exchange(&handler, to, &front).await);
                            }
                            None => return,
                        }
                    }
                    () = &mut changed => {
                        pause = AGAIN;
                        changed.set(settled(&changes));
                        self.reload(false, &front).await;
                    }
                    () = sleep(pause), if is_unsettled => {
                        let begun = Instant::now();
                        self.reload(false, &front).await;
                        pause = (pause * 2).min(SELDOM).max(begun.elapsed() * SHARE);
                    }
                }
            }
        };
        tokio::select! {
            () = shutdown.started() => {}
            () = work => {}
        }
    }

    /// Whether something on the disk is refused, or missing.
    fn is_unsettled(&self) -> bool {
        let handlers = self.rooms.handlers.list();
        self.refused.is_some()
            || handlers.iter().any(|handler| handler.refused().is_some())
            || self
                .running
                .values()
                .any(|running| running.plugin.is_none())
    }

    /// Takes note of what became of a handler's next generation.
    fn replaced(
        &mut self,
        name: &HandlerName,
        handler: config::Handler,
        plugin: Option<Arc<Plugin>>,
        replaced: &Replaced,
    ) {
        match replaced {
            // The former one is.
            Replaced::Refused(_) => {
                metrics::handler_replaced(name.as_str(), "refused");
                return;
            }
            Replaced::Down(_) => metrics::handler_replaced(name.as_str(), "down"),
            Replaced::Serving { .. } => metrics::handler_replaced(name.as_str(), "serving"),
        }
        let former = self.running.get(name);
        let mut loads = former.map_or(0, |former| former.loads);
        if !is_same(
            former.and_then(|former| former.plugin.as_ref()),
            plugin.as_ref(),
        ) {
            loads += 1;
        }
        if loads > MANY_LOADS && runs_here(&handler) {
            tracing::warn!(
                handler = %name,
                loads,
                "all files of its plugin that were ever in service are still in memory; restart when \
                 it suits"
            );
        }
        let running = Running {
            config: handler,
            plugin,
            loads,
        };
        self.running.insert(name.clone(), running);
    }

    /// Lets commands and health see what is in force.
    fn show(&mut self) {
        let former = self.face.seen();
        let draining = self.rooms.handlers.draining();
        let still = draining.iter().filter_map(|handler| {
            let key = (handler.name().clone(), handler.generation());
            let run = former.runs.get(&key)?.clone();
            Some((key, run))
        });
        let mut runs: BTreeMap<_, _> = still.collect();
        for handler in self.rooms.handlers.list() {
            let name = handler.name();
            let running = self.running.get(name);
            let Some(plugin) = running.and_then(|running| running.plugin.as_ref()) else {
                continue;
            };
            let id = &plugin.info().note.id;
            let history = self.histories.get(name);
            let history = history.filter(|history| history.plugin() == id);
            let run = Run {
                plugin: plugin.info().clone(),
                rolled_back: history.is_some_and(|history| history.is_rolled_back())
                    && !is_same(self.plugins.get(id), Some(plugin)),
            };
            runs.insert((name.clone(), handler.generation()), run);
        }
        metrics::plugin_files_refused(self.plugins.rejected().len());
        self.face.show(Seen {
            config: self.config.clone(),
            plugins: Arc::clone(&self.plugins),
            runs,
            refused: self.refused.clone(),
        });
    }
}

fn is_same(one: Option<&Arc<Plugin>>, other: Option<&Arc<Plugin>>) -> bool {
    let content = |plugin: &Arc<Plugin>| plugin.info().sha256.clone();
    one.map(content) == other.map(content)
}

fn runs_here(handler: &config::Handler) -> bool {
    matches!(handler.isolation, Isolation::InProcess { .. })
}

/// Where the server keeps what is its own: beside the database.
pub(super) fn data_folder(config: &Config) -> &Path {
    let config::Store::Sqlite(path) = &config.store;
    folder_of(path)
}

/// Of a bare file name `Path::parent` is the empty path, which names no folder.
fn folder_of(file: &Path) -> &Path {
    let folder = file.parent().unwrap_or(Path::new(""));
    match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_file_name_is_in_the_current_folder() {
        for (file, folder) in [
            ("certdock.db", "."),
            ("data/certdock.db", "data"),
            ("/var/lib/certdock.db", "/var/lib"),
        ] {
            assert_eq!(folder_of(Path::new(file)), Path::new(folder));
        }
    }
}
