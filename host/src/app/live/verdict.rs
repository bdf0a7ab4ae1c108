//! [`Verdict`]: why a handler's new file is not used. What was said of it once is not said again.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use super::Live;
use crate::config;
use crate::ids::HandlerName;
use crate::observe::metrics;
use crate::plugins::{PluginInfo, Plugins};

/// A file, and what is wrong with it.
pub(super) struct Verdict {
    pub(super) file: PathBuf,
    pub(super) reason: String,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.reason)
    }
}

impl Verdict {
    /// The file in the directory that is to replace what runs, if it is refused. `place` is where the
    /// plugin lay in the directory.
    pub(super) fn on_rejected(
        running: &PluginInfo,
        place: Option<&Path>,
        plugins: &Plugins,
    ) -> Option<Self> {
        let id = &running.note.id;
        if plugins.get(id).is_some() {
            return None;
        }
        let found = plugins.rejected().iter().find(|rejected| {
            rejected.file == running.file
                || place == Some(&rejected.file)
                || rejected.plugin.as_ref() == Some(id)
        })?;
        Some(Self {
            file: found.file.clone(),
            reason: found.reason.clone(),
        })
    }
}

/// What has been said in the last round, so that the same is not said again in the next.
#[derive(Default)]
pub(super) struct Said {
    before: BTreeSet<String>,
    now: BTreeSet<String>,
}

impl Said {
    /// A round begins; if it is asked for, everything is said.
    pub(super) fn begin(&mut self, asked: bool) {
        self.before = std::mem::take(&mut self.now);
        if asked {
            self.before.clear();
        }
    }

    pub(super) fn is_new(&mut self, text: &str) -> bool {
        self.now.insert(text.to_owned()) && !self.before.contains(text)
    }
}

impl Live {
    /// Lets everybody know that a handler's next generation is refused, or that nothing is any more.
    pub(super) fn note_refused(&self, name: &HandlerName, verdict: Option<&Verdict>) {
        let Some(handler) = self.rooms.handlers.get(name.as_str()) else {
            return;
        };
        let refused = verdict.map(ToString::to_string);
        let is_new = handler.refused().as_deref() != refused.as_ref();
        if let Some(Verdict { file, reason }) = verdict
            && is_new
        {
            tracing::warn!(
                handler = %name,
                file = %file.display(),
                reason,
                "what is to replace the handler is not taken up, what ran before stays; put this right, \
                 or back as it was"
            );
            metrics::handler_replaced(name.as_str(), "refused");
        }
        handler.note_refused(refused);
    }

    /// Why a handler does not run the file in the directory.
    pub(super) fn why_not(&self, name: &HandlerName, handler: &config::Handler) -> String {
        let refused = self.rooms.handlers.get(name.as_str());
        if let Some(reason) = refused.and_then(|handler| handler.refused()) {
            return reason.to_string();
        }
        let id = &handler.plugin;
        let mut rejected = self.plugins.rejected().iter();
        match (&self.refused, self.plugins.get(id)) {
            (Some(reason), Some(_)) => reason.clone(),
            (None, Some(file)) => format!("{} was not opened", file.info().file.display()),
            // One without a readable note may be it.
            (_, None) => match rejected.find(|rejected| rejected.plugin.is_none()) {
                Some(rejected) => format!("{}: {}", rejected.file.display(), rejected.reason),
                None => format!(
                    "there is no file of the plugin '{id}' in {}; put it there",
                    self.config.plugins.directory.display()
                ),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once() {
        let mut said = Said::default();
        assert!(said.is_new("a") && !said.is_new("a"));
        said.begin(false);
        assert!(!said.is_new("a") && said.is_new("b"));
        said.begin(false);
        assert!(!said.is_new("b"));
        said.begin(false);
        // It was not so for a while.
        assert!(said.is_new("a"));
        said.begin(true);
        assert!(said.is_new("a"));
    }
}
