//! The program.

use std::process::ExitCode;

fn main() -> ExitCode {
    certdock::cli::main()
}
