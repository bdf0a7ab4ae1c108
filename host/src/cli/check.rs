//! `certdock check`, and the same checks before `certdock serve`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use super::failure::Failure;
use super::output;
use crate::app::Start;
use crate::app::examine::{BEFORE_SERVING, Examined, examine, missing, unreadable_directory};
use crate::app::files::unusable_files;
use crate::config::{self, Config, Mistake, Mistakes};
use crate::ids::{HandlerName, PluginId};

pub(super) fn run(config: &Config) -> Result<(), Failure> {
    let start = Start::look(config);
    let mut mistakes = missing_plugins(config, &start, |_| true)?;
    mistakes.extend(unusable_files(config));
    for rejected in start.plugins().rejected() {
        let file = rejected.file.display();
        output::complain(&format!("warning: {file}: {}", rejected.reason));
    }
    let mut warnings = Vec::new();
    for (_, found) in examine_each(config, &start, Duration::MAX) {
        mistakes.extend(found.mistakes);
        mistakes.extend(found.complaints);
        mistakes.extend(found.refused);
        warnings.extend(found.warnings);
    }
    Mistakes::check(mistakes)?;
    for warning in warnings {
        output::complain(&format!("warning: {warning}"));
    }
    let mut text = String::from("The configuration is good. What matters for security:\n");
    for line in config::switches(config) {
        // Writing to a `String` can't fail.
        let _ = writeln!(text, "  {line}");
    }
    output::print(&text)
}

/// The same for a server about to start. A file that can't be used may be a handler's plugin, and what
/// only a plugin says against its configuration concerns its own handler: that one is down then, but the
/// others serve. Returns the handlers that are to be opened with care.
pub(super) fn before_serving(
    config: &Config,
    start: &Start,
) -> Result<BTreeSet<HandlerName>, Mistakes> {
    let is_lost = |id: &PluginId| !start.plugins().may_have_rejected(id);
    let mut mistakes = missing_plugins(config, start, is_lost)?;
    mistakes.extend(unusable_files(config));
    let (mut doubtful, mut warnings) = (BTreeSet::new(), Vec::new());
    for (name, found) in examine_each(config, start, BEFORE_SERVING) {
        if !found.complaints.is_empty() {
            doubtful.insert(name.clone());
        }
        mistakes.extend(found.mistakes);
        warnings.extend(found.complaints);
        warnings.extend(found.refused);
        warnings.extend(found.warnings);
    }
    Mistakes::check(mistakes)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(doubtful)
}

/// The handlers whose plugin is not there, of those whose plugin counts. Where an operator rolled back,
/// the plugin is what was kept.
///
/// # Errors
/// None could be.
fn missing_plugins(
    config: &Config,
    start: &Start,
    counts: impl Fn(&PluginId) -> bool,
) -> Result<Vec<Mistake>, Mistakes> {
    let plugins = start.plugins();
    if let Some(mistake) = unreadable_directory(config, plugins) {
        return Err(mistake.into());
    }
    let lacking = config
        .handlers
        .iter()
        .filter(|(name, handler)| start.plugin(name).is_none() && counts(&handler.plugin));
    Ok(lacking
        .filter_map(|(_, handler)| missing(&config.plugins, handler, plugins))
        .collect())
}

fn examine_each<'a>(
    config: &'a Config,
    start: &Start,
    patience: Duration,
) -> impl Iterator<Item = (&'a HandlerName, Examined)> {
    config.handlers.iter().filter_map(move |(name, handler)| {
        let plugin = start.plugin(name)?;
        let mut found = Examined::default();
        examine(name, handler, plugin, patience, &mut found);
        Some((name, found))
    })
}
