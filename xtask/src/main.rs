//! The project's own commands: `cargo xtask run`, `test`, `bench` and `dist`.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks on these"
)]

mod bench;
mod certifier;
mod count;
mod dist;
mod failures;
mod run;
mod shell;
mod test;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(options) => run::run(&options),
        Command::Test(options) => test::test(&options),
        Command::Bench(options) => bench::bench(&options),
        Command::Dist => dist::dist(),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "Run, test, measure and package certdock"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build everything, make ./data with a fresh CA if there is none, and serve
    Run(run::Options),
    /// Install what the tests need and run every check
    Test(test::Options),
    /// Measure complete orders against pebble and against the floor
    Bench(bench::Options),
    /// Put what is shipped into target/dist
    Dist,
}
