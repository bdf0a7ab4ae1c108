//! [`RemoteHost`]: the plugin's side of the host's services.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use zeroize::Zeroizing;

use super::extension::{ExtensionTable, find};
use super::host_base::HostBase;
use super::host_log_1::{self, HostLog};
use super::host_metrics_1::{self, HostMetrics};
use super::host_paths_1::{self, HostPaths};
use super::host_secret_1::{self, HostSecret};
use super::host_state_1::{self, HostState};
use super::host_time_1::{self, HostTime};
use crate::fault::Fault;
use crate::host::{HostServices, Level, SecretRef, Versioned};

/// A host across the wire. A service that the host does not have is missed as little as can be:
/// lines and metrics are dropped, the time is the system's, the rest is a fault.
pub(super) struct RemoteHost {
    base: HostBase,
    log: Option<&'static HostLog>,
    time: Option<&'static HostTime>,
    secret: Option<&'static HostSecret>,
    paths: Option<&'static HostPaths>,
    metrics: Option<&'static HostMetrics>,
    state: Option<&'static HostState>,
}

impl RemoteHost {
    /// # Safety
    /// `base` is valid and ours to release.
    pub(super) unsafe fn new(base: HostBase) -> Self {
        let mut complaints = Vec::new();
        let host = Self {
            log: service(&base, &mut complaints),
            time: service(&base, &mut complaints),
            secret: service(&base, &mut complaints),
            paths: service(&base, &mut complaints),
            metrics: service(&base, &mut complaints),
            state: service(&base, &mut complaints),
            base,
        };
        for (id, detail) in complaints {
            let fields = [("extension", id), ("detail", detail.as_str())];
            host.log(
                Level::Warn,
                "a service of the host has another layout, not used",
                &fields,
            );
        }
        host
    }
}

fn service<T: ExtensionTable>(
    base: &HostBase,
    complaints: &mut Vec<(&'static str, String)>,
) -> Option<&'static T> {
    find(base.extension).unwrap_or_else(|complaint| {
        complaints.push((T::ID, complaint));
        None
    })
}

fn missing(what: &str) -> Fault {
    Fault::misconfigured(format!("this host has no {what}; upgrade certdock"))
}

// In all blocks below: the tables were found through `base`, which is released on drop only.
impl HostServices for RemoteHost {
    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        if let Some(table) = self.log {
            // SAFETY: table and context belong together and are alive.
            unsafe { host_log_1::send(table, self.base.context, level, message, fields) }
        }
    }

    fn now(&self) -> SystemTime {
        match self.time {
            // SAFETY: as above.
            Some(table) => unsafe { host_time_1::send(table, self.base.context) },
            None => SystemTime::now(),
        }
    }

    fn secret(&self, reference: &SecretRef) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let table = self.secret.ok_or_else(|| missing("secrets"))?;
        // SAFETY: as above.
        unsafe { host_secret_1::send(table, self.base.context, reference) }
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        match self.paths {
            // SAFETY: as above.
            Some(table) => unsafe { host_paths_1::send(table, self.base.context, path) },
            None => path.to_owned(),
        }
    }

    fn metric_add(&self, name: &str, labels: &[(&str, &str)], value: u64) {
        if let Some(table) = self.metrics {
            // SAFETY: as above.
            unsafe { host_metrics_1::send_add(table, self.base.context, name, labels, value) }
        }
    }

    fn metric_set(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        if let Some(table) = self.metrics {
            // SAFETY: as above.
            unsafe { host_metrics_1::send_set(table, self.base.context, name, labels, value) }
        }
    }

    fn state_get(&self, key: &str) -> Result<Option<Versioned>, Fault> {
        let table = self.state.ok_or_else(|| missing("state"))?;
        // SAFETY: as above.
        unsafe { host_state_1::send_get(table, self.base.context, key) }
    }

    fn state_put(&self, key: &str, value: &[u8]) -> Result<u64, Fault> {
        let table = self.state.ok_or_else(|| missing("state"))?;
        // SAFETY: as above.
        unsafe { host_state_1::send_put(table, self.base.context, key, value) }
    }

    fn state_compare_and_swap(
        &self,
        key: &str,
        expected: Option<u64>,
        value: &[u8],
    ) -> Result<Option<u64>, Fault> {
        let table = self.state.ok_or_else(|| missing("state"))?;
        let context = self.base.context;
        // SAFETY: as above.
        unsafe { host_state_1::send_compare_and_swap(table, context, key, expected, value) }
    }

    fn state_delete(&self, key: &str) -> Result<bool, Fault> {
        let table = self.state.ok_or_else(|| missing("state"))?;
        // SAFETY: as above.
        unsafe { host_state_1::send_delete(table, self.base.context, key) }
    }

    fn state_list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BTreeMap<String, Versioned>, Fault> {
        let table = self.state.ok_or_else(|| missing("state"))?;
        // SAFETY: as above.
        unsafe { host_state_1::send_list(table, self.base.context, prefix, after, limit) }
    }
}

impl Drop for RemoteHost {
    fn drop(&mut self) {
        // SAFETY: the one release; `&mut self` shows that no call is in progress.
        unsafe { (self.base.release)(self.base.context) }
    }
}
