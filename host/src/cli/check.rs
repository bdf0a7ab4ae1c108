//! `certdock check`, and the same checks before `certdock serve`.

use std::fmt::Write as _;
use std::time::Duration;

use super::failure::Failure;
use super::output;
use crate::app::examine::{self, BEFORE_SERVING, Examined, ids};
use crate::config::{self, Config, Mistakes};
use crate::plugins::Plugins;

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

fn examine(config: &Config, plugins: &Plugins, patience: Duration) -> Examined {
    let mut found = Examined::default();
    for (name, handler) in &config.handlers {
        if let Some(plugin) = plugins.get(&handler.plugin) {
            examine::examine(name, handler, plugin, patience, &mut found);
        }
    }
    found
}
