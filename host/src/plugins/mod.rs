//! Plugins: shared libraries that the server has never seen before it starts.
//!
//! What is checked is what runs: a file is read once, its bytes are bounds-checked as ELF (`elf`),
//! its note is read (`note`), the operator's rules are applied (`trust`), and only then are the same
//! bytes loaded from a sealed memory file (`loader`, which has all of the host's `unsafe`). Nothing is ever unloaded. A file that can't be
//! used gives one line of log and changes nothing else.
//!
//! This room knows no handlers by name, no configuration and no protocol.

mod connect;
mod discovery;
mod elf;
mod instance;
#[allow(unsafe_code)]
mod loader;
mod note;
mod place;
mod plugin;
mod refusal;
mod trust;

#[cfg(test)]
mod tests;

pub use discovery::{Plugins, Rejected};
pub use note::Note;
pub use plugin::{Inspection, Plugin, PluginInfo};
pub use refusal::Refusal;
pub use trust::{Ownership, Requirement, Trust, Trusted, VendorKey};
