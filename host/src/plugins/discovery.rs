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
    /// What its note says, where that can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginId>,
    /// One sentence.
    pub reason: String,
}

impl Rejected {
    /// Whether it may be the file of this plugin. What a file is called says nothing of what is in it, so
    /// that one without a readable note may be any plugin's.
    fn may_be(&self, id: &PluginId) -> bool {
        self.plugin.as_ref().is_none_or(|plugin| plugin == id)
    }
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
            Ok(files) => plugins.add_all(&files, trust, self),
            Err(error) => {
                plugins.reject(directory, None, &Refusal::UnreadableFolder(error), self);
            }
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

    /// Whether one of the files that can't be used may be this plugin's.
    #[must_use]
    pub fn may_have_rejected(&self, id: &PluginId) -> bool {
        self.rejected.iter().any(|rejected| rejected.may_be(id))
    }

    /// A few at once: one that hangs as soon as it is loaded costs many seconds.
    fn add_all(&mut self, files: &[PathBuf], trust: &Trust, former: &Self) {
        let mut batch: Vec<Candidate<'_>> = Vec::new();
        for file in files {
            let inspected = Inspection::of_any_version(file);
            let id = inspected.as_ref().ok().map(|found| found.note.id.clone());
            // Of two with one id the second counts only if the first can't be used.
            let has_twin = batch.iter().any(|other| id.is_some() && other.id == id);
            if has_twin || batch.len() == AT_ONCE {
                self.add(std::mem::take(&mut batch), trust, former);
            }
            batch.push(Candidate {
                file,
                id,
                inspected,
            });
        }
        self.add(batch, trust, former);
    }

    /// Takes those that can be used, in their order.
    fn add(&mut self, batch: Vec<Candidate<'_>>, trust: &Trust, former: &Self) {
        let this = &*self;
        let found: Vec<_> = std::thread::scope(|scope| {
            let looking: Vec<_> = batch
                .into_iter()
                .map(
                    |Candidate {
                         file,
                         id,
                         inspected,
                     }| {
                        let look = move || this.look_at(inspected?, trust, former);
                        let thread = std::thread::Builder::new().spawn_scoped(scope, look);
                        (file, id, thread)
                    },
                )
                .collect();
            let seen = looking.into_iter().map(|(file, id, thread)| {
                let failed = || Err(Refusal::NoProcess("can't be looked after".to_owned()));
                let found = thread.map(|thread| thread.join().unwrap_or_else(|_| failed()));
                (file, id, found.unwrap_or_else(|_| failed()))
            });
            seen.collect()
        });
        for (file, id, found) in found {
            match found {
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
                Err(refusal) => self.reject(file, id, &refusal, former),
            }
        }
    }

    fn look_at(
        &self,
        inspected: Inspection,
        trust: &Trust,
        former: &Self,
    ) -> Result<Found, Refusal> {
        inspected.note.check()?;
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

    fn reject(&mut self, file: &Path, id: Option<PluginId>, refusal: &Refusal, former: &Self) {
        let rejected = Rejected {
            file: file.to_owned(),
            plugin: id,
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

/// How many files are tried out side by side.
const AT_ONCE: usize = 4;

/// A file that has been read.
struct Candidate<'a> {
    file: &'a Path,
    id: Option<PluginId>,
    inspected: Result<Inspection, Refusal>,
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
