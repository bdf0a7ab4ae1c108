//! Which files served is remembered, and they are kept, so that they can be rolled back to.

use std::collections::BTreeMap;

use tokio::task::block_in_place;

use super::history::History;
use super::{Live, is_same};
use crate::ids::HandlerName;
use crate::plugins::Trusted;
use crate::time::UnixTime;

/// By handler the SHA-256 of the file that was kept last, and why it was trusted then.
pub(super) type Copied = BTreeMap<HandlerName, (String, Trusted)>;

impl Live {
    pub(super) fn remember(&mut self) {
        block_in_place(|| self.remember_here());
    }

    fn remember_here(&mut self) {
        let before = self.histories.clone();
        for (name, running) in &self.running {
            let handler = self.rooms.handlers.get(name.as_str());
            let (Some(plugin), true) = (&running.plugin, handler.is_some_and(|h| h.is_serving()))
            else {
                continue;
            };
            let id = &running.config.plugin;
            let history = self.histories.entry(name.clone());
            let history = history.or_insert_with(|| History::new(id.clone()));
            if history.plugin() != id {
                *history = History::new(id.clone());
            }
            history.serves(&plugin.info().sha256);
            // The file itself knows best where it lies, and why it is trusted by now.
            let file = self.plugins.get(id);
            let plugin = match file.filter(|file| is_same(Some(file), Some(plugin))) {
                Some(file) => {
                    history.release();
                    file
                }
                None => plugin,
            };
            let info = plugin.info();
            let copy = (info.sha256.clone(), info.trusted.clone());
            if self.copied.get(name) != Some(&copy) || self.kept.lacks_signature(plugin) {
                self.kept.keep_running(plugin);
                self.copied.insert(name.clone(), copy);
            }
        }
        let now = UnixTime::now();
        let running = &self.running;
        self.copied.retain(|name, _| running.contains_key(name));
        self.histories.retain(|name, history| {
            let stays = running.contains_key(name);
            if stays {
                history.is_configured();
            }
            stays || !history.is_forgotten(now)
        });
        if self.histories != before {
            self.kept.write_down(&self.histories);
        }
    }
}
