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

/// In the order in which they are run: each after what it needs.
pub(super) const GROUPS: &[&[Check]] = &[
    file::CHECKS,
    load::CHECKS,
    schema::CHECKS,
    life::CHECKS,
    config::CHECKS,
    services::CHECKS,
    ca::CHECKS,
    enroll::CHECKS,
    certificate::CHECKS,
    requests::CHECKS,
    repeat::CHECKS,
    parallel::CHECKS,
    worker::CHECKS,
    poll::CHECKS,
    recover::CHECKS,
    revoke::CHECKS,
    crl::CHECKS,
    push::CHECKS,
    output::CHECKS,
    leaks::CHECKS,
    fuzz::CHECKS,
];
