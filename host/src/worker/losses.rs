//! [`Losses`]: how many workers a handler has used up, and when it gets no more.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Deaths in a row, with no good answer between them, after which there is no new worker.
const IN_A_ROW: u32 = 5;

/// A plugin that answers between its deaths, or leaks, may use up more, but not without end.
const AT_ONCE: usize = 20;
const WHILE: Duration = Duration::from_secs(600);

/// When workers were lately lost, oldest first.
#[derive(Default)]
pub(super) struct Losses(VecDeque<Instant>);

impl Losses {
    /// Counts one more, which is the so-manieth death in a row. Why there should be no next worker, as
    /// the end of a sentence.
    pub(super) fn count(&mut self, now: Instant, in_a_row: u32) -> Option<String> {
        self.0.push_back(now);
        let old = |then: &Instant| now.saturating_duration_since(*then) > WHILE;
        while self.0.front().is_some_and(old) {
            self.0.pop_front();
        }
        let lost = self.0.len();
        if in_a_row >= IN_A_ROW {
            Some(format!("the {in_a_row}th time in a row"))
        } else if lost >= AT_ONCE {
            Some(format!(
                "the {lost}th time within {} minutes",
                WHILE.as_secs() / 60
            ))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_in_a_row_or_many_in_a_while_are_enough() {
        let start = Instant::now();
        let mut losses = Losses::default();
        assert_eq!(losses.count(start, IN_A_ROW - 1), None);
        let told = losses.count(start, IN_A_ROW).unwrap();
        assert_eq!(told, "the 5th time in a row");

        // Now and then is no reason.
        let mut losses = Losses::default();
        for number in 0..100 {
            let now = start + number * WHILE / (AT_ONCE as u32 - 2);
            assert_eq!(losses.count(now, 1), None);
        }
        let now = start + 101 * WHILE;
        for _ in 1..AT_ONCE {
            assert_eq!(losses.count(now, 0), None);
        }
        let told = losses.count(now, 0).unwrap();
        assert_eq!(told, "the 20th time within 10 minutes");
    }
}
