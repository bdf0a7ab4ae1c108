//! Plugins: shared libraries that the server has never seen before it starts.
//!
//! What is checked is what runs: a file is read once, its bytes are bounds-checked as ELF (`elf`),
//! its note is read (`note`), the operator's rules are applied (`trust`), and only then are the same
//! bytes, sealed in a memory file (`code`), loaded: first in a worker process that ends at once (`probe`),
//! later wherever a handler of it runs. `loader`, which loads in this process, has all of the host's
//! `unsafe`; what it has loaded is never unloaded. A file that can't be used gives one line of log and
//! changes nothing else.
//!
//! This room knows no handlers by name, no configuration and no protocol.

mod code;
mod connect;
mod discovery;
mod elf;
mod instance;
#[allow(unsafe_code)]
mod loader;
mod note;
mod place;
mod plugin;
mod probe;
mod refusal;
pub(crate) mod signature;
mod trust;

#[cfg(test)]
mod tests;

pub use code::Code;
pub use discovery::{Plugins, Rejected};
pub use note::Note;
pub use plugin::{Inspection, Isolation, Plugin, PluginInfo};
pub use refusal::Refusal;
pub use trust::{Ownership, Requirement, Trust, Trusted, VendorKey};

pub(crate) use loader::load;
pub(crate) use plugin::sha256;
pub(crate) use probe::forget_crashes;
