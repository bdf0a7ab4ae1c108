//! [`Plugins`]: what is found in the plugins directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use tracing::{debug, info, warn};

use super::plugin::{Inspection, Plugin};
use super::refusal::Refusal;
use super::trust::Trust;
use crate::ids::PluginId;

/// The plugins of this server, and the files that could not be used.
#[derive(Default)]
pub struct Plugins {
    by_id: BTreeMap<PluginId, Arc<Plugin>>,
    rejected: Vec<Rejected>,
}

/// A file in the directory that is no plugin for this server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejected {
    pub file: PathBuf,
    /// One sentence.
    pub reason: String,
}

impl Plugins {
    /// Looks at every `.so` in a directory, in the order of names, and loads those that are trusted
    /// plugins. Blocks. Never fails: what can't be used is logged, one line each, and remembered.
    #[must_use]
    pub fn discover(directory: &Path, trust: &Trust) -> Self {
        let mut plugins = Self::default();
        match candidates(directory) {
            Ok(files) => files.iter().for_each(|file| plugins.add(file, trust)),
            Err(error) => plugins.reject(directory, &Refusal::Unreadable(error)),
        }
        plugins
    }

    #[must_use]
    pub fn get(&self, id: &PluginId) -> Option<&Arc<Plugin>> {
        self.by_id.get(id)
    }

    /// In the order of their ids.
    pub fn list(&self) -> impl Iterator<Item = &Arc<Plugin>> {
        self.by_id.values()
    }

    #[must_use]
    pub fn rejected(&self) -> &[Rejected] {
        &self.rejected
    }

    fn add(&mut self, file: &Path, trust: &Trust) {
        match self.load(file, trust) {
            Ok(plugin) => {
                let info = plugin.info();
                let (id, version) = (info.note.id.clone(), info.note.version.as_str());
                let trusted = &info.trusted;
                info!(file = %file.display(), plugin = %id, version, %trusted, "plugin loaded");
                self.by_id.insert(id, Arc::new(plugin));
            }
            Err(refusal) => self.reject(file, &refusal),
        }
    }

    fn load(&self, file: &Path, trust: &Trust) -> Result<Plugin, Refusal> {
        let inspected = Inspection::of(file)?;
        // Before it is loaded, so that the code of the second one never runs.
        match self.by_id.get(&inspected.note.id) {
            Some(first) => Err(Refusal::Duplicate {
                id: inspected.note.id,
                first: first.info().file.clone(),
            }),
            None => inspected.load(trust),
        }
    }

    fn reject(&mut self, file: &Path, refusal: &Refusal) {
        let reason = refusal.to_string();
        warn!(file = %file.display(), reason, "not usable as a plugin");
        if let Some(detail) = refusal.detail() {
            debug!(file = %file.display(), detail, "why it is not usable");
        }
        self.rejected.push(Rejected {
            file: file.to_owned(),
            reason,
        });
    }
}

fn candidates(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "so") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
