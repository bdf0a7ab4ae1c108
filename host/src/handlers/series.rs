//! [`Series`]: the series of metrics that one handler has made. Each takes memory for good, in the server
//! and wherever its metrics are collected.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, LazyLock};

use certdock_plugin_api::bounds;
use parking_lot::Mutex;

use crate::ids::HandlerName;

/// Of all handlers that there have been. No series ends with the generation of a handler that made it.
static ALL: LazyLock<Mutex<HashMap<HandlerName, Arc<Series>>>> = LazyLock::new(Mutex::default);

#[derive(Default)]
pub(super) struct Series {
    known: Mutex<Known>,
    /// Its keys are drawn by chance, so that no plugin can make two series look alike.
    hasher: RandomState,
}

#[derive(Default)]
struct Known {
    hashes: HashSet<u64>,
    told: bool,
}

#[derive(Clone, Copy, Hash)]
pub(super) enum Kind {
    Counter,
    Gauge,
}

impl Series {
    pub(super) fn of(handler: &HandlerName) -> Arc<Self> {
        Arc::clone(ALL.lock().entry(handler.clone()).or_default())
    }

    /// Whether this one may be recorded. `tell` is called the first time that one may not.
    pub(super) fn admits(
        &self,
        kind: Kind,
        name: &str,
        labels: &[(&str, &str)],
        tell: impl FnOnce(),
    ) -> bool {
        let size = |&(key, value): &(&str, &str)| key.len() + value.len();
        let size = name.len() + labels.iter().map(size).sum::<usize>();
        let hash = self.hasher.hash_one((kind, name, labels));
        let mut known = self.known.lock();
        let admitted = known.hashes.contains(&hash)
            || (size <= bounds::SERIES_BYTES
                && known.hashes.len() < bounds::SERIES
                && known.hashes.insert(hash));
        if !admitted && !std::mem::replace(&mut known.told, true) {
            drop(known);
            tell();
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_has_so_many_series_and_keeps_those() {
        let series = Series::default();
        let mut told = 0;
        let mut admits = |kind, name: &str, value: &str| {
            series.admits(kind, name, &[("id", value)], || told += 1)
        };
        let long = "x".repeat(bounds::SERIES_BYTES);
        assert!(!admits(Kind::Counter, "calls_total", &long));
        assert!(admits(Kind::Gauge, "calls_total", "0"));
        let admitted = (0..2 * bounds::SERIES)
            .filter(|number| admits(Kind::Counter, "calls_total", &number.to_string()))
            .count();
        assert_eq!(admitted, bounds::SERIES - 1);
        assert!(admits(Kind::Counter, "calls_total", "0"));
        assert!(!admits(Kind::Counter, "calls_total", "another"));
        assert_eq!(told, 1);
    }

    #[test]
    fn generations_share_what_they_may_have() {
        let [one, two] = ["series-one", "series-two"].map(|name| name.parse().unwrap());
        assert!(Arc::ptr_eq(&Series::of(&one), &Series::of(&one)));
        assert!(!Arc::ptr_eq(&Series::of(&one), &Series::of(&two)));
    }
}
