//! `certdock check`, and the same checks before `certdock serve`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use certdock_plugin_api::Severity;

use super::failure::Failure;
use super::output;
use crate::config::{self, Config, Mistake, Mistakes};
use crate::handlers::Services;
use crate::ids::PluginId;
use crate::plugins::Plugins;

pub(super) fn run(config: &Config) -> Result<(), Failure> {
    let plugins = Plugins::discover(&config.plugins.directory);
    for rejected in plugins.rejected() {
        let file = rejected.file.display();
        output::complain(&format!("warning: {file}: {}", rejected.reason));
    }
    config::missing_plugins(config, &ids(&plugins))?;
    for warning in examine(config, &plugins)? {
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
    if plugins.rejected().is_empty() {
        config::missing_plugins(config, &ids(plugins))?;
    }
    for warning in examine(config, plugins)? {
        tracing::warn!("{warning}");
    }
    Ok(())
}

/// Asks each handler's plugin what it thinks of its configuration. Gives its warnings.
fn examine(config: &Config, plugins: &Plugins) -> Result<Vec<Mistake>, Mistakes> {
    let mut warnings = Vec::new();
    let mut mistakes = Vec::new();
    for (name, handler) in &config.handlers {
        let Some(plugin) = plugins.get(&handler.plugin) else {
            continue;
        };
        let services = Services::for_check(name.clone(), handler.base_dir.clone());
        for note in plugin.validate_config(&handler.config, Arc::new(services)) {
            let mistake = handler.origin.config_mistake(&note.key, note.message);
            match note.severity {
                Severity::Warning => warnings.push(mistake),
                _ => mistakes.push(mistake),
            }
        }
    }
    Mistakes::check(mistakes)?;
    Ok(warnings)
}

fn ids(plugins: &Plugins) -> BTreeSet<PluginId> {
    plugins
        .list()
        .map(|plugin| plugin.info().note.id.clone())
        .collect()
}
