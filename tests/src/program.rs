//! Other people's programs, with a time limit and their output kept.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// What a program said and how it ended.
#[derive(Debug)]
pub struct Outcome {
    program: String,
    /// `exit status: 1`, or the signal.
    end: String,
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// Panics unless the program succeeded, with its last words: some say thousands of lines before.
    #[track_caller]
    pub fn success(self) -> Self {
        assert!(
            self.status == Some(0),
            "{} ended with {}\n{}{}",
            self.program,
            self.end,
            last_lines("stdout", &self.stdout),
            last_lines("stderr", &self.stderr)
        );
        self
    }
}

fn last_lines(name: &str, text: &str) -> String {
    const MOST: usize = 10;
    let lines: Vec<_> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(MOST)..];
    format!(
        "--- {name}, the last {} of {} lines ---\n{}",
        last.len(),
        lines.len(),
        // Set in: they may look like the lines of a test run.
        last.iter()
            .map(|line| format!("  {line}\n"))
            .collect::<String>()
    )
}

/// A program to be run once.
pub struct Program(Command);

impl Program {
    pub fn new(path: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(path);
        command.kill_on_drop(true).stdin(Stdio::null());
        Self(command)
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.0.arg(arg);
        self
    }

    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.0.args(args);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    pub fn dir(mut self, dir: &Path) -> Self {
        self.0.current_dir(dir);
        self
    }

    pub async fn run(self) -> Outcome {
        self.run_within(Duration::from_secs(120)).await
    }

    pub async fn run_within(mut self, limit: Duration) -> Outcome {
        let program = self.0.as_std().get_program().to_string_lossy().into_owned();
        let output = tokio::time::timeout(limit, self.0.output()).await;
        let output = output
            .unwrap_or_else(|_| panic!("{program} did not end within {} s", limit.as_secs()))
            .unwrap_or_else(|error| {
                panic!("{program} did not start: {error}; run cargo xtask test")
            });
        Outcome {
            program,
            end: output.status.to_string(),
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The folder that holds the built programs: `target/debug` or `target/release`.
pub fn build_dir() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let dir = own.parent().unwrap();
    // Test programs lie one deeper.
    if dir.ends_with("deps") {
        dir.parent().unwrap().to_owned()
    } else {
        dir.to_owned()
    }
}

/// A tool from the private Python environment that `cargo xtask test` makes.
pub fn python_tool(name: &str) -> PathBuf {
    let path = build_dir()
        .parent()
        .unwrap()
        .join("tools/venv/bin")
        .join(name);
    assert!(
        path.exists(),
        "{} is not there; run cargo xtask test",
        path.display()
    );
    path
}
