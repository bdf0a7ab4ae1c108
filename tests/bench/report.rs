//! What was measured, as a table, and whether it is good enough.

use std::collections::BTreeMap;
use std::process::ExitCode;

use crate::floor::Floor;
use crate::load::Run;

#[derive(Default)]
pub(crate) struct Report {
    floor: Option<Floor>,
    certdock: BTreeMap<usize, Run>,
    pebble: BTreeMap<usize, Run>,
    aims: Vec<Aim>,
}

/// What is aimed at, and whether it was reached.
struct Aim {
    held: bool,
    text: String,
}

impl Report {
    pub(crate) fn floor(&mut self, floor: Floor) {
        println!(
            "  {:.2} ms CPU an order, {:.0} orders/s",
            floor.cpu_per_order, floor.rate
        );
        self.floor = Some(floor);
    }

    pub(crate) fn certdock(&mut self, concurrency: usize, run: Run) {
        line("certdock", concurrency, &run);
        let lost = run.failed + run.hung;
        self.aim(
            lost == 0,
            format!("certdock at concurrency {concurrency}: {lost} orders failed or hung"),
        );
        self.certdock.insert(concurrency, run);
    }

    /// With the CA's code in a process of its own, whose CPU and memory count too.
    pub(crate) fn worker(&mut self, concurrency: usize, run: &Run) {
        line("worker", concurrency, run);
        let lost = run.failed + run.hung;
        self.aim(
            lost == 0,
            format!("with a worker, at concurrency {concurrency}: {lost} orders failed or hung"),
        );
    }

    /// Whether the run counts.
    pub(crate) fn pebble(&mut self, concurrency: usize, run: Run) -> bool {
        line("pebble", concurrency, &run);
        let counts = run.hung == 0 && run.completed > 0;
        if counts {
            self.pebble.insert(concurrency, run);
        }
        counts
    }

    pub(crate) fn ten_thousand(&mut self, run: &Run) {
        line("10,000", 32, run);
        let lost = 10_000_u64.saturating_sub(run.completed);
        self.aim(
            lost == 0,
            format!("10,000 orders at concurrency 32: {lost} hung or lost"),
        );
        let mib = run.peak_memory as f64 / 1024.0;
        self.aim(
            mib <= 36.0,
            format!("peak memory after 10,000 orders: {mib:.1} MiB, at most 36"),
        );
    }

    pub(crate) fn fifty_thousand(&mut self, before: &Run, filled: &Run, after: &Run) {
        line("empty", 8, before);
        line("50,000", 32, filled);
        line("stored", 8, after);
        let ratio = after.rate() / before.rate();
        let text =
            format!("rate with 50,000 orders stored: {ratio:.2} of the rate without, at least 0.9");
        self.aim(ratio >= 0.9, text);
    }

    /// Prints ratios and verdicts; fails if one of the aims is missed.
    pub(crate) fn summary(mut self) -> ExitCode {
        if !self.certdock.is_empty() {
            println!("\nratios, certdock to pebble");
        }
        for (concurrency, ours) in &self.certdock {
            let Some(theirs) = self.pebble.get(concurrency) else {
                println!("  concurrency {concurrency:>2}: pebble has no run to compare with");
                continue;
            };
            println!(
                "  concurrency {concurrency:>2}: orders/s {:.2}, p50 {:.2}, p99 {:.2}, CPU {:.2}, memory {:.2}",
                ours.rate() / theirs.rate(),
                ours.milliseconds(0.5) / theirs.milliseconds(0.5),
                ours.milliseconds(0.99) / theirs.milliseconds(0.99),
                ours.cpu_per_order() / theirs.cpu_per_order(),
                ours.peak_memory as f64 / theirs.peak_memory as f64,
            );
        }
        self.judge();
        println!("\naims");
        for aim in &self.aims {
            println!(
                "  {} {}",
                if aim.held { "held  " } else { "MISSED" },
                aim.text
            );
        }
        let missed = self.aims.iter().any(|aim| !aim.held);
        if missed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }

    fn judge(&mut self) {
        let mut aims = Vec::new();
        if let (Some(ours), Some(theirs)) = (self.certdock.get(&8), self.pebble.get(&8)) {
            let rate = ours.rate() / theirs.rate();
            let cpu = ours.cpu_per_order() / theirs.cpu_per_order();
            aims.push((
                rate >= 1.5,
                format!("orders/s at concurrency 8: {rate:.2} of pebble's, at least 1.5"),
            ));
            aims.push((
                cpu <= 0.5,
                format!("CPU an order at concurrency 8: {cpu:.2} of pebble's, at most 0.5"),
            ));
        }
        if self.certdock.contains_key(&8) && !self.pebble.contains_key(&8) {
            println!("\nnot compared at concurrency 8: pebble has no run that ended, so ask again");
        }
        if let (Some(ours), Some(floor)) = (self.certdock.get(&8), &self.floor) {
            let ratio = ours.cpu_per_order() / floor.cpu_per_order;
            aims.push((
                ratio <= 2.25,
                format!("CPU an order at concurrency 8: {ratio:.2} of the floor, at most 2.25"),
            ));
        }
        if let (Some(ours), Some(theirs)) = (self.certdock.get(&1), self.pebble.get(&1)) {
            let ratio = ours.milliseconds(0.5) / theirs.milliseconds(0.5);
            aims.push((
                ratio <= 0.5,
                format!("p50 at concurrency 1: {ratio:.2} of pebble's, at most 0.5"),
            ));
        }
        for (held, text) in aims {
            self.aim(held, text);
        }
    }

    pub(crate) fn aim(&mut self, held: bool, text: String) {
        self.aims.push(Aim { held, text });
    }
}

fn line(name: &str, concurrency: usize, run: &Run) {
    println!(
        "{name:<9} c={concurrency:<2} {:>6} orders {:>8.1}/s  p50 {:>7.1} ms  p99 {:>7.1} ms  CPU {:>6.2} ms/order  peak {:>6.1} MiB  {} failed, {} hung",
        run.completed,
        run.rate(),
        run.milliseconds(0.5),
        run.milliseconds(0.99),
        run.cpu_per_order(),
        run.peak_memory as f64 / 1024.0,
        run.failed,
        run.hung,
    );
    if let Some(error) = &run.error {
        println!("          first failure: {error}");
    }
}
