//! Plugin files, good and bad.

mod bad_files;
mod busy;
mod conformance;
mod guide;
mod listing;
mod matrix;
mod new;
mod trust;
mod upgrade;
mod worker;
