//! The matrix that proves the plugin boundary: each row a test whose name begins with its number.

mod builds;
mod layouts;
mod transcript;
mod versions;
