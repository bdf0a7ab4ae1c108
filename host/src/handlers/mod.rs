//! Running handlers by name: registry, threads, queues, deadlines. Knows no protocol, and not where a
//! plugin's code runs.

mod cache;
mod handler;
mod instance;
mod open;
mod pool;
mod registry;
mod secrets;
mod series;
mod services;
mod strikes;

#[cfg(test)]
mod tests;

pub use handler::{
    Handler, HandlerSettings, HandlerStatus, Health, LateAnswer, OnUnknown, Patience,
};
pub use instance::{Abilities, HandlerInstance};
pub use registry::{Handlers, Opener, Replaced};
pub use secrets::{Secrets, read as read_secret};
pub use services::Services;

pub(crate) use series::{Kind as MetricKind, Series};
