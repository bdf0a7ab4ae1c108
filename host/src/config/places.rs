//! [`Places`]: where the keys of a configuration stand.

use std::collections::BTreeMap;

use super::mistake::{Mistake, Place};
use super::tree::{Tree, Value, join};

/// By dotted path: `server.tls.key`.
#[derive(Clone, Debug, Default)]
pub struct Places(BTreeMap<String, Place>);

impl Places {
    pub(super) fn of(tree: &Tree) -> Self {
        let mut places = Self::default();
        places.add(tree, "");
        places
    }

    /// A mistake of this key. Where nobody wrote it, it stands at the table around it.
    #[must_use]
    pub fn mistake(&self, key: &str, text: impl Into<String>) -> Mistake {
        let around = std::iter::successors(Some(key), |path| Some(path.rsplit_once('.')?.0));
        let place = around.filter_map(|path| self.0.get(path)).next();
        Mistake::new(place.cloned(), key, text)
    }

    fn add(&mut self, tree: &Tree, path: &str) {
        for (name, node) in &tree.0 {
            let path = join(path, name);
            if let Value::Table(tree) = &node.value {
                self.add(tree, &path);
            }
            self.0.insert(path, node.place.clone());
        }
    }
}
