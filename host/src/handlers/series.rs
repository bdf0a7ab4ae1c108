//! [`Series`]: the series of metrics that one handler has made. Each takes memory for good, in the server
//! and wherever its metrics are collected.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, LazyLock};

use certdock_plugin_api::abi::types::MAX_PAIRS;
use certdock_plugin_api::bounds;
use parking_lot::Mutex;

use crate::ids::HandlerName;

/// Of all handlers that there have been. No series ends with the generation of a handler that made it.
static ALL: LazyLock<Mutex<HashMap<HandlerName, Arc<Series>>>> = LazyLock::new(Mutex::default);

/// No plugin names another handler.
pub(super) const OWN_LABEL: &str = "handler";

/// What each name is, whichever handler had it first: one with two kinds makes all metrics unreadable.
static KINDS: LazyLock<Mutex<HashMap<String, Kind>>> = LazyLock::new(Mutex::default);

#[derive(Default)]
pub(crate) struct Series {
    known: Mutex<Known>,
    /// Its keys are drawn by chance, so that no plugin can make two series look alike.
    hasher: RandomState,
}

#[derive(Default)]
struct Known {
    hashes: HashSet<u64>,
    told: BTreeSet<Unfit>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Counter,
    Gauge,
}

/// Why a series is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unfit {
    TooMuch,
    Misnamed,
    OtherKind,
}

impl Unfit {
    /// What is wrong and what to do.
    pub(crate) fn told(self) -> &'static str {
        match self {
            Self::TooMuch => {
                "too many or too long series of metrics, left out; a label should have few values"
            }
            Self::Misnamed => {
                "a metric or a label is not named as Prometheus wants it, left out; names have letters, \
                 digits and _, and no label begins with __, is `handler`, or is there twice"
            }
            Self::OtherKind => {
                "a metric's name is that of one of the other kind, counter or gauge, left out; take \
                 another name"
            }
        }
    }
}

impl Series {
    pub(super) fn of(handler: &HandlerName) -> Arc<Self> {
        Arc::clone(ALL.lock().entry(handler.clone()).or_default())
    }

    /// Whether this one may be recorded. `tell` is called the first time that one may not, for each
    /// reason.
    pub(crate) fn admits(
        &self,
        kind: Kind,
        name: &str,
        labels: &[(&str, &str)],
        tell: impl FnOnce(Unfit),
    ) -> bool {
        let hash = self.hasher.hash_one((kind, name, labels));
        let mut known = self.known.lock();
        if known.hashes.contains(&hash) {
            return true;
        }
        let Err(unfit) = check(kind, name, labels, known.hashes.len()) else {
            return known.hashes.insert(hash);
        };
        if known.told.insert(unfit) {
            drop(known);
            tell(unfit);
        }
        false
    }
}

/// Whether one more is fit, beside so many.
fn check(kind: Kind, name: &str, labels: &[(&str, &str)], others: usize) -> Result<(), Unfit> {
    let size = |&(key, value): &(&str, &str)| key.len() + value.len();
    let size = name.len() + labels.iter().map(size).sum::<usize>();
    if others >= bounds::SERIES || size > bounds::SERIES_BYTES || labels.len() > MAX_PAIRS {
        return Err(Unfit::TooMuch);
    }
    let mut seen = HashSet::new();
    let mut labels = labels.iter().map(|&(label, _)| label);
    let labelled = labels.all(|label| {
        let reserved = label == OWN_LABEL || label.starts_with("__");
        bounds::is_metric_name(label) && !reserved && seen.insert(label)
    });
    if !labelled || !bounds::is_metric_name(name) {
        return Err(Unfit::Misnamed);
    }
    match KINDS.lock().entry(name.to_owned()) {
        Entry::Occupied(known) if *known.get() != kind => Err(Unfit::OtherKind),
        Entry::Occupied(_) => Ok(()),
        Entry::Vacant(place) => {
            place.insert(kind);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_has_so_many_series_and_keeps_those() {
        let series = Series::default();
        let mut told = Vec::new();
        let mut admits = |kind, name: &str, value: &str| {
            series.admits(kind, name, &[("id", value)], |unfit| told.push(unfit))
        };
        let long = "x".repeat(bounds::SERIES_BYTES);
        assert!(!admits(Kind::Counter, "calls_total", &long));
        assert!(admits(Kind::Gauge, "calls_now", "0"));
        let admitted = (0..2 * bounds::SERIES)
            .filter(|number| admits(Kind::Counter, "calls_total", &number.to_string()))
            .count();
        assert_eq!(admitted, bounds::SERIES - 1);
        assert!(admits(Kind::Counter, "calls_total", "0"));
        assert!(!admits(Kind::Counter, "calls_total", "another"));
        assert_eq!(told, [Unfit::TooMuch]);
    }

    #[test]
    fn names_are_as_prometheus_wants_them() {
        let series = Series::default();
        let mut told = Vec::new();
        let mut admits = |name: &str, labels: &[(&str, &str)]| {
            series.admits(Kind::Counter, name, labels, |unfit| told.push(unfit))
        };
        for label in ["a", "_a", "A_9", "a__b"] {
            assert!(admits("named_total", &[(label, "any \n text")]), "{label}");
        }
        for label in ["", "9", "a-b", "ä", "a b", "__a", "__name__", "handler"] {
            assert!(!admits("named_total", &[(label, "v")]), "{label}");
        }
        assert!(!admits("named_total", &[("a", "1"), ("b", ""), ("a", "2")]));
        assert!(admits("named_total", &[("a", "1"), ("b", "")]));
        for name in ["", "9", "a-b", "a.b", "a\nb"] {
            assert!(!admits(name, &[]), "{name}");
        }
        assert_eq!(told, [Unfit::Misnamed]);
    }

    #[test]
    fn a_name_is_of_one_kind_for_all_handlers() {
        let [one, other] = [Series::default(), Series::default()];
        let admits = |series: &Series, kind| series.admits(kind, "kind_of_it", &[], |_| {});
        assert!(admits(&one, Kind::Gauge));
        assert!(!admits(&one, Kind::Counter));
        assert!(!admits(&other, Kind::Counter));
        assert!(admits(&other, Kind::Gauge));
    }

    #[test]
    fn generations_share_what_they_may_have() {
        let [one, two] = ["series-one", "series-two"].map(|name| name.parse().unwrap());
        assert!(Arc::ptr_eq(&Series::of(&one), &Series::of(&one)));
        assert!(!Arc::ptr_eq(&Series::of(&one), &Series::of(&two)));
    }
}
