//! `cargo xtask test`: every check there is, each counted, none hiding another.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;

use crate::count::{Count, TestLines};
use crate::{shell, tools};

#[derive(Args)]
pub(crate) struct Options {
    /// Run only the tests whose name contains this, and none of the other checks
    filter: Option<String>,
}

pub(crate) fn test(options: &Options) -> Result<ExitCode> {
    let started = Instant::now();
    let mut count = Count::default();
    let missing = tools::install()?;
    if options.filter.is_none() {
        for step in &mut checks()? {
            count.step(shell::succeeds(step).unwrap_or_else(|error| {
                eprintln!("error: {error:#}");
                false
            }));
        }
    }
    count.add(&tests(options.filter.as_deref())?);
    for tool in &missing {
        eprintln!("error: needed for the tests and not there: {tool}");
        count.step(false);
    }
    println!("\nfinished in {} s", started.elapsed().as_secs());
    println!("{count}");
    Ok(if count.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Everything that is one command with one outcome.
fn checks() -> Result<Vec<Command>> {
    let mut doc = shell::cargo(["doc", "--workspace", "--no-deps", "--locked", "--quiet"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    let check = [
        "--locked",
        "check",
        "--hide-inclusion-graph",
        "licenses",
        "bans",
        "sources",
    ];
    let mut deny = shell::command(tools::deny_program()?, check);
    deny.current_dir(shell::root());
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ];
    Ok(vec![
        shell::cargo(["fmt", "--all", "--check"]),
        shell::cargo(clippy),
        doc,
        deny,
    ])
}

/// Unit, documentation and whole-system tests, in one build: leaving a package out would choose
/// other features for the shared dependencies and compile them all again.
fn tests(filter: Option<&str>) -> Result<Count> {
    // The program and the plugins that the system tests start.
    let build = ["build", "--workspace", "--all-targets", "--locked"];
    if !shell::succeeds(&mut shell::cargo(build))? {
        return Ok(TestLines::default().finish(false));
    }
    let mut command = shell::cargo(["test", "--workspace", "--locked", "--no-fail-fast"]);
    command.args(filter).stdout(Stdio::piped());
    shell::show(&command);
    let mut child = command.spawn().context("starting cargo test")?;
    let out = child
        .stdout
        .take()
        .context("reading what cargo test prints")?;
    let mut lines = TestLines::default();
    for line in BufReader::new(out).split(b'\n') {
        let line = line.context("reading what cargo test prints")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        lines.read(&line);
    }
    Ok(lines.finish(child.wait().context("waiting for cargo test")?.success()))
}
