//! `cargo xtask bench`: builds in release and starts the load generator of the test crate.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::{run, shell};

#[derive(Args)]
pub(crate) struct Options {
    /// Also the long runs: 10,000 orders at concurrency 32, and 50,000 orders stored before
    #[arg(long)]
    full: bool,
    /// Leave pebble out
    #[arg(long)]
    no_pebble: bool,
    /// Measure this only: acme, est or calls
    #[arg(long)]
    only: Option<String>,
}

pub(crate) fn bench(options: &Options) -> Result<ExitCode> {
    run::build()?;
    // EST's labels have a handler that takes its time, as in the tests.
    for package in ["certdock-tests", "certdock-pending"] {
        let build = ["build", "--release", "--locked", "--package", package];
        shell::run(&mut shell::cargo(build))?;
    }
    let mut command = shell::command(shell::target_dir()?.join("release/bench"), [""; 0]);
    if options.full {
        command.arg("--full");
    }
    if options.no_pebble {
        command.arg("--no-pebble");
    }
    if let Some(only) = &options.only {
        command.args(["--only", only]);
    }
    Ok(if shell::succeeds(&mut command)? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
