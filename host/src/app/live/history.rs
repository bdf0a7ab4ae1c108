//! [`History`]: which files of its plugin a handler has run, and whether an operator rolled back. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::PluginId;
use crate::time::UnixTime;

/// So many files are kept of each handler's plugin, the running one included.
pub(super) const MOST: usize = 4;

/// A handler that is taken out of the configuration may be back soon, and is remembered for so long.
const REMEMBERED: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Files are named by the SHA-256 of their content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct History {
    plugin: PluginId,
    /// What served, the latest last; each once.
    served: Vec<String>,
    /// The file in the plugins directory that was rolled back from: left aside until it changes. Empty
    /// where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aside: Option<String>,
    /// When the handler was first found not to be configured any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gone_since: Option<UnixTime>,
}

impl History {
    pub(super) fn new(plugin: PluginId) -> Self {
        Self {
            plugin,
            served: Vec::new(),
            aside: None,
            gone_since: None,
        }
    }

    pub(super) fn plugin(&self) -> &PluginId {
        &self.plugin
    }

    /// A file of this content serves.
    pub(super) fn serves(&mut self, sha256: &str) {
        if self.latest() == Some(sha256) {
            return;
        }
        self.served.retain(|former| former != sha256);
        self.served.push(sha256.to_owned());
        let surplus = self.served.len().saturating_sub(MOST);
        self.served.drain(..surplus);
    }

    /// What served last.
    pub(super) fn latest(&self) -> Option<&str> {
        self.served.last().map(String::as_str)
    }

    /// What served before what runs now, which itself may never have served.
    pub(super) fn before(&self, running: Option<&str>) -> Option<&str> {
        let mut served = self.served.iter().rev().map(String::as_str);
        served.find(|former| running != Some(former))
    }

    /// What served before `running` does so again. The file in the directory is left aside; if there is
    /// none that can be used, then what ran, should it come back.
    pub(super) fn rolled_back(&mut self, running: Option<&str>, file: Option<String>) {
        if self.latest() == running {
            self.served.pop();
        }
        let from = file.or_else(|| running.map(str::to_owned));
        self.aside = Some(from.unwrap_or_default());
    }

    /// Whether this file of the plugins directory is left aside.
    pub(super) fn leaves_aside(&self, sha256: &str) -> bool {
        self.aside.as_deref() == Some(sha256)
    }

    pub(super) fn is_rolled_back(&self) -> bool {
        self.aside.is_some()
    }

    /// The file in the directory is taken again. Returns what undoes this.
    pub(super) fn release(&mut self) -> Option<String> {
        self.aside.take()
    }

    pub(super) fn leave_aside(&mut self, aside: Option<String>) {
        self.aside = aside;
    }

    pub(super) fn is_configured(&mut self) {
        self.gone_since = None;
    }

    /// Its handler is not configured. Whether it has been so for long enough to be forgotten.
    pub(super) fn is_forgotten(&mut self, now: UnixTime) -> bool {
        now.since(*self.gone_since.get_or_insert(now)) > REMEMBERED
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.served.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(served: &[&str]) -> History {
        let mut history = History::new("p".parse().unwrap());
        served.iter().for_each(|file| history.serves(file));
        history
    }

    #[test]
    fn the_former_file_is_the_one_that_served_before() {
        let mut history = history(&["a", "b", "b", "c"]);
        assert_eq!(history.before(Some("c")), Some("b"));
        history.rolled_back(Some("c"), Some("c".to_owned()));
        assert_eq!(history.latest(), Some("b"));
        assert_eq!(history.before(Some("b")), Some("a"));
        assert!(history.leaves_aside("c") && !history.leaves_aside("d"));
        // Nothing changes for what runs while the file stays as it is.
        history.serves("b");
        assert!(history.is_rolled_back());
        history.release();
        history.serves("d");
        let files: Vec<&str> = history.files().collect();
        assert_eq!(files, ["a", "b", "d"]);
        assert!(!history.leaves_aside("c"));
    }

    #[test]
    fn a_file_that_comes_back_is_kept_once_and_the_oldest_are_dropped() {
        let again = history(&["a", "b", "a"]);
        assert_eq!(
            (again.latest(), again.before(Some("a"))),
            (Some("a"), Some("b"))
        );
        let many = history(&["a", "b", "c", "d", "e", "f"]);
        assert_eq!(many.files().collect::<Vec<_>>(), ["c", "d", "e", "f"]);
        assert_eq!(history(&["a"]).before(Some("a")), None);
    }

    #[test]
    fn one_that_never_served_is_rolled_back_from_to_the_last_that_did() {
        let mut history = history(&["a", "b"]);
        assert_eq!(history.before(Some("bad")), Some("b"));
        history.rolled_back(Some("bad"), Some("bad".to_owned()));
        assert_eq!(history.latest(), Some("b"));
        assert_eq!(history.before(None), Some("b"));
    }

    #[test]
    fn what_was_rolled_back_from_is_left_aside_though_it_is_not_there() {
        let mut gone = history(&["a", "b"]);
        gone.rolled_back(Some("b"), None);
        assert!(gone.is_rolled_back() && gone.leaves_aside("b"));
        let mut none = history(&["a"]);
        none.rolled_back(None, None);
        assert!(none.is_rolled_back() && !none.leaves_aside("a"));
        let aside = gone.release();
        assert!(!gone.is_rolled_back());
        gone.leave_aside(aside);
        assert!(gone.leaves_aside("b"));
    }

    #[test]
    fn a_handler_that_is_gone_is_remembered_for_a_while() {
        let mut history = history(&["a"]);
        let start = UnixTime::from_secs(1_000_000);
        let later = start.plus(REMEMBERED);
        assert!(!history.is_forgotten(start) && !history.is_forgotten(later));
        assert!(history.is_forgotten(later.plus(Duration::from_secs(1))));
        // One that came back and went again begins anew.
        history.is_configured();
        assert!(!history.is_forgotten(later.plus(Duration::from_secs(1))));
    }
}
