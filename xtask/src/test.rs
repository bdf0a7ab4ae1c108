//! `cargo xtask test`: every check there is, each counted, none hiding another.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;

use crate::count::{Outcome, TestLines};
use crate::failures::Failure;
use crate::{shell, tools};

#[derive(Args)]
pub(crate) struct Options {
    /// Run only the tests whose name contains this, and none of the other checks
    filter: Option<String>,
}

pub(crate) fn test(options: &Options) -> Result<ExitCode> {
    let started = Instant::now();
    let mut outcome = Outcome::default();
    let missing = tools::install()?;
    if options.filter.is_none() {
        for step in &mut checks()? {
            match shell::succeeds(step) {
                Ok(true) => outcome.count.passed += 1,
                Ok(false) => {
                    outcome.fail(Failure::new(shell::line(step), "see what it says above"))
                }
                Err(error) => outcome.fail(Failure::new(shell::line(step), &format!("{error:#}"))),
            }
        }
    }
    outcome.add(tests(options.filter.as_deref())?);
    for tool in missing {
        outcome.fail(Failure::new(tool, "needed for the tests and not there"));
    }
    // The last lines are the ones that everybody sees.
    println!("\n{outcome}finished in {} s", started.elapsed().as_secs());
    println!("{}", outcome.count);
    Ok(if outcome.count.failed == 0 {
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
fn tests(filter: Option<&str>) -> Result<Outcome> {
    // The program and the plugins that the system tests start.
    let build = ["build", "--workspace", "--all-targets", "--locked"];
    if !shell::succeeds(&mut shell::cargo(build))? {
        return Ok(TestLines::default().finish(false, Vec::new()));
    }
    let skipped = shell::target_dir()?.join("skipped-tests");
    fs::write(&skipped, "").with_context(|| format!("emptying {}", skipped.display()))?;
    let mut command = shell::cargo(["test", "--workspace", "--locked", "--no-fail-fast"]);
    command.args(filter).stdout(Stdio::piped());
    // A test that finds that it can't run here writes a line into it: tests/src/skip.rs.
    command.env("CERTDOCK_TEST_SKIPPED", &skipped);
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        command.env("RUST_TEST_THREADS", test_threads().to_string());
    }
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
    let succeeded = child.wait().context("waiting for cargo test")?.success();
    let skipped =
        fs::read_to_string(&skipped).with_context(|| format!("reading {}", skipped.display()))?;
    Ok(lines.finish(succeeded, skipped.lines().map(str::to_owned).collect()))
}

/// More than there are processors: at any time some tests wait, for a client that polls or for a time
/// limit to run out, and others for their turn to compile something.
fn test_threads() -> usize {
    const THAT_WAIT: usize = 4;
    std::thread::available_parallelism().map_or(1, usize::from) + THAT_WAIT
}
