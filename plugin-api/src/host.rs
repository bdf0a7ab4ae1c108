//! [`Host`]: what a plugin may ask of the host.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

#[cfg(doc)]
use crate::bounds;
use crate::fault::Fault;

/// How important a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Level {
    /// An operator must look at it.
    Error,
    /// An operator should look at it some day.
    Warn,
    /// What happened, one line for each thing that matters.
    Info,
    /// For finding out why something went wrong.
    Debug,
    /// Everything.
    Trace,
}

/// Where a secret is kept: `{ env = "NAME" }` or `{ file = "PATH" }` in the configuration. The
/// secret itself never stands in a configuration file; a handler gets it from [`secret`](HostServices::secret).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[cfg_attr(feature = "wire", derive(serde::Serialize))]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum SecretRef {
    /// In an environment variable of the server.
    Env(String),
    /// In a file; one final line break is not part of it.
    File(PathBuf),
}

impl SecretRef {
    /// The secrets that a handler's configuration (JSON) names, anywhere in it: those that the host
    /// gives. Paths are as they stand there. There are none in what is no JSON.
    ///
    /// ```
    /// use certdock_plugin_api::SecretRef;
    ///
    /// let config = r#"{"url": "https://ca.example", "login": {"password": {"env": "CA_PASSWORD"}}}"#;
    /// assert_eq!(SecretRef::all_in(config), [SecretRef::Env("CA_PASSWORD".to_owned())]);
    /// ```
    #[must_use]
    pub fn all_in(config: &str) -> Vec<Self> {
        let mut found = Vec::new();
        if let Ok(config) = serde_json::from_str(config) {
            collect(&config, &mut found);
        }
        found
    }
}

fn collect(value: &Value, found: &mut Vec<SecretRef>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        Value::Object(map) => match SecretRef::deserialize(value) {
            Ok(reference) => found.push(reference),
            Err(_) => map.values().for_each(|value| collect(value, found)),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A value in the handler's durable state, with the version that guards a later write.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
pub struct Versioned {
    /// The value.
    #[cfg_attr(feature = "wire", serde(with = "crate::wire::bytes"))]
    pub value: Vec<u8>,
    /// Changes with every write of this key. Opaque; never zero.
    pub version: u64,
}

/// The services behind a [`Host`]: implemented by the host itself, by the shims that carry calls
/// over the ABI, and by the `testing` module. Every method may be called from any thread.
pub trait HostServices: Send + Sync + 'static {
    /// Logs one line under the handler's name. Fields are names with values, at most 64; a message
    /// or value of more than 16 KiB is cut, and a line break becomes a space. The host adds the handler's
    /// name. No secrets. Lines beyond [`LOG_LINES`](bounds::LOG_LINES) and
    /// [`LOG_BYTES`](bounds::LOG_BYTES) are left out.
    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]);
    /// The time, as the host has it. Ask here, not the system, so that tests can set it.
    fn now(&self) -> SystemTime;
    /// A secret's bytes, read anew at every call, wiped when they are dropped. The host gives those that
    /// the handler's configuration names, as `{ env = "NAME" }` or `{ file = "PATH" }`, and no others;
    /// a file is a regular one of at most 64 KiB.
    ///
    /// # Errors
    /// `Misconfigured` if the configuration does not name it, or the variable or file is missing or
    /// unreadable.
    fn secret(&self, reference: &SecretRef) -> Result<Zeroizing<Vec<u8>>, Fault>;
    /// The absolute form of a path in the configuration: relative ones are relative to the directory
    /// of the file that configures the handler. Touches no file.
    fn resolve(&self, path: &Path) -> PathBuf;
    /// Adds to a counter. The host adds the label `handler` with the handler's name. Names and labels are as
    /// Prometheus wants them ([`is_metric_name`](bounds::is_metric_name)), and a name is that of a counter
    /// or of a gauge for all handlers; what isn't so is left out. Use few different values for a label: a
    /// series beyond [`SERIES`](bounds::SERIES), as one label with an enrollment's id soon makes, is left
    /// out, too.
    fn metric_add(&self, name: &str, labels: &[(&str, &str)], value: u64);
    /// Sets a gauge; otherwise as [`metric_add`](Self::metric_add).
    fn metric_set(&self, name: &str, labels: &[(&str, &str)], value: f64);
    /// Reads a key of the handler's state. The state belongs to the handler's name in the
    /// configuration; other handlers of the same plugin have their own.
    ///
    /// # Errors
    /// `Internal` if the store fails.
    fn state_get(&self, key: &str) -> Result<Option<Versioned>, Fault>;
    /// Writes a key whatever it held; returns the new version. Durable on return. The state is for what
    /// must be known after a restart: keys have up to [`STATE_KEY_BYTES`](bounds::STATE_KEY_BYTES),
    /// values up to [`STATE_VALUE_BYTES`](bounds::STATE_VALUE_BYTES).
    ///
    /// # Errors
    /// `Internal` if the key or the value is larger, or the store fails.
    fn state_put(&self, key: &str, value: &[u8]) -> Result<u64, Fault>;
    /// Writes a key if it still has the version `expected` (`None`: if it does not exist). Returns
    /// the new version, or `None` if somebody else wrote first. Durable on return.
    ///
    /// # Errors
    /// As for [`state_put`](Self::state_put).
    fn state_compare_and_swap(
        &self,
        key: &str,
        expected: Option<u64>,
        value: &[u8],
    ) -> Result<Option<u64>, Fault>;
    /// Deletes a key; says whether it was there. Durable on return.
    ///
    /// # Errors
    /// `Internal` if the store fails.
    fn state_delete(&self, key: &str) -> Result<bool, Fault>;
    /// Up to `limit` keys with their values, in byte order, that begin with `prefix` and come after
    /// the key `after`. The host may give fewer, at the latest where a listing has
    /// [`LISTED_KEYS`](bounds::LISTED_KEYS) or [`LISTED_BYTES`](bounds::LISTED_BYTES): ask on after the
    /// last one, until nothing comes.
    ///
    /// # Errors
    /// `Internal` if the store fails.
    fn state_list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BTreeMap<String, Versioned>, Fault>;
}

/// The handler's door to the host. Cheap to clone; may be used from any thread, during calls and
/// between them, until the handler is dropped.
#[derive(Clone)]
pub struct Host(Arc<dyn HostServices>);

impl Host {
    /// Wraps an implementation of the services.
    #[must_use]
    pub fn new(services: Arc<dyn HostServices>) -> Self {
        Self(services)
    }

    pub(crate) fn downgrade(&self) -> WeakHost {
        WeakHost(Arc::downgrade(&self.0))
    }

    /// Logs at error level: something an operator must look at.
    pub fn error(&self, message: &str, fields: &[(&str, &str)]) {
        self.0.log(Level::Error, message, fields);
    }

    /// Logs at warning level.
    pub fn warn(&self, message: &str, fields: &[(&str, &str)]) {
        self.0.log(Level::Warn, message, fields);
    }

    /// Logs at information level.
    pub fn info(&self, message: &str, fields: &[(&str, &str)]) {
        self.0.log(Level::Info, message, fields);
    }

    /// Logs at debug level.
    pub fn debug(&self, message: &str, fields: &[(&str, &str)]) {
        self.0.log(Level::Debug, message, fields);
    }
}

impl std::ops::Deref for Host {
    type Target = dyn HostServices;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Host")
    }
}

/// A [`Host`] that does not keep its handler's services alive.
pub(crate) struct WeakHost(Weak<dyn HostServices>);

impl WeakHost {
    pub(crate) fn upgrade(&self) -> Option<Host> {
        self.0.upgrade().map(Host)
    }
}
