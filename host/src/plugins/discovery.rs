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
    /// Looks at every `.so` in a directory, in the order of names, and takes those that are trusted
    /// plugins and that a worker process can load. Blocks. Never fails: what can't be used is logged,
    /// one line each, and remembered.
    #[must_use]
    pub fn discover(directory: &Path, trust: &Trust) -> Self {
        Self::default().again(directory, trust)
    }

    /// The same once more. Files whose content and trust are as before are taken over, and nothing is
    /// said of them.
    #[must_use]
    pub fn again(&self, directory: &Path, trust: &Trust) -> Self {
        let mut plugins = Self::default();
        match candidates(directory) {
            Ok(files) => files.iter().for_each(|file| plugins.add(file, trust, self)),
            Err(error) => plugins.reject(directory, &Refusal::Unreadable(error), self),
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

    fn add(&mut self, file: &Path, trust: &Trust, former: &Self) {
        match self.look_at(file, trust, former) {
            Ok(Found::Same(plugin)) => {
                self.by_id.insert(plugin.info().note.id.clone(), plugin);
            }
            Ok(Found::New(plugin)) => {
                let info = plugin.info();
                let (id, version) = (info.note.id.clone(), info.note.version.as_str());
                let trusted = &info.trusted;
                info!(file = %file.display(), plugin = %id, version, %trusted, "plugin found");
                self.by_id.insert(id, plugin);
            }
            Err(refusal) => self.reject(file, &refusal, former),
        }
    }

    fn look_at(&self, file: &Path, trust: &Trust, former: &Self) -> Result<Found, Refusal> {
        let inspected = Inspection::of(file)?;
        // Before it is loaded, so that the code of the second one never runs.
        if let Some(first) = self.by_id.get(&inspected.note.id) {
            return Err(Refusal::Duplicate {
                id: inspected.note.id,
                first: first.info().file.clone(),
            });
        }
        if let Some(known) = former.by_id.get(&inspected.note.id) {
            let info = known.info();
            let same = info.file == inspected.file && info.sha256 == inspected.sha256;
            // Rules and signatures may have changed while the file did not.
            if same && trust.check(&inspected)? == info.trusted {
                return Ok(Found::Same(Arc::clone(known)));
            }
        }
        inspected
            .admit(trust)
            .map(|plugin| Found::New(Arc::new(plugin)))
    }

    fn reject(&mut self, file: &Path, refusal: &Refusal, former: &Self) {
        let rejected = Rejected {
            file: file.to_owned(),
            reason: refusal.to_string(),
        };
        if !former.rejected.contains(&rejected) {
            let reason = &rejected.reason;
            warn!(file = %file.display(), reason, "not usable as a plugin");
            if let Some(detail) = refusal.detail() {
                debug!(file = %file.display(), detail, "why it is not usable");
            }
        }
        self.rejected.push(rejected);
    }
}

enum Found {
    Same(Arc<Plugin>),
    New(Arc<Plugin>),
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
