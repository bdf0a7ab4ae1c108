//! The checks, one file for each group.

mod ca;
mod certificate;
mod config;
mod crl;
mod enroll;
mod file;
mod fuzz;
mod leaks;
mod life;
mod load;
mod output;
mod parallel;
mod poll;
mod push;
mod recover;
mod repeat;
mod requests;
mod revoke;
mod schema;
mod services;
mod worker;

use super::check::Check;

/// In the order in which they are run: first each call by itself, then what makes several.
pub(super) const GROUPS: &[&[Check]] = &[
    file::CHECKS,
    load::CHECKS,
    schema::CHECKS,
    life::FIRST,
    config::CHECKS,
    ca::CHECKS,
    life::CHECKS,
    enroll::CHECKS,
    certificate::CHECKS,
    requests::CHECKS,
    repeat::CHECKS,
    poll::CHECKS,
    recover::CHECKS,
    revoke::CHECKS,
    crl::CHECKS,
    push::CHECKS,
    services::CHECKS,
    parallel::CHECKS,
    worker::CHECKS,
    output::CHECKS,
    leaks::CHECKS,
    fuzz::CHECKS,
];
