//! The command line: arguments, and what each command prints.
//!
//! Commands that read or change state ask the running server over its admin socket, or the same
//! router in this process where no server runs.

mod account;
mod call_cost;
mod cert;
mod check;
mod client;
mod eab;
mod enrollment;
mod est_user;
mod failure;
mod listing;
mod order;
mod output;
mod plugin;
mod serve;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use self::failure::Failure;
use crate::config::{self, Config, Source};
use crate::observe::log;

/// One front door, ACME and EST, for any number of certification authorities.
#[derive(Parser)]
#[command(name = "certdock", version)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct Global {
    /// The configuration [default: $CERTDOCK_CONFIG, ./certdock.toml, /etc/certdock/certdock.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How the log is written, on standard error; RUST_LOG says what is in it
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "text",
        value_name = "FORMAT"
    )]
    log_format: log::Format,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM
    Serve,
    /// Check the configuration, and say what of it matters for security
    Check,
    /// Look at plugins
    #[command(subcommand)]
    Plugin(plugin::Command),
    /// Look at ACME accounts
    #[command(subcommand)]
    Account(account::Command),
    /// Manage keys for external account binding
    #[command(subcommand)]
    Eab(eab::Command),
    /// Manage users of EST
    #[command(subcommand)]
    EstUser(est_user::Command),
    /// Look at ACME orders
    #[command(subcommand)]
    Order(order::Command),
    /// Look at what CAs were asked for and have not answered yet, for ACME and EST
    #[command(subcommand)]
    Enrollment(enrollment::Command),
    /// Look at certificates, and revoke them
    #[command(subcommand)]
    Cert(cert::Command),
    /// The server's own use: how a plugin gets a process of its own
    #[command(hide = true)]
    Worker,
    /// For the benchmark: what a call to each handler costs in the server and in a process of its own
    #[command(hide = true)]
    CallCost,
}

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are "errors" too, with status 0. Nobody is left to tell if it fails.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure.to_string());
            failure.exit_code()
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let global = &arguments.global;
    start_log(arguments)?;
    match &arguments.command {
        Command::Serve => serve::run(global),
        Command::Check => check::run(&global.config()?),
        Command::Plugin(command) => plugin::run(command, global),
        Command::Account(command) => account::run(command, &global.config()?),
        Command::Eab(command) => eab::run(command, &global.config()?),
        Command::EstUser(command) => est_user::run(command, &global.config()?),
        Command::Order(command) => order::run(command, &global.config()?),
        Command::Enrollment(command) => enrollment::run(command, &global.config()?),
        Command::Cert(command) => cert::run(command, &global.config()?),
        Command::CallCost => call_cost::run(&global.config()?),
        Command::Worker => crate::worker::main().map_err(Failure::Failed),
    }
}

fn start_log(arguments: &Arguments) -> Result<(), Failure> {
    let default = match arguments.command {
        Command::Serve => "info",
        // What went wrong is told by the command itself.
        _ => "off,audit=off",
    };
    let directives = std::env::var("RUST_LOG").ok();
    log::start(arguments.global.log_format, directives.as_deref(), default).map_err(Failure::Usage)
}

impl Global {
    fn source(&self) -> Source {
        let variable = std::env::var_os("CERTDOCK_CONFIG").map(PathBuf::from);
        Source::find(self.config.clone(), variable)
    }

    fn config(&self) -> Result<Config, Failure> {
        Ok(config::load(&self.source())?)
    }
}
