//! [`examine`]: what plugins say of their handlers' configurations.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use certdock_plugin_api::Severity;

use crate::config::{self, Config, Mistake};
use crate::handlers::{Services, read_secret};
use crate::ids::{HandlerName, PluginId};
use crate::plugins::{Plugin, Plugins};

/// A start waits no longer for a plugin that asks a CA which does not answer.
pub(crate) const BEFORE_SERVING: Duration = Duration::from_secs(5);

/// A shorter secret could be guessed.
const SHORTEST_SECRET: usize = 16;

/// What was found.
#[derive(Default)]
pub(crate) struct Examined {
    /// Of the host's own finding.
    pub(crate) mistakes: Vec<Mistake>,
    /// What a plugin finds wrong with its own table. Its handler is not opened; no other has to suffer
    /// for what one plugin says.
    pub(crate) complaints: Vec<Mistake>,
    /// What a CA does not accept. It concerns one handler only, and may change there.
    pub(crate) refused: Vec<Mistake>,
    pub(crate) warnings: Vec<Mistake>,
}

/// Asks a handler's plugin, where it is there, what it thinks of its configuration. Blocks.
pub(crate) fn examine(
    name: &HandlerName,
    handler: &config::Handler,
    plugin: &Arc<Plugin>,
    patience: Duration,
    found: &mut Examined,
) {
    found.mistakes.extend(push_secret(handler));
    let patience = handler.deadline.min(patience);
    let setup = handler.setup(name);
    let services = Services::for_check(name.clone(), &setup.base_dir, &setup.config);
    let notes = match plugin.validate_config(&setup, Arc::new(services), patience) {
        Ok(notes) => notes,
        Err(fault) => {
            let message = format!(
                "the plugin '{}' did not check its configuration: {fault}",
                handler.plugin
            );
            found
                .warnings
                .push(handler.origin.config_mistake("", message));
            return;
        }
    };
    for note in notes {
        let mistake = handler.origin.config_mistake(&note.key, note.message);
        match note.severity {
            Severity::Warning => found.warnings.push(mistake),
            Severity::Remote => found.refused.push(mistake),
            _ => found.complaints.push(mistake),
        }
    }
}

/// Whether the secret for pushes is there and one that can't be guessed.
fn push_secret(handler: &config::Handler) -> Option<Mistake> {
    let wrong = match read_secret(handler.push_secret.as_ref()?, &handler.base_dir) {
        Err(fault) => fault.public,
        Ok(secret) if secret.len() < SHORTEST_SECRET => format!(
            "the secret has {} bytes; take at least {SHORTEST_SECRET} random ones",
            secret.len()
        ),
        Ok(_) => return None,
    };
    Some(handler.origin.mistake("push_secret", wrong))
}

/// The folder of plugins, if it can't be read.
pub(crate) fn unreadable_directory(config: &Config, plugins: &Plugins) -> Option<Mistake> {
    let directory = &config.plugins.directory;
    let rejected = plugins.rejected().iter();
    let of_it = rejected.filter(|rejected| rejected.file == *directory);
    let reason = of_it.map(|rejected| &rejected.reason).next()?;
    let text = format!("{}: {reason}", directory.display());
    Some(config.places.mistake("plugins.directory", text))
}

/// That the handler's plugin is not there, if so.
pub(crate) fn missing(
    config: &config::Plugins,
    handler: &config::Handler,
    plugins: &Plugins,
) -> Option<Mistake> {
    match plugins.get(&handler.plugin) {
        Some(_) => None,
        None => Some(config::missing_plugin(config, handler, &ids(plugins))),
    }
}

fn ids(plugins: &Plugins) -> BTreeSet<PluginId> {
    plugins
        .list()
        .map(|plugin| plugin.info().note.id.clone())
        .collect()
}
