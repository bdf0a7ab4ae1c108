//! Loading without trust, for whoever checks a plugin in a process that has nothing to lose.

use certdock_plugin_api::abi::client::{Plugin, Unusable};

use super::code::Code;
use super::loader;
use super::plugin::Inspection;
use super::refusal::Refusal;

impl Inspection {
    /// Loads the very bytes that were inspected into this process, whoever may have written them.
    /// With it come the optional extensions that can't be used.
    ///
    /// # Errors
    /// Says why it is no plugin for this certdock.
    pub(crate) fn connect(&self) -> Result<(Plugin, Vec<Unusable>), Refusal> {
        let id = self.note.id.as_str();
        let code = Code::seal(id, &self.bytes).map_err(Refusal::NoMemoryFile)?;
        loader::load(&code, id)
    }
}
