//! `certdock check`, and the same checks before `certdock serve`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use certdock_plugin_api::{ConfigNote, HostServices as _, Severity};

use super::failure::Failure;
use super::output;
use crate::config::{self, Config, Mistake, Mistakes};
use crate::handlers::Services;
use crate::ids::PluginId;
use crate::plugins::{Plugin, Plugins};

/// A start waits no longer for a plugin that asks a CA which does not answer.
const BEFORE_SERVING: Duration = Duration::from_secs(5);

/// A shorter secret could be guessed.
const SHORTEST_SECRET: usize = 16;

pub(super) fn run(config: &Config) -> Result<(), Failure> {
    let plugins = Plugins::discover(&config.plugins.directory, &config.plugins.trust);
    for rejected in plugins.rejected() {
        let file = rejected.file.display();
        output::complain(&format!("warning: {file}: {}", rejected.reason));
    }
    let examined = examine(config, &plugins, Duration::MAX);
    let mut mistakes = config::missing_plugins(config, &ids(&plugins));
    mistakes.extend(examined.mistakes);
    mistakes.extend(examined.refused);
    Mistakes::check(mistakes)?;
    for warning in examined.warnings {
        output::complain(&format!("warning: {warning}"));
    }
    let mut text = String::from("The configuration is good. What matters for security:\n");
    for line in config::switches(config) {
        // Writing to a `String` can't fail.
        let _ = writeln!(text, "  {line}");
    }
    output::print(&text)
}

/// The same for a server about to start: a file that can't be used may be a handler's plugin, which
/// then is down, but does not keep the others from serving.
pub(super) fn before_serving(config: &Config, plugins: &Plugins) -> Result<(), Mistakes> {
    let examined = examine(config, plugins, BEFORE_SERVING);
    let mut mistakes = match plugins.rejected() {
        [] => config::missing_plugins(config, &ids(plugins)),
        _ => Vec::new(),
    };
    mistakes.extend(examined.mistakes);
    Mistakes::check(mistakes)?;
    for warning in examined.refused.iter().chain(&examined.warnings) {
        tracing::warn!("{warning}");
    }
    Ok(())
}

/// What plugins say of their handlers' configurations.
#[derive(Default)]
struct Examined {
    mistakes: Vec<Mistake>,
    /// What a CA does not accept. It concerns one handler only, and may change there.
    refused: Vec<Mistake>,
    warnings: Vec<Mistake>,
}

/// Asks each handler's plugin, where it is there, what it thinks of its configuration.
fn examine(config: &Config, plugins: &Plugins, patience: Duration) -> Examined {
    let Examined {
        mut mistakes,
        mut refused,
        mut warnings,
    } = Examined::default();
    for (name, handler) in &config.handlers {
        let Some(plugin) = plugins.get(&handler.plugin) else {
            continue;
        };
        let services = Services::for_check(name.clone(), handler.base_dir.clone());
        mistakes.extend(push_secret(handler, &services));
        let Some(notes) = ask(plugin, handler, services, patience) else {
            let message = format!(
                "the plugin '{}' did not check its configuration in time",
                handler.plugin
            );
            warnings.push(handler.origin.config_mistake("", message));
            continue;
        };
        for note in notes {
            let mistake = handler.origin.config_mistake(&note.key, note.message);
            match note.severity {
                Severity::Warning => warnings.push(mistake),
                Severity::Remote => refused.push(mistake),
                _ => mistakes.push(mistake),
            }
        }
    }
    Examined {
        mistakes,
        refused,
        warnings,
    }
}

/// Whether the secret for pushes is there and one that can't be guessed.
fn push_secret(handler: &config::Handler, services: &Services) -> Option<Mistake> {
    let wrong = match services.secret(handler.push_secret.as_ref()?) {
        Err(fault) => fault.public,
        Ok(secret) if secret.len() < SHORTEST_SECRET => format!(
            "the secret has {} bytes; take at least {SHORTEST_SECRET} random ones",
            secret.len()
        ),
        Ok(_) => return None,
    };
    Some(handler.origin.mistake("push_secret", wrong))
}

/// A plugin that hangs here must keep nobody from starting: it is asked on a thread of its own, which
/// is left behind if it does not come back.
fn ask(
    plugin: &Arc<Plugin>,
    handler: &config::Handler,
    services: Services,
    patience: Duration,
) -> Option<Vec<ConfigNote>> {
    let (answer, answered) = std::sync::mpsc::channel();
    let (plugin, config) = (Arc::clone(plugin), handler.config.clone());
    std::thread::Builder::new()
        .name("check-config".to_owned())
        .spawn(move || answer.send(plugin.validate_config(&config, Arc::new(services))))
        .ok()?;
    answered.recv_timeout(handler.deadline.min(patience)).ok()
}

fn ids(plugins: &Plugins) -> BTreeSet<PluginId> {
    plugins
        .list()
        .map(|plugin| plugin.info().note.id.clone())
        .collect()
}
