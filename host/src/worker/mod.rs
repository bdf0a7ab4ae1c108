//! Workers: plugins that run in processes of their own.
//!
//! The server starts its own program again as a worker (`launch`), hands it the checked code of one
//! plugin, and speaks framed messages with it over a pair of sockets (`frame`, `message`, `link`, `inbox`). What
//! the worker does in there is in `child`: it takes away its own rights before it loads anything. On
//! this side `process` is one worker from its start to its end, `supervisor` starts the next one when
//! it dies, and `instance` is the handler that others see. `probe` asks a plugin something once, in a
//! worker that ends at once.
//!
//! A worker is killed when the server ends, however it ends.

mod child;
mod end;
mod errands;
mod frame;
mod group;
mod inbox;
mod instance;
mod launch;
mod limits;
mod link;
mod losses;
mod message;
mod output;
mod paths;
mod probe;
mod process;
mod setup;
mod supervisor;
mod system;

#[cfg(test)]
mod tests;

pub use child::main;
pub use limits::Limits;
pub use paths::Paths;
pub use probe::{try_open, validate_config};
pub use setup::Setup;
pub use supervisor::open;

pub(crate) use message::{Loaded, NotLoaded};
pub(crate) use probe::probe;
pub(crate) use process::NotStarted;
