//! Plugin files, good and bad.

mod bad_files;
mod listing;
mod matrix;
mod new;
mod trust;
mod upgrade;
