//! [`forward`]: what a worker prints goes to the log, line by line, and not too much of it.

use std::io::{BufRead as _, BufReader, PipeReader, Read as _};
use std::time::{Duration, Instant};

/// More of a line is a line of its own.
const LONGEST_LINE: u64 = 4096;

/// So many lines in so long are logged; the rest is counted.
const LINES: u32 = 100;
const SPAN: Duration = Duration::from_secs(10);

/// Until nobody can print any more.
pub(super) fn forward(output: PipeReader, name: &str) {
    let mut output = BufReader::new(output);
    let mut since = Instant::now();
    let (mut logged, mut left_out) = (0, 0_u64);
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
        if since.elapsed() > SPAN {
            tell(name, left_out);
            (since, logged, left_out) = (Instant::now(), 0, 0);
        }
        if logged >= LINES {
            left_out += 1;
            continue;
        }
        let text = String::from_utf8_lossy(&line);
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        if !text.trim().is_empty() {
            tracing::warn!(target: "plugin", handler = name, "printed: {text}");
            logged += 1;
        }
    }
    tell(name, left_out);
}

fn tell(name: &str, left_out: u64) {
    if left_out > 0 {
        tracing::warn!(
            target: "plugin",
            handler = name,
            lines = left_out,
            "printed too much: these lines are left out"
        );
    }
}
