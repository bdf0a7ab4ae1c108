//! Taking up what has changed on the disk: the configuration, `conf.d`, the plugins.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::{JoinSet, block_in_place};

use super::endpoints::{Endpoints, client_identity};
use super::history::History;
use super::start::not_rolled_back;
use super::verdict::Verdict;
use super::{Front, Live, is_same};
use crate::app::examine::{BEFORE_SERVING, Examined, examine, missing, unreadable_directory};
use crate::app::openers::{doubtful_opener, opener, settings};
use crate::config::{self, Config, Mistakes};
use crate::handlers::Replaced;
use crate::ids::{HandlerName, PluginId};
use crate::observe::metrics;
use crate::plugins::{self, Plugin, Plugins, Trust};

/// What is to be done, and can be.
struct Plan {
    config: Config,
    plugins: Arc<Plugins>,
    steps: Vec<Step>,
    /// Handlers whose new file is not used, and why; or those of which nothing is refused any more.
    verdicts: Vec<(HandlerName, Option<Verdict>)>,
    endpoints: Endpoints,
}

/// A handler's next generation.
struct Step {
    name: HandlerName,
    handler: config::Handler,
    plugin: Option<Arc<Plugin>>,
    /// The plugin finds the configuration wrong.
    doubtful: bool,
}

impl Live {
    /// Reads everything again and takes up what differs from what is in force. A configuration with a
    /// mistake changes nothing; plugins are taken up all the same. `asked` is by the operator, who is
    /// told more.
    pub(super) async fn reload(&mut self, asked: bool, front: &Front) {
        // Before anything is read, so that no change is missed.
        self.watch
            .look_at(&self.source, &self.config.plugins.directory);
        self.remember();
        self.said.begin(asked);
        if asked {
            plugins::forget_crashes();
        }
        let wanted = block_in_place(|| self.wanted());
        let (plan, fixed) = match wanted {
            Ok((plan, fixed)) => {
                self.refused = None;
                (plan, Some(fixed))
            }
            Err(reason) => {
                self.refuse(reason, asked);
                match block_in_place(|| self.in_force()) {
                    Ok(plan) => (plan, None),
                    Err(reason) => {
                        tracing::error!(reason, "plugins can't be taken up at the moment");
                        self.show();
                        return;
                    }
                }
            }
        };
        if let Some(fixed) = fixed
            && (asked || fixed != self.waiting_for_restart)
        {
            for key in &fixed {
                tracing::warn!(key, "this has changed, and takes a restart");
            }
            self.waiting_for_restart = fixed;
        }
        let changes = self.apply(plan, front).await;
        if self.refused.is_none() && (asked || changes) {
            metrics::reloaded("done");
            tracing::info!("the configuration is in force as it is on the disk");
        }
    }

    fn refuse(&mut self, reason: String, asked: bool) {
        if asked || self.refused.as_ref() != Some(&reason) {
            metrics::reloaded("refused");
            tracing::warn!(
                reason,
                "the changed configuration is not taken up, what is in force stays"
            );
        }
        self.refused = Some(reason);
    }

    /// The plan of the configuration on the disk, and the keys that take a restart.
    fn wanted(&mut self) -> Result<(Plan, Vec<&'static str>), String> {
        let former = self.looked.take();
        let mut config = config::load(&self.source).map_err(|mistakes| in_one_line(&mistakes))?;
        let fixed = config::keep_fixed(&self.config, &mut config);
        self.looked = former;
        let plugins = self.look(&config.plugins);
        self.looked = Some((config.plugins.clone(), Arc::clone(&plugins)));
        let plan = self.plan(config, plugins)?;
        self.looked = None;
        Ok((plan, fixed))
    }

    /// The plan of the configuration that is in force.
    fn in_force(&mut self) -> Result<Plan, String> {
        let config = self.config.clone();
        let plugins = self.look(&config.plugins);
        self.plan(config, plugins)
    }

    /// Reads the plugins directory. What was said when the same was read before is not said again.
    fn look(&self, by: &config::Plugins) -> Arc<Plugins> {
        let looked = self.looked.as_ref().filter(|(known, _)| known == by);
        let former = looked.map_or(&self.plugins, |(_, plugins)| plugins);
        Arc::new(former.again(&by.directory, &by.trust))
    }

    /// Compares a configuration, and the plugins that are there, with what runs. Blocks.
    fn plan(&mut self, config: Config, plugins: Arc<Plugins>) -> Result<Plan, String> {
        let directory = &config.plugins.directory;
        let (mut steps, mut verdicts, mut mistakes) = (Vec::new(), Vec::new(), Vec::new());
        // One that is gone while the server runs changes nothing.
        if *directory != self.config.plugins.directory {
            mistakes.extend(unreadable_directory(&config, &plugins));
        }
        for (name, handler) in &config.handlers {
            let plugin = self.plugin_for(name, handler, &plugins, &config.plugins.trust);
            let running = self.running.get(name);
            let former = running.and_then(|running| running.plugin.as_ref());
            let configured = !running.is_some_and(|running| running.config.is_like(handler));
            if !configured && is_same(former, plugin.as_ref()) {
                let place = self.places.get(&handler.plugin).map(PathBuf::as_path);
                let refused =
                    former.and_then(|plugin| Verdict::on_rejected(plugin.info(), place, &plugins));
                verdicts.push((name.clone(), refused));
                continue;
            }
            let mut found = Examined::default();
            match &plugin {
                Some(plugin) => examine(name, handler, plugin, BEFORE_SERVING, &mut found),
                // A file that can't be used may be it, and then the handler is down until it can.
                None if plugins.may_have_rejected(&handler.plugin) => {}
                None => found
                    .mistakes
                    .extend(missing(&config.plugins, handler, &plugins)),
            }
            // A handler that had no plugin so far is down in any case, and is to say why by itself: it
            // has the plugin asked again from time to time.
            if configured || former.is_some() {
                found.mistakes.append(&mut found.complaints);
            }
            for warning in found.refused.iter().chain(&found.warnings) {
                let warning = warning.to_string();
                if self.said.is_new(&warning) {
                    tracing::warn!("{warning}");
                }
            }
            match (found.mistakes.first(), &plugin) {
                (Some(_), _) if configured => mistakes.extend(found.mistakes),
                // It is not the configuration that changed, but what the plugin makes of it.
                (Some(mistake), Some(plugin)) => {
                    let verdict = Verdict {
                        file: plugin.info().file.clone(),
                        reason: mistake.to_string(),
                    };
                    verdicts.push((name.clone(), Some(verdict)));
                }
                _ => steps.push(Step {
                    name: name.clone(),
                    handler: handler.clone(),
                    plugin,
                    doubtful: !found.complaints.is_empty(),
                }),
            }
        }
        Mistakes::check(mistakes).map_err(|mistakes| in_one_line(&mistakes))?;
        let endpoints = self.endpoints.renewed(&config, &self.rooms);
        Ok(Plan {
            endpoints: endpoints.map_err(|error| format!("{error:#}"))?,
            config,
            plugins,
            steps,
            verdicts,
        })
    }

    /// The file in the directory, unless the operator rolled back from that very one. What is gone, or
    /// can't be used, changes nothing for what runs.
    fn plugin_for(
        &mut self,
        name: &HandlerName,
        handler: &config::Handler,
        plugins: &Plugins,
        trust: &Trust,
    ) -> Option<Arc<Plugin>> {
        let id = &handler.plugin;
        let running = self.running.get(name);
        let running = running
            .filter(|running| running.config.plugin == *id)
            .and_then(|running| running.plugin.as_ref());
        let history = self.histories.get(name);
        let history = history.filter(|history| history.plugin() == id);
        let left_aside = |file: &Arc<Plugin>| {
            history.is_some_and(|history: &History| history.leaves_aside(&file.info().sha256))
        };
        match (plugins.get(id), running) {
            (Some(file), Some(running)) if left_aside(file) => Some(Arc::clone(running)),
            (Some(file), Some(_)) => Some(Arc::clone(file)),
            (None, Some(running)) => Some(Arc::clone(running)),
            // As when the server starts.
            (file, None) => match self.kept.instead_of(file, handler, history, trust) {
                Some(Ok(plugin)) => Some(plugin),
                Some(Err(reason)) => {
                    if self.said.is_new(&format!("{name}: {reason}")) {
                        not_rolled_back(name, &reason);
                    }
                    file.cloned()
                }
                None => file.cloned(),
            },
        }
    }

    /// Whether anything has changed.
    async fn apply(&mut self, plan: Plan, front: &Front) -> bool {
        for (name, refused) in plan.verdicts {
            self.note_refused(&name, refused.as_ref());
        }
        let mut changes = self.replace_all(plan.steps).await;
        if let Err(error) = plan
            .endpoints
            .begin(Some(&self.endpoints), &front.shutdown)
            .await
        {
            tracing::error!(%error, "checks of challenges are not resumed");
        }
        if let Err(error) = front.handshakes.ask_for(client_identity(&plan.config)) {
            tracing::error!(%error, "TLS clients are asked for certificates as before");
        }
        changes |= self.config.acme != plan.config.acme
            || self.config.est != plan.config.est
            || self.config.validation != plan.config.validation;
        front.routes.replace(plan.endpoints.router(&self.rooms));
        self.endpoints = plan.endpoints;

        // After their endpoints, so that nobody is sent to a handler that is not there.
        let stays = |name: &HandlerName| plan.config.handlers.contains_key(name);
        let gone: Vec<HandlerName> = self
            .running
            .keys()
            .filter(|name| !stays(name))
            .cloned()
            .collect();
        for name in gone {
            self.rooms.handlers.remove(&name);
            self.running.remove(&name);
            metrics::handler_removed(name.as_str());
            tracing::info!(handler = %name, "handler removed");
            changes = true;
        }
        if changes {
            for line in config::switches(&plan.config) {
                tracing::info!("{line}");
            }
        }
        if self.config.plugins.directory != plan.config.plugins.directory {
            self.watch
                .look_at(&self.source, &plan.config.plugins.directory);
        }
        self.config = plan.config;
        self.plugins = plan.plugins;
        self.places.extend(places(&self.plugins));
        self.remember();
        self.show();
        changes
    }

    /// Opens the next generations side by side. Whether any is in place.
    async fn replace_all(&mut self, steps: Vec<Step>) -> bool {
        let mut replacing = JoinSet::new();
        for step in steps {
            let handlers = Arc::clone(&self.rooms.handlers);
            let store = self.rooms.store();
            let make = match step.doubtful {
                true => doubtful_opener,
                false => opener,
            };
            let former = handlers.get(step.name.as_str());
            let refused = former.and_then(|former| former.refused());
            replacing.spawn(async move {
                let opener = make(&step.name, &step.handler, step.plugin.clone(), store);
                let settings = settings(&step.handler);
                let replaced = handlers.replace(&step.name, settings, opener).await;
                (step, replaced, refused)
            });
        }
        let mut changes = false;
        while let Some(done) = replacing.join_next().await {
            // A task that panicked leaves things as they were.
            let Ok((step, replaced, refused)) = done else {
                continue;
            };
            if let Replaced::Refused(fault) = &replaced {
                // What was known of it before this, so that only what is new is said.
                if let Some(handler) = self.rooms.handlers.get(step.name.as_str()) {
                    handler.note_refused(refused.map(|reason| reason.to_string()));
                }
                let plugin = step.plugin.as_ref();
                let file = plugin.map_or(&self.config.plugins.directory, |p| &p.info().file);
                let verdict = Verdict {
                    file: file.clone(),
                    reason: format!("it can't be opened: {fault}"),
                };
                self.note_refused(&step.name, Some(&verdict));
                continue;
            }
            changes = true;
            self.replaced(&step.name, step.handler, step.plugin, &replaced);
        }
        changes
    }
}

/// Where plugins lie in the directory.
pub(super) fn places(plugins: &Plugins) -> impl Iterator<Item = (PluginId, PathBuf)> {
    let infos = plugins.list().map(|plugin| plugin.info());
    infos.map(|info| (info.note.id.clone(), info.file.clone()))
}

/// The first of what may be many lines, and how many more there are.
fn in_one_line(mistakes: &Mistakes) -> String {
    let (first, more) = match mistakes.as_slice() {
        [first, more @ ..] => (first as &dyn Display, more.len()),
        [] => (mistakes as &dyn Display, 0),
    };
    match more {
        0 => first.to_string(),
        more => format!("{first} (and {more} more: `certdock check` names all)"),
    }
}
