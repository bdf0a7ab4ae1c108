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

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::observe::captured::{Captured, subscribe};

    #[test]
    fn what_is_printed_without_end_is_cut_short() {
        let (output, mut printer) = std::io::pipe().unwrap();
        let printing = std::thread::spawn(move || {
            let line = "x".repeat(3 * usize::try_from(LONGEST_LINE).unwrap());
            writeln!(printer, "\x1b[31mred\u{7}\n\n{line}").unwrap();
            for number in 0..1_000 {
                writeln!(printer, "line {number}").unwrap();
            }
        });
        let log = Captured::default();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(log.writer())
            .finish();
        let _guard = subscribe(subscriber);
        forward(output, "loud");
        printing.join().unwrap();
        let log = log.text();
        assert!(log.contains("printed: [31mred handler"), "{log}");
        let printed = log.lines().filter(|line| line.contains("printed: "));
        assert_eq!(printed.count(), 100);
        assert!(log.lines().all(|line| line.len() < 4_300));
        let left_out: Vec<_> = log
            .lines()
            .filter(|line| line.contains("left out"))
            .collect();
        assert_eq!(left_out.len(), 1, "{left_out:?}");
        // Of 1 + 3 + 1000.
        assert!(left_out[0].contains("lines=904"), "{left_out:?}");
    }
}
