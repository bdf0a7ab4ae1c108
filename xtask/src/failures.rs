//! [`Failures`]: what `cargo test` says about each failed test, read again, so that it can stand at the
//! end in few lines: behind it come backtraces, logs and the other test programs.

use std::fmt;

/// A failed test, or something else that failed, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) name: String,
    pub(crate) message: Vec<String>,
}

impl Failure {
    pub(crate) fn new(name: impl Into<String>, message: &str) -> Self {
        Self {
            name: name.into(),
            message: message.lines().map(str::to_owned).collect(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed: {}", self.name)?;
        for line in &self.message {
            write!(f, "\n    {line}")?;
        }
        Ok(())
    }
}

const MOST_LINES: usize = 25;
const MOST_CHARACTERS: usize = 300;

/// What comes behind a panic's message.
const BEHIND: [&str; 3] = [
    "stack backtrace:",
    "note: run with `RUST_BACKTRACE=",
    "--- the server's log",
];

/// Reads the sections `---- NAME stdout ----`.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    all: Vec<Failure>,
    section: Option<Section>,
}

#[derive(Debug)]
struct Section {
    name: String,
    in_message: bool,
    panics: Vec<String>,
    /// For a test that says otherwise why it failed.
    first: Vec<String>,
}

impl Failures {
    pub(crate) fn read(&mut self, line: &str) {
        let name = line.strip_prefix("---- ");
        if let Some(name) = name.and_then(|rest| rest.strip_suffix(" stdout ----")) {
            self.end_section();
            self.section = Some(Section {
                name: name.to_owned(),
                in_message: false,
                panics: Vec::new(),
                first: Vec::new(),
            });
        } else if line == "failures:" || line.starts_with("test result: ") {
            self.end_section();
        } else if let Some(section) = &mut self.section {
            section.read(line);
        }
    }

    pub(crate) fn finish(mut self) -> Vec<Failure> {
        self.end_section();
        self.all
    }

    fn end_section(&mut self) {
        let Some(section) = self.section.take() else {
            return;
        };
        let mut message = match section.panics.is_empty() {
            true => section.first,
            false => section.panics,
        };
        while message.last().is_some_and(String::is_empty) {
            message.pop();
        }
        self.all.push(Failure {
            name: section.name,
            message,
        });
    }
}

impl Section {
    fn read(&mut self, line: &str) {
        if line.contains(" panicked at ") {
            self.in_message = true;
        } else if BEHIND.iter().any(|behind| line.starts_with(behind)) {
            self.in_message = false;
        }
        let cut = || line.chars().take(MOST_CHARACTERS).collect();
        if self.in_message && self.panics.len() < MOST_LINES {
            self.panics.push(cut());
        } else if self.first.len() < MOST_LINES {
            self.first.push(cut());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Failure> {
        let mut failures = Failures::default();
        text.lines().for_each(|line| failures.read(line));
        failures.finish()
    }

    #[test]
    fn messages_without_what_is_around_them() {
        const OUTPUT: &str = "
running 4 tests
test a::first ... FAILED
test b ... ok

failures:

---- a::first stdout ----
3 orders wait

thread 'a::first' (4711) panicked at tests/a.rs:3:5:
assertion failed: orders == 2
  left: 3
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
--- the server's log, last lines ---
INFO nothing happened

thread 'worker' panicked at tests/b.rs:1:1:
and another
stack backtrace:
   0: __rustc::rust_begin_unwind


---- second stdout ----
Error: no such file

---- src/lib.rs - (line 3) stdout ----

failures:
    a::first
    second

test result: FAILED. 1 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out
---- no section stdout
";
        let expected = [
            Failure::new(
                "a::first",
                "thread 'a::first' (4711) panicked at tests/a.rs:3:5:\nassertion failed: orders == 2\n  left: 3\n\
                 thread 'worker' panicked at tests/b.rs:1:1:\nand another",
            ),
            Failure::new("second", "Error: no such file"),
            Failure::new("src/lib.rs - (line 3)", ""),
        ];
        assert_eq!(read(OUTPUT), expected);
        assert_eq!(
            expected[1].to_string(),
            "failed: second\n    Error: no such file"
        );
    }

    #[test]
    fn neither_more_lines_nor_longer_ones_than_one_reads() {
        let long = "é".repeat(1000);
        let lines = format!("{long}\n").repeat(40);
        let text = format!("---- a stdout ----\nthread 'a' panicked at a.rs:1:1:\n{lines}");
        let read = read(&text);
        assert_eq!(read[0].message.len(), MOST_LINES);
        assert_eq!(read[0].message[24], "é".repeat(MOST_CHARACTERS));
    }
}
