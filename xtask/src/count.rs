//! Adding up what passed and what failed, from steps and from the lines that `cargo test` prints.

use std::fmt;

use crate::failures::{Failure, Failures};

/// What has passed, failed and been skipped so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

/// How a run ended: in numbers, and what must not be overlooked.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) count: Count,
    /// `NAME: why`
    pub(crate) skipped: Vec<String>,
    pub(crate) failures: Vec<Failure>,
}

impl Outcome {
    pub(crate) fn fail(&mut self, failure: Failure) {
        self.count.failed += 1;
        self.failures.push(failure);
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.count.passed += other.count.passed;
        self.count.failed += other.count.failed;
        self.count.skipped += other.count.skipped;
        self.skipped.extend(other.skipped);
        self.failures.extend(other.failures);
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for skipped in &self.skipped {
            writeln!(f, "skipped: {skipped}")?;
        }
        for failure in &self.failures {
            writeln!(f, "{failure}")?;
        }
        Ok(())
    }
}

/// Reads the lines of one `cargo test` run.
#[derive(Debug, Default)]
pub(crate) struct TestLines {
    count: Count,
    started: u64,
    ended: u64,
    ignored: Vec<String>,
    failures: Failures,
}

impl TestLines {
    pub(crate) fn read(&mut self, line: &str) {
        self.failures.read(line);
        if is_start(line) {
            self.started += 1;
        } else if let Some(ignored) = ignored(line) {
            self.ignored.push(ignored);
        } else if let Some(result) = line.strip_prefix("test result: ") {
            self.ended += 1;
            self.count.passed += number_before(result, " passed");
            self.count.failed += number_before(result, " failed");
            self.count.skipped += number_before(result, " ignored");
        }
    }

    /// The sum. Tests that said themselves that they can't run here (`NAME: why`) ended as passed, and
    /// count as skipped. A test program that began and never gave its result has crashed, which counts
    /// as one failure, and so does a run that failed for another reason (it did not compile).
    pub(crate) fn finish(self, succeeded: bool, skipped_themselves: Vec<String>) -> Outcome {
        let skipped = skipped_themselves.len() as u64;
        let mut outcome = Outcome {
            count: Count {
                passed: self.count.passed.saturating_sub(skipped),
                failed: self.count.failed,
                skipped: self.count.skipped + skipped,
            },
            skipped: self.ignored,
            failures: self.failures.finish(),
        };
        outcome.skipped.extend(skipped_themselves);
        for _ in self.ended..self.started {
            outcome.fail(Failure::new(
                "a test program",
                "it ended before it gave its result",
            ));
        }
        if !succeeded && outcome.count.failed == 0 {
            outcome.fail(Failure::new("cargo", "see what it says above"));
        }
        outcome
    }
}

/// `test NAME ... ignored, why`
fn ignored(line: &str) -> Option<String> {
    let (name, why) = line.strip_prefix("test ")?.split_once(" ... ignored")?;
    Some(match why.strip_prefix(", ") {
        Some(why) => format!("{name}: {why}"),
        None => name.to_owned(),
    })
}

/// `running 12 tests`
fn is_start(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("running ") else {
        return false;
    };
    let Some((number, word)) = rest.split_once(' ') else {
        return false;
    };
    number.parse::<u64>().is_ok() && matches!(word, "test" | "tests")
}

/// The number in front of a word: `ok. 3 passed; 0 failed` and ` failed` is 0.
fn number_before(text: &str, word: &str) -> u64 {
    let Some((before, _)) = text.split_once(word) else {
        return 0;
    };
    let number = before.rsplit(' ').next().unwrap_or_default();
    number.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Failure, Outcome, TestLines};

    fn outcome(lines: &str, succeeded: bool, skipped: &[&str]) -> Outcome {
        let mut reader = TestLines::default();
        lines.lines().for_each(|line| reader.read(line));
        reader.finish(succeeded, skipped.iter().map(ToString::to_string).collect())
    }

    fn check(lines: &str, succeeded: bool, expect: &str) {
        let outcome = outcome(lines, succeeded, &[]);
        assert_eq!(outcome.count.to_string(), expect, "{lines}");
    }

    const TWO: &str = "running 2 tests\ntest a ... ok\ntest result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";

    #[test]
    fn every_outcome_is_counted() {
        check(TWO, true, "2 passed, 0 failed");
        let mixed = format!(
            "{TWO}\nrunning 3 tests\ntest result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured"
        );
        check(&mixed, false, "3 passed, 1 failed, 1 skipped");
        check(
            &format!("{TWO}\nrunning 1 test\nsegfault"),
            false,
            "2 passed, 1 failed",
        );
        check("", false, "0 passed, 1 failed");
        check("running late\nrunning x tests", true, "0 passed, 0 failed");
    }

    #[test]
    fn what_was_skipped_is_named_and_has_not_passed() {
        let lines = format!(
            "{TWO}\nrunning 2 tests\ntest part ... ignored, run by another\ntest idle ... ignored\n\
             test result: ok. 0 passed; 0 failed; 2 ignored; 0 measured"
        );
        let outcome = outcome(&lines, true, &["b: no such compiler"]);
        assert_eq!(outcome.count.to_string(), "1 passed, 0 failed, 3 skipped");
        assert_eq!(
            outcome.to_string(),
            "skipped: part: run by another\nskipped: idle\nskipped: b: no such compiler\n"
        );
    }

    #[test]
    fn outcomes_add_up() {
        let mut all = outcome(TWO, true, &["a: why"]);
        all.fail(Failure::new("cargo fmt", "not tidy"));
        all.add(outcome("running 1 test\nsegfault", false, &[]));
        assert_eq!(all.count.to_string(), "1 passed, 2 failed, 1 skipped");
        assert_eq!(
            all.to_string(),
            "skipped: a: why\nfailed: cargo fmt\n    not tidy\n\
             failed: a test program\n    it ended before it gave its result\n"
        );
    }
}
