//! [`Services`]: what one handler may ask of this host.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use certdock_plugin_api::{Fault, HostServices, Level, SecretRef, Versioned, bounds};
use metrics::{Label, counter, gauge};
use parking_lot::Mutex;
use tracing::enabled;
use zeroize::Zeroizing;

use super::secrets::Secrets;
use super::series::{Kind, OWN_LABEL, Series, Unfit};
use crate::ids::HandlerName;
use crate::observe::budget::Budget;
use crate::store::{Error, Store};

/// The services of one handler: its name scopes its log, its metrics and its state.
pub struct Services {
    handler: HandlerName,
    base_dir: PathBuf,
    secrets: Secrets,
    series: Arc<Series>,
    /// For errors and warnings, so that nothing else can drown them.
    urgent: Mutex<Budget>,
    other: Mutex<Budget>,
    /// `None` while a configuration is only being checked.
    store: Option<Arc<dyn Store>>,
}

impl Services {
    /// `config` is the handler's own configuration, JSON, and `base_dir` the directory of its file.
    #[must_use]
    pub fn new(handler: HandlerName, base_dir: &Path, config: &str, store: Arc<dyn Store>) -> Self {
        let mut services = Self::for_check(handler, base_dir, config);
        services.store = Some(store);
        services
    }

    /// For checking a configuration: there is no state to read or write.
    #[must_use]
    pub fn for_check(handler: HandlerName, base_dir: &Path, config: &str) -> Self {
        let budget = || {
            let span = Duration::from_secs(bounds::LOG_SECONDS);
            Mutex::new(Budget::new(bounds::LOG_LINES, bounds::LOG_BYTES, span))
        };
        Self {
            series: Series::of(&handler),
            urgent: budget(),
            other: budget(),
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

    /// Whether a line of this size may be logged.
    fn may_log(&self, level: Level, bytes: usize) -> bool {
        let budget = match level {
            Level::Error | Level::Warn => &self.urgent,
            _ => &self.other,
        };
        let tell = |lines| self.tell_left_out(lines);
        budget.lock().spend(bytes, Instant::now(), tell)
    }

    fn tell_left_out(&self, lines: u64) {
        let handler = self.handler.as_str();
        tracing::warn!(target: "plugin", handler, lines, "logged too much: these lines are left out");
    }

    /// The labels of a series, if the handler may have it.
    fn labels(&self, kind: Kind, name: &str, given: &[(&str, &str)]) -> Option<Vec<Label>> {
        let tell = |unfit: Unfit| {
            let handler = self.handler.as_str();
            tracing::warn!(target: "plugin", handler, metric = name, "{}", unfit.told());
        };
        if !self.series.admits(kind, name, given, tell) {
            return None;
        }
        let own = Label::new(OWN_LABEL, self.handler.to_string());
        let given = given.iter();
        let given = given.map(|&(key, value)| Label::new(key.to_owned(), value.to_owned()));
        Some(std::iter::once(own).chain(given).collect())
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        for budget in [&self.urgent, &self.other] {
            let left_out = budget.lock().left_out();
            if left_out > 0 {
                self.tell_left_out(left_out);
            }
        }
    }
}

fn is_logged(level: Level) -> bool {
    match level {
        Level::Error => enabled!(target: "plugin", tracing::Level::ERROR),
        Level::Warn => enabled!(target: "plugin", tracing::Level::WARN),
        Level::Info => enabled!(target: "plugin", tracing::Level::INFO),
        Level::Debug => enabled!(target: "plugin", tracing::Level::DEBUG),
        _ => enabled!(target: "plugin", tracing::Level::TRACE),
    }
}

/// With spaces for control characters: a line break would begin a line that looks like the server's own.
fn one_line(text: &str) -> Cow<'_, str> {
    match text.contains(char::is_control) {
        true => text.replace(char::is_control, " ").into(),
        false => text.into(),
    }
}

fn state_fault(error: &Error) -> Fault {
    Fault::internal("the host's store failed").private(error.to_string())
}

impl HostServices for Services {
    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        let size = |&(name, value): &(&str, &str)| name.len() + value.len();
        let size = message.len() + fields.iter().map(size).sum::<usize>();
        if !is_logged(level) || !self.may_log(level, size) {
            return;
        }
        let handler = self.handler.as_str();
        let message = one_line(message);
        let fields = fields
            .iter()
            .map(|&(key, value)| (key, value))
            .collect::<BTreeMap<&str, &str>>();
        let fields = if fields.is_empty() {
            None
        } else {
            let fields = serde_json::to_string(&fields).ok();
            fields.map(|fields| tracing::field::display(one_line(&fields).into_owned()))
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
        if !self.secrets.names(reference) && self.may_log(Level::Warn, 0) {
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
        if let Some(labels) = self.labels(Kind::Counter, name, labels) {
            counter!(format!("certdock_plugin_{name}"), labels).increment(value);
        }
    }

    fn metric_set(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        if let Some(labels) = self.labels(Kind::Gauge, name, labels) {
            gauge!(format!("certdock_plugin_{name}"), labels).set(value);
        }
    }

    fn state_get(&self, key: &str) -> Result<Option<Versioned>, Fault> {
        self.store()?
            .state_get(&self.handler, key)
            .map_err(|error| state_fault(&error))
    }

    fn state_put(&self, key: &str, value: &[u8]) -> Result<u64, Fault> {
        bounds::check_entry(key, value)?;
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
        bounds::check_entry(key, value)?;
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

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::observe::captured::{Captured, subscribe};

    fn services(name: &str) -> Services {
        Services::for_check(name.parse().unwrap(), Path::new("/nowhere"), "{}")
    }

    fn capture(level: tracing::Level) -> (Captured, impl Sized) {
        let captured = Captured::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(captured.writer())
            .finish();
        (captured, subscribe(subscriber))
    }

    #[test]
    fn a_handler_can_not_fill_the_log() {
        let (captured, guard) = capture(tracing::Level::INFO);
        let services = services("chatty");
        let most = usize::try_from(bounds::LOG_LINES).unwrap();
        for _ in 0..2 * most {
            services.log(Level::Debug, "nobody listens", &[]);
        }
        let long = "x".repeat(bounds::LOG_BYTES);
        services.log(Level::Info, "long", &[("text", &long)]);
        for _ in 0..2 * most {
            services.log(Level::Info, "said", &[]);
        }
        services.log(Level::Error, "heard", &[]);
        let count = |text: &str, what: &str| text.lines().filter(|l| l.contains(what)).count();
        let text = captured.text();
        assert_eq!((count(&text, "said"), count(&text, "long")), (most, 0));
        assert_eq!(count(&text, "heard"), 1);
        drop(services);
        let told = format!("left out handler=\"chatty\" lines={}", most + 1);
        assert!(captured.text().contains(&told));
        drop(guard);
    }

    #[test]
    fn a_handler_can_not_make_series_without_end() {
        let (captured, guard) = capture(tracing::Level::WARN);
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            for generation in 0..2 {
                let services = services("collector");
                for number in 0..bounds::SERIES {
                    let id = format!("{generation}-{number}");
                    services.metric_add("enrolled_total", &[("id", &id)], 1);
                    services.metric_set("last", &[], 1.0);
                }
            }
        });
        let text = handle.render();
        let series = text
            .lines()
            .filter(|line| line.contains("handler=\"collector\""));
        assert_eq!(series.count(), bounds::SERIES);
        assert_eq!(captured.text().matches("series of metrics").count(), 1);
        drop(guard);
    }

    #[test]
    fn a_handler_can_not_make_metrics_unreadable() {
        let (captured, guard) = capture(tracing::Level::WARN);
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            let services = services("muddler");
            for labels in [
                &[("", "x")][..],
                &[("a-b", "1"), ("a_b", "2")],
                &[("a", "1"), ("a", "2")],
                &[("handler", "another")],
                &[("__name__", "up")],
            ] {
                services.metric_add("muddled_total", labels, 1);
                services.metric_set("muddled", labels, 1.0);
            }
            services.metric_add("mud.dled", &[], 1);
            services.metric_add("mud", &[("a_b", "1")], 1);
            services.metric_set("mud", &[("a_b", "1")], 1.0);
        });
        let text = handle.render();
        let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(
            lines,
            [
                "# TYPE certdock_plugin_mud counter",
                "certdock_plugin_mud{handler=\"muddler\",a_b=\"1\"} 1"
            ]
        );
        assert_eq!(captured.text().matches("named as Prometheus").count(), 1);
        assert_eq!(captured.text().matches("of the other kind").count(), 1);
        drop(guard);
    }

    #[test]
    fn a_handler_can_not_forge_lines_of_the_log() {
        let (captured, guard) = capture(tracing::Level::INFO);
        let forged =
            "x\n2026-11-21T00:00:00Z  INFO audit: act=\"certificate-issued\"\u{85}\r\u{1b}[2J";
        let services = services("forger");
        services.log(Level::Warn, forged, &[(forged, forged)]);
        let text = captured.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        let ends = |c: char| c.is_control() && c != '\n';
        assert!(
            !text.contains(ends) && text.contains("certificate-issued"),
            "{text}"
        );
        drop(guard);
    }

    #[test]
    fn the_state_is_for_small_things() {
        let services = services("hoarder");
        let large = vec![0; bounds::STATE_VALUE_BYTES + 1];
        let faults = [
            services.state_put("k", &large).unwrap_err(),
            services
                .state_compare_and_swap("k", None, &large)
                .unwrap_err(),
        ];
        for fault in faults {
            assert_eq!(fault.public, bounds::entry_too_large().public);
        }
    }
}
