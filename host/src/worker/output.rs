//! [`forward`]: what a worker prints goes to the log, line by line, and not too much of it.

use std::io::{BufRead as _, BufReader, PipeReader, Read as _};
use std::time::{Duration, Instant};

use crate::observe::budget::Budget;

/// More of a line is a line of its own.
const LONGEST_LINE: u64 = 4096;

/// So many lines in so long are logged; the rest is counted.
const LINES: u32 = 100;
const SPAN: Duration = Duration::from_secs(10);

/// Until nobody can print any more.
pub(super) fn forward(output: PipeReader, name: &str) {
    let mut output = BufReader::new(output);
    let mut budget = Budget::new(LINES, usize::MAX, SPAN);
    let mut line = Vec::new();
    loop {
        line.clear();
        match output
            .by_ref()
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)
        {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        if text.trim().is_empty() {
            continue;
        }
        if budget.spend(text.len(), Instant::now(), |lines| tell(name, lines)) {
            tracing::warn!(target: "plugin", handler = name, "printed: {text}");
        }
    }
    if budget.left_out() > 0 {
        tell(name, budget.left_out());
    }
}

fn tell(name: &str, lines: u64) {
    tracing::warn!(
        target: "plugin",
        handler = name,
        lines,
        "printed too much: these lines are left out"
    );
}
