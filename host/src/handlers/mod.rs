//! Running handlers by name: registry, threads, queues, deadlines. Knows no protocol, and not where a
//! plugin's code runs.

mod instance;

pub use instance::{Abilities, HandlerInstance};
