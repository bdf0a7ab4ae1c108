//! What operators see of the server: log, audit rows, metrics, health.

pub mod audit;
pub(crate) mod budget;
#[cfg(test)]
pub(crate) mod captured;
pub mod health;
pub mod log;
pub mod metrics;
mod process;

pub use process::Usage;
