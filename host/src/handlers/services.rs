//! [`Services`]: what one handler may ask of this host.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use certdock_plugin_api::{Fault, HostServices, Level, SecretRef, Versioned};
use metrics::{counter, gauge};
use zeroize::Zeroizing;

use crate::ids::HandlerName;
use crate::store::{Error, Store};

/// Larger files are not secrets.
const LARGEST_SECRET: u64 = 64 * 1024;

/// The services of one handler: its name scopes its log, its metrics and its state.
pub struct Services {
    handler: HandlerName,
    base_dir: PathBuf,
    /// `None` while a configuration is only being checked.
    store: Option<Arc<dyn Store>>,
}

impl Services {
    /// `base_dir` is the directory of the file that configures the handler.
    #[must_use]
    pub fn new(handler: HandlerName, base_dir: PathBuf, store: Arc<dyn Store>) -> Self {
        Self {
            handler,
            base_dir,
            store: Some(store),
        }
    }

    /// For checking a configuration: there is no state to read or write.
    #[must_use]
    pub fn for_check(handler: HandlerName, base_dir: PathBuf) -> Self {
        Self {
            handler,
            base_dir,
            store: None,
        }
    }

    fn store(&self) -> Result<&dyn Store, Fault> {
        self.store.as_deref().ok_or_else(|| {
            Fault::unsupported("a handler has no state while its configuration is checked")
        })
    }

    fn secret_file(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let path = self.resolve(path);
        let fault = |error: &dyn std::fmt::Display| {
            Fault::misconfigured(format!("the secret file {} can't be read", path.display()))
                .private(error.to_string())
        };
        let size = std::fs::metadata(&path)
            .map_err(|error| fault(&error))?
            .len();
        if size > LARGEST_SECRET {
            return Err(fault(&"it is larger than 64 KiB"));
        }
        let mut secret = Zeroizing::new(std::fs::read(&path).map_err(|error| fault(&error))?);
        if secret.last() == Some(&b'\n') {
            secret.pop();
            if secret.last() == Some(&b'\r') {
                secret.pop();
            }
        }
        Ok(secret)
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
        match reference {
            SecretRef::Env(name) => std::env::var_os(name)
                .map(|value| Zeroizing::new(value.into_encoded_bytes()))
                .ok_or_else(|| {
                    Fault::misconfigured(format!("the environment variable {name} is not set"))
                }),
            SecretRef::File(path) => self.secret_file(path),
        }
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
