//! The vendor's checks, `certdock plugin check`: what a plugin has to stand before it goes into
//! service, found out without a server.
//!
//! `checks` holds one file for each group of them, and `check` the whole table. Each runs in a process
//! of its own (`child`), which `runner` starts, limits in time, and judges by how it ends. What a check
//! works with is its `bench`: the job, a host that records (`recorder`), the loaded plugin, and an open
//! handler whose calls can't hang for ever.

mod bench;
mod calls;
mod check;
mod checks;
mod child;
mod job;
mod json_schema;
mod process;
mod random;
mod recorder;
mod runner;
mod sample;
mod verdict;

pub use check::{Check, Selection};
pub use child::run as run_in_child;
pub use job::{Job, Settings};
pub use runner::{Finding, Status, run};
