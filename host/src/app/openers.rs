//! From the configuration's handlers to ones that can be opened.

use std::sync::Arc;

use certdock_plugin_api::Fault;

use crate::config::{self, Config};
use crate::handlers::{HandlerSettings, Opener, Services};
use crate::ids::HandlerName;
use crate::plugins::Plugins;
use crate::store::Store;

/// Every configured handler, with what opens it.
pub(super) fn openers(
    config: &Config,
    plugins: &Arc<Plugins>,
    store: &Arc<dyn Store>,
) -> Vec<(HandlerName, HandlerSettings, Opener)> {
    let each = |(name, handler): (&HandlerName, &config::Handler)| {
        let settings = HandlerSettings {
            deadline: handler.deadline,
            threads: handler.threads,
            queue: handler.queue,
            patience: handler.patience,
        };
        (
            name.clone(),
            settings,
            opener(name, handler, plugins, store),
        )
    };
    config.handlers.iter().map(each).collect()
}

fn opener(
    name: &HandlerName,
    handler: &config::Handler,
    plugins: &Arc<Plugins>,
    store: &Arc<dyn Store>,
) -> Opener {
    let services = Services::new(name.clone(), handler.base_dir.clone(), Arc::clone(store));
    let services = Arc::new(services);
    let (id, config) = (handler.plugin.clone(), handler.config.clone());
    let plugins = Arc::clone(plugins);
    Arc::new(move || {
        let plugin = plugins.get(&id).ok_or_else(|| {
            Fault::misconfigured(format!(
                "no usable plugin '{id}' is in the plugins directory; `certdock plugin list` says why"
            ))
        })?;
        plugin.open(&config, Arc::clone(&services) as _)
    })
}
