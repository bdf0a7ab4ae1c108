//! From a configured handler to one that can be opened.

use std::sync::Arc;

use certdock_plugin_api::{Fault, HostServices};

use crate::app::examine::{BEFORE_SERVING, Examined, examine};
use crate::config;
use crate::handlers::{HandlerSettings, Opener, Services};
use crate::ids::HandlerName;
use crate::plugins::Plugin;
use crate::store::Store;

pub(super) fn settings(handler: &config::Handler) -> HandlerSettings {
    HandlerSettings {
        deadline: handler.deadline,
        threads: handler.threads,
        queue: handler.queue,
        patience: handler.patience,
    }
}

/// Opens the handler with this plugin, whatever becomes of the plugin's file meanwhile.
pub(super) fn opener(
    name: &HandlerName,
    handler: &config::Handler,
    plugin: Option<Arc<Plugin>>,
    store: Arc<dyn Store>,
) -> Opener {
    let (id, isolation, setup) = (
        handler.plugin.clone(),
        handler.isolation,
        handler.setup(name),
    );
    let services = Services::new(name.clone(), &setup.base_dir, &setup.config, store);
    let services: Arc<dyn HostServices> = Arc::new(services);
    Arc::new(move || {
        let plugin = plugin.as_ref().ok_or_else(|| {
            Fault::misconfigured(format!(
                "no usable plugin '{id}' is in the plugins directory; `certdock plugin list` says why"
            ))
        })?;
        plugin.open(isolation, &setup, &services)
    })
}

/// The same for a handler whose plugin finds its configuration wrong: it is asked again each time, and
/// as long as it says so, the handler is not opened.
pub(super) fn doubtful_opener(
    name: &HandlerName,
    handler: &config::Handler,
    plugin: Option<Arc<Plugin>>,
    store: Arc<dyn Store>,
) -> Opener {
    let open = opener(name, handler, plugin.clone(), store);
    let (name, handler) = (name.clone(), handler.clone());
    Arc::new(move || {
        if let Some(plugin) = &plugin {
            let mut found = Examined::default();
            examine(&name, &handler, plugin, BEFORE_SERVING, &mut found);
            if let Some(complaint) = found.complaints.first() {
                return Err(Fault::misconfigured(complaint.to_string()));
            }
        }
        open()
    })
}
