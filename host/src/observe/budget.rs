//! [`Budget`]: how much of what somebody else says is logged.

use std::time::{Duration, Instant};

/// So many lines, with so many bytes, in so long; the rest is counted.
pub(crate) struct Budget {
    lines: u32,
    bytes: usize,
    span: Duration,
    since: Instant,
    lines_spent: u32,
    bytes_spent: usize,
    left_out: u64,
}

impl Budget {
    pub(crate) fn new(lines: u32, bytes: usize, span: Duration) -> Self {
        Self {
            lines,
            bytes,
            span,
            since: Instant::now(),
            lines_spent: 0,
            bytes_spent: 0,
            left_out: 0,
        }
    }

    /// Whether a line of this size is logged. `tell` hears how many were not in the span that is over.
    pub(crate) fn spend(&mut self, bytes: usize, now: Instant, tell: impl FnOnce(u64)) -> bool {
        if now.duration_since(self.since) > self.span {
            if self.left_out > 0 {
                tell(self.left_out);
            }
            *self = Self {
                since: now,
                ..Self::new(self.lines, self.bytes, self.span)
            };
        }
        let fits = self.lines_spent < self.lines && bytes <= self.bytes - self.bytes_spent;
        if fits {
            self.lines_spent += 1;
            self.bytes_spent += bytes;
        } else {
            self.left_out += 1;
        }
        fits
    }

    /// Lines that nobody has told of yet.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_counted_and_told() {
        let span = Duration::from_secs(10);
        let mut budget = Budget::new(3, 100, span);
        let start = Instant::now();
        let quiet = |_| panic!("nothing to tell");
        assert!(budget.spend(60, start, quiet));
        assert!(!budget.spend(41, start, quiet));
        assert!(budget.spend(40, start, quiet));
        assert!(budget.spend(0, start, quiet));
        assert!(!budget.spend(0, start + span / 2, quiet));
        assert_eq!(budget.left_out(), 2);
        let mut told = 0;
        let later = start + span * 2;
        assert!(budget.spend(100, later, |lines| told = lines));
        assert_eq!((told, budget.left_out()), (2, 0));
        assert!(!budget.spend(1, later, quiet));
        assert!(budget.spend(1, later + span * 2, |lines| assert_eq!(lines, 1)));
        assert!(budget.spend(1, later + span * 4, quiet));
    }
}
