//! Rolling a handler's plugin back, and forward again: by the operator's command.

use std::sync::Arc;

use tokio::task::block_in_place;

use super::history::History;
use super::{Front, Live, is_same};
use crate::admin::{Error, Exchange, views};
use crate::app::openers::{opener, settings};
use crate::handlers::{HandlerStatus, Replaced};
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
        let before = self.rooms.handlers.get(name.as_str());
        let before = before.map(|handler| handler.generation());
        match to {
            Exchange::Former => self.roll_back(&name).await?,
            Exchange::File => self.release(&name, front).await?,
        }
        let no_plugin = || Error::Conflict(format!("the handler '{name}' has no usable plugin"));
        let handler = self.rooms.handlers.get(name.as_str());
        let handler = handler.ok_or_else(no_plugin)?;
        let generation = self.face.generation(&handler).ok_or_else(no_plugin)?;
        if before != Some(generation.generation) {
            audit::plugin_exchanged(&name, generation.generation, &generation.sha256);
        }
        match handler.status() {
            HandlerStatus::Serving { .. } => Ok(generation),
            HandlerStatus::Down { reason } => Err(Error::Conflict(format!(
                "the handler '{name}' has version {} of its plugin now, and is down: {reason}",
                generation.version
            ))),
        }
    }

    /// Takes the file in the directory again. If that can't be, what was left aside stays so.
    async fn release(&mut self, name: &HandlerName, front: &Front) -> Result<(), Error> {
        let history = self.histories.get_mut(name);
        let aside = history.and_then(History::release);
        self.reload(true, front).await;
        let Some(running) = self.running.get(name) else {
            return Err(Error::NotFound(format!(
                "the handler '{name}' is not configured any more"
            )));
        };
        let file = self.plugins.get(&running.config.plugin);
        let taken = file.is_some() && is_same(file, running.plugin.as_ref());
        let reason = self.why_not(name, &running.config);
        if let Some(history) = self.histories.get_mut(name).filter(|_| !taken) {
            history.leave_aside(aside);
        }
        block_in_place(|| self.kept.write_down(&self.histories));
        self.show();
        match taken {
            true => Ok(()),
            false => Err(Error::Conflict(format!(
                "the handler '{name}' goes on with what it ran, for the file in the plugins directory \
                 can't be taken: {reason}"
            ))),
        }
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
                tracing::warn!(
                    handler = %name,
                    %fault,
                    "the file that the handler ran before can't be opened, so it is not rolled back"
                );
                self.show();
                Err(Error::Conflict(format!(
                    "the file that '{name}' ran before can't be opened: {fault}"
                )))
            }
        }
    }
}
