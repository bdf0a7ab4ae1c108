//! Rolling a handler's plugin back, and forward again: by the operator's command.

use std::sync::Arc;

use tokio::task::block_in_place;

use super::history::History;
use super::{Front, Live};
use crate::admin::{Error, Exchange, views};
use crate::app::openers::{opener, settings};
use crate::handlers::Replaced;
use crate::ids::HandlerName;
use crate::observe::audit;

impl Live {
    pub(super) async fn exchange(
        &mut self,
        handler: &str,
        to: Exchange,
        front: &Front,
    ) -> Result<views::Generation, Error> {
        let name = self.running.get_key_value(handler);
        let name = name.map(|(name, _)| name.clone()).ok_or_else(|| {
            let known: Vec<&str> = self.running.keys().map(HandlerName::as_str).collect();
            let known = known.join(", ");
            Error::NotFound(format!(
                "there is no handler '{handler}'; configured are: {known}"
            ))
        })?;
        match to {
            Exchange::Former => self.roll_back(&name).await?,
            Exchange::File => {
                if let Some(history) = self.histories.get_mut(&name) {
                    history.release();
                }
                self.reload(true, front).await;
            }
        }
        let handler = self.rooms.handlers.get(name.as_str());
        let generation = handler.and_then(|handler| self.face.generation(&handler));
        let generation = generation
            .ok_or_else(|| Error::Conflict(format!("the handler '{name}' has no usable plugin")))?;
        audit::plugin_exchanged(&name, generation.generation, &generation.sha256);
        Ok(generation)
    }

    async fn roll_back(&mut self, name: &HandlerName) -> Result<(), Error> {
        self.remember();
        let Some(running) = self.running.get(name) else {
            return Ok(());
        };
        let id = &running.config.plugin;
        let from = running.plugin.as_ref();
        let from = from.map(|plugin| plugin.info().sha256.clone());
        let history = self.histories.get(name);
        let former = history
            .filter(|history| history.plugin() == id)
            .and_then(|history| history.before(from.as_deref()))
            .ok_or_else(|| {
                Error::Conflict(format!(
                    "the handler '{name}' ran no other file of its plugin before, so there is nothing \
                     to roll back to"
                ))
            })?;
        let loaded = block_in_place(|| self.kept.load(id, former, &self.config.plugins.trust));
        let plugin = loaded.map(Arc::new).map_err(|reason| {
            Error::Conflict(format!(
                "the file that '{name}' ran before can't be used: {reason}"
            ))
        })?;
        let handler = running.config.clone();
        let opener = opener(
            name,
            &handler,
            Some(Arc::clone(&plugin)),
            self.rooms.store(),
        );
        let handlers = Arc::clone(&self.rooms.handlers);
        let replaced = handlers.replace(name, settings(&handler), opener).await;
        let file = self.plugins.get(&handler.plugin);
        let file = file.map(|file| file.info().sha256.clone());
        self.replaced(name, handler, Some(plugin), &replaced);
        match replaced {
            Replaced::Serving { .. } => {
                let history = self.histories.get_mut(name);
                if let Some(history) = history {
                    History::rolled_back(history, from.as_deref(), file);
                }
                self.kept.write_down(&self.histories);
                self.remember();
                self.show();
                Ok(())
            }
            Replaced::Down(fault) | Replaced::Refused(fault) => {
                self.show();
                Err(Error::Conflict(format!(
                    "the file that '{name}' ran before can't be opened: {fault}"
                )))
            }
        }
    }
}
