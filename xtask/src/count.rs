//! Adding up what passed and what failed, from steps and from the lines that `cargo test` prints.

use std::fmt;

/// What has passed, failed and been skipped so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Count {
    pub(crate) fn step(&mut self, passed: bool) {
        if passed {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
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

/// Reads the lines of one `cargo test` run.
#[derive(Debug, Default)]
pub(crate) struct TestLines {
    count: Count,
    started: u64,
    ended: u64,
}

impl TestLines {
    pub(crate) fn read(&mut self, line: &str) {
        if is_start(line) {
            self.started += 1;
        } else if let Some(result) = line.strip_prefix("test result: ") {
            self.ended += 1;
            self.count.passed += number_before(result, " passed");
            self.count.failed += number_before(result, " failed");
            self.count.skipped += number_before(result, " ignored");
        }
    }

    /// The sum. A test program that began and never gave its result has crashed, which counts as
    /// one failure, and so does a run that failed for another reason (it did not compile).
    pub(crate) fn finish(mut self, succeeded: bool) -> Count {
        self.count.failed += self.started.saturating_sub(self.ended);
        if !succeeded && self.count.failed == 0 {
            self.count.failed = 1;
        }
        self.count
    }
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
    use super::{Count, TestLines};

    fn check(lines: &str, succeeded: bool, expect: &str) {
        let mut reader = TestLines::default();
        lines.lines().for_each(|line| reader.read(line));
        assert_eq!(reader.finish(succeeded).to_string(), expect, "{lines}");
    }

    #[test]
    fn every_outcome_is_counted() {
        const TWO: &str = "running 2 tests\ntest a ... ok\ntest result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
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
    fn steps_add_up() {
        let mut all = Count::default();
        all.step(true);
        all.step(false);
        all.add(&Count {
            passed: 5,
            failed: 1,
            skipped: 2,
        });
        assert_eq!(
            all,
            Count {
                passed: 6,
                failed: 2,
                skipped: 2
            }
        );
    }
}
