//! [`Recorder`]: a host that remembers what a plugin asked of it, and can be made to fail.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use certdock_plugin_api::{Fault, HostServices, Level, SecretRef, Versioned, bounds};
use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::handlers::{MetricKind, Secrets, Series};

/// More lines than this are counted and not kept.
const MOST_LINES: usize = 10_000;

/// A host in memory. Clones share everything.
#[derive(Clone)]
pub(super) struct Recorder(Arc<Inner>);

struct Inner {
    base_dir: PathBuf,
    /// Those that the configurations name that were tried; read as the server does.
    named: RwLock<Secrets>,
    series: Series,
    record: Mutex<Record>,
}

#[derive(Default)]
struct Record {
    lines: Vec<String>,
    lines_lost: usize,
    longest_line: usize,
    panics: Vec<String>,
    secrets: Vec<Zeroizing<Vec<u8>>>,
    metrics_left_out: Vec<String>,
    state: BTreeMap<String, Versioned>,
    last_version: u64,
    state_is_down: bool,
    secrets_are_missing: bool,
    now: Option<SystemTime>,
}

/// What the guard in every plugin logs.
const PANICKED: &str = "the CA handler panicked";

impl Recorder {
    pub(super) fn new(base_dir: PathBuf) -> Self {
        Self(Arc::new(Inner {
            named: RwLock::new(Secrets::named_in("{}", base_dir.clone())),
            base_dir,
            series: Series::default(),
            record: Mutex::default(),
        }))
    }

    /// For a plugin with this configuration.
    pub(super) fn services(&self, config: &str) -> Arc<dyn HostServices> {
        self.0.named.write().add(config);
        Arc::new(self.clone())
    }

    pub(super) fn take_state_down(&self) {
        self.0.record.lock().state_is_down = true;
    }

    pub(super) fn lose_secrets(&self) {
        self.0.record.lock().secrets_are_missing = true;
    }

    pub(super) fn set_now(&self, now: SystemTime) {
        self.0.record.lock().now = Some(now);
    }

    /// Messages with their fields.
    pub(super) fn lines(&self) -> Vec<String> {
        self.0.record.lock().lines.clone()
    }

    /// How many lines were logged, and how long the longest was.
    pub(super) fn log_size(&self) -> (usize, usize) {
        let record = self.0.record.lock();
        (record.lines.len() + record.lines_lost, record.longest_line)
    }

    /// What panics in the plugin said, in calls and outside of them.
    pub(super) fn panics(&self) -> Vec<String> {
        self.0.record.lock().panics.clone()
    }

    /// The secrets that were fetched.
    pub(super) fn secrets(&self) -> Vec<Zeroizing<Vec<u8>>> {
        self.0.record.lock().secrets.clone()
    }

    /// Metrics that the server would leave out, the first for each reason, with that.
    pub(super) fn metrics_left_out(&self) -> Vec<String> {
        self.0.record.lock().metrics_left_out.clone()
    }

    pub(super) fn state_keys(&self) -> Vec<String> {
        self.0.record.lock().state.keys().cloned().collect()
    }

    /// The state, to be given to another process.
    pub(super) fn save_state(&self) -> Value {
        let record = self.0.record.lock();
        let entries = record.state.iter().map(|(key, state)| {
            let value = STANDARD.encode(&state.value);
            (key.clone(), Value::from(value))
        });
        Value::Object(entries.collect())
    }

    pub(super) fn restore_state(&self, saved: &Value) {
        let mut record = self.0.record.lock();
        for (key, value) in saved.as_object().into_iter().flatten() {
            let bytes = value.as_str().and_then(|text| STANDARD.decode(text).ok());
            record.write(key, &bytes.unwrap_or_default());
        }
    }

    fn state<T>(&self, work: impl FnOnce(&mut Record) -> T) -> Result<T, Fault> {
        let mut record = self.0.record.lock();
        if record.state_is_down {
            return Err(Fault::internal("the host's store failed"));
        }
        Ok(work(&mut record))
    }

    fn metric(&self, kind: MetricKind, name: &str, labels: &[(&str, &str)]) {
        self.0.series.admits(kind, name, labels, |unfit| {
            let labels: Vec<_> = labels.iter().map(|&(label, _)| label).collect();
            let left_out = format!("'{name}' with the labels {labels:?}: {}", unfit.told());
            self.0.record.lock().metrics_left_out.push(left_out);
        });
    }
}

impl Record {
    fn write(&mut self, key: &str, value: &[u8]) -> u64 {
        self.last_version += 1;
        let state = Versioned {
            value: value.to_vec(),
            version: self.last_version,
        };
        self.state.insert(key.to_owned(), state);
        self.last_version
    }
}

impl HostServices for Recorder {
    fn log(&self, _level: Level, message: &str, fields: &[(&str, &str)]) {
        let mut line = message.to_owned();
        for (name, value) in fields {
            line.push_str(&format!(" {name}={value}"));
        }
        let mut record = self.0.record.lock();
        if message == PANICKED {
            record.panics.push(line.clone());
        }
        record.longest_line = record.longest_line.max(line.len());
        if record.lines.len() < MOST_LINES {
            record.lines.push(line);
        } else {
            record.lines_lost += 1;
        }
    }

    fn now(&self) -> SystemTime {
        self.0.record.lock().now.unwrap_or_else(SystemTime::now)
    }

    fn secret(&self, reference: &SecretRef) -> Result<Zeroizing<Vec<u8>>, Fault> {
        if self.0.record.lock().secrets_are_missing {
            return Err(Fault::misconfigured("there is no such secret"));
        }
        let secret = self.0.named.read().get(reference)?;
        self.0.record.lock().secrets.push(secret.clone());
        Ok(secret)
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        self.0.base_dir.join(path)
    }

    fn metric_add(&self, name: &str, labels: &[(&str, &str)], _value: u64) {
        self.metric(MetricKind::Counter, name, labels);
    }

    fn metric_set(&self, name: &str, labels: &[(&str, &str)], _value: f64) {
        self.metric(MetricKind::Gauge, name, labels);
    }

    fn state_get(&self, key: &str) -> Result<Option<Versioned>, Fault> {
        self.state(|record| record.state.get(key).cloned())
    }

    fn state_put(&self, key: &str, value: &[u8]) -> Result<u64, Fault> {
        bounds::check_entry(key, value)?;
        self.state(|record| record.write(key, value))
    }

    fn state_compare_and_swap(
        &self,
        key: &str,
        expected: Option<u64>,
        value: &[u8],
    ) -> Result<Option<u64>, Fault> {
        bounds::check_entry(key, value)?;
        self.state(|record| {
            let version = record.state.get(key).map(|state| state.version);
            (version == expected).then(|| record.write(key, value))
        })
    }

    fn state_delete(&self, key: &str) -> Result<bool, Fault> {
        self.state(|record| record.state.remove(key).is_some())
    }

    fn state_list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BTreeMap<String, Versioned>, Fault> {
        self.state(|record| {
            let wanted = |key: &str| key.starts_with(prefix) && after.is_none_or(|a| key > a);
            let found = record.state.iter().filter(|(key, _)| wanted(key));
            let mut room = bounds::Room::for_up_to(limit);
            found
                .take_while(|(key, state)| room.takes(key, &state.value))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_goes_from_one_process_to_the_next() {
        let first = Recorder::new(PathBuf::from("/"));
        first.state_put("a", &[0, 255]).unwrap();
        let second = Recorder::new(PathBuf::from("/"));
        second.restore_state(&first.save_state());
        assert_eq!(second.state_get("a").unwrap().unwrap().value, [0, 255]);
        second.take_state_down();
        assert!(second.state_get("a").is_err());
    }

    #[test]
    fn a_plugin_has_the_secrets_of_its_configurations() {
        let recorder = Recorder::new(PathBuf::from("/"));
        let path = SecretRef::Env("PATH".to_owned());
        let host = recorder.services("{}");
        assert!(host.secret(&path).is_err());
        let host = recorder.services(r#"{"path": {"env": "PATH"}}"#);
        assert!(host.secret(&path).is_ok());
        assert!(host.secret(&SecretRef::Env("HOME".to_owned())).is_err());
        assert_eq!(recorder.secrets().len(), 1);
    }

    #[test]
    fn what_a_plugin_does_is_seen() {
        let host = Recorder::new(PathBuf::from("/x"));
        host.log(Level::Error, PANICKED, &[("panic", "ouch")]);
        assert_eq!(host.panics(), [format!("{PANICKED} panic=ouch")]);
        host.metric_add("calls_total", &[("kind", "a b")], 1);
        host.metric_set("calls_now", &[], 1.0);
        assert!(host.metrics_left_out().is_empty());
        host.metric_set("calls_now", &[("my-label", "")], 1.0);
        host.metric_add("calls_now", &[], 1);
        let left_out = host.metrics_left_out();
        assert_eq!(left_out.len(), 2);
        assert!(
            left_out[0]
                .starts_with("'calls_now' with the labels [\"my-label\"]: a metric or a label")
        );
        assert!(left_out[1].contains("of the other kind"), "{left_out:?}");
        assert_eq!(host.resolve(Path::new("y")), Path::new("/x/y"));
    }
}
