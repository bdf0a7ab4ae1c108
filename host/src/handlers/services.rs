//! [`Services`]: what one handler may ask of this host.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use certdock_plugin_api::{Fault, HostServices, Level, SecretRef, Versioned};
use metrics::{counter, gauge};
use zeroize::Zeroizing;

use super::secrets::Secrets;
use crate::ids::HandlerName;
use crate::store::{Error, Store};

/// The services of one handler: its name scopes its log, its metrics and its state.
pub struct Services {
    handler: HandlerName,
    base_dir: PathBuf,
    secrets: Secrets,
    /// `None` while a configuration is only being checked.
    store: Option<Arc<dyn Store>>,
}

impl Services {
    /// `config` is the handler's own configuration, JSON, and `base_dir` the directory of its file.
    #[must_use]
    pub fn new(handler: HandlerName, base_dir: &Path, config: &str, store: Arc<dyn Store>) -> Self {
        Self {
            store: Some(store),
            ..Self::for_check(handler, base_dir, config)
        }
    }

    /// For checking a configuration: there is no state to read or write.
    #[must_use]
    pub fn for_check(handler: HandlerName, base_dir: &Path, config: &str) -> Self {
        Self {
            handler,
            base_dir: base_dir.to_owned(),
            secrets: Secrets::named_in(config, base_dir.to_owned()),
            store: None,
        }
    }

    fn store(&self) -> Result<&dyn Store, Fault> {
        self.store.as_deref().ok_or_else(|| {
            Fault::unsupported("a handler has no state while its configuration is checked")
        })
    }
}

fn state_fault(error: &Error) -> Fault {
    Fault::internal("the host's store failed").private(error.to_string())
}

fn owned_labels(handler: &HandlerName, labels: &[(&str, &str)]) -> Vec<metrics::Label> {
    let own = metrics::Label::new("handler", handler.to_string());
    let given = labels
        .iter()
        .map(|&(key, value)| metrics::Label::new(key.to_owned(), value.to_owned()));
    std::iter::once(own).chain(given).collect()
}

impl HostServices for Services {
    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        let handler = self.handler.as_str();
        let fields = fields
            .iter()
            .map(|&(key, value)| (key, value))
            .collect::<BTreeMap<&str, &str>>();
        let fields = if fields.is_empty() {
            None
        } else {
            serde_json::to_string(&fields)
                .ok()
                .map(tracing::field::display)
        };
        match level {
            Level::Error => tracing::error!(target: "plugin", handler, fields, "{message}"),
            Level::Warn => tracing::warn!(target: "plugin", handler, fields, "{message}"),
            Level::Info => tracing::info!(target: "plugin", handler, fields, "{message}"),
            Level::Debug => tracing::debug!(target: "plugin", handler, fields, "{message}"),
            _ => tracing::trace!(target: "plugin", handler, fields, "{message}"),
        }
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn secret(&self, reference: &SecretRef) -> Result<Zeroizing<Vec<u8>>, Fault> {
        if !self.secrets.names(reference) {
            // Of two plugins, the one that is broken says nothing of it.
            tracing::warn!(
                target: "plugin",
                handler = self.handler.as_str(),
                ?reference,
                "asked for a secret that its configuration does not name"
            );
        }
        self.secrets.get(reference)
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        self.base_dir.join(path)
    }

    fn metric_add(&self, name: &str, labels: &[(&str, &str)], value: u64) {
        let labels = owned_labels(&self.handler, labels);
        counter!(format!("certdock_plugin_{name}"), labels).increment(value);
    }

    fn metric_set(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels = owned_labels(&self.handler, labels);
        gauge!(format!("certdock_plugin_{name}"), labels).set(value);
    }

    fn state_get(&self, key: &str) -> Result<Option<Versioned>, Fault> {
        self.store()?
            .state_get(&self.handler, key)
            .map_err(|error| state_fault(&error))
    }

    fn state_put(&self, key: &str, value: &[u8]) -> Result<u64, Fault> {
        self.store()?
            .state_put(&self.handler, key, value)
            .map_err(|error| state_fault(&error))
    }

    fn state_compare_and_swap(
        &self,
        key: &str,
        expected: Option<u64>,
        value: &[u8],
    ) -> Result<Option<u64>, Fault> {
        self.store()?
            .state_compare_and_swap(&self.handler, key, expected, value)
            .map_err(|error| state_fault(&error))
    }

    fn state_delete(&self, key: &str) -> Result<bool, Fault> {
        self.store()?
            .state_delete(&self.handler, key)
            .map_err(|error| state_fault(&error))
    }

    fn state_list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BTreeMap<String, Versioned>, Fault> {
        self.store()?
            .state_list(&self.handler, prefix, after, limit)
            .map_err(|error| state_fault(&error))
    }
}
