//! What operators do and see.

mod commands;
mod configuration;
mod disk;
mod health;
mod shutdown;
mod tls;
