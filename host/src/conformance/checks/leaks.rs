//! What calls leave behind.

use certdock_plugin_api::EnrollRequest;

use crate::conformance::bench::Bench;
use crate::conformance::calls::Open;
use crate::conformance::check::Check;
use crate::conformance::process;
use crate::conformance::sample::{Sample, enrollment_id};
use crate::conformance::verdict::{Stop, Verdict, ensure};

use super::services::{ANSWERS, ask_around};

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "leak.memory",
        "a hundred calls leave no memory behind",
        memory,
    )
    .needs("life.opens")
    .after(ANSWERS),
    Check::new(
        "leak.descriptors",
        "a hundred calls leave no descriptors behind",
        descriptors,
    )
    .needs("life.opens")
    .after(ANSWERS),
    Check::new(
        "leak.threads",
        "a hundred calls leave no threads behind",
        threads,
    )
    .needs("life.opens")
    .after(ANSWERS),
    Check::new(
        "leak.processes",
        "calls leave no child processes behind",
        processes,
    )
    .needs("life.opens")
    .after(ANSWERS),
];

/// Calls before anything is measured: what is kept from one to the next is there by then.
const WARM: u32 = 20;

/// A handler and the requests that it gets, over and over.
struct Load {
    open: Open,
    samples: Vec<Sample>,
    rounds: u32,
}

impl Load {
    fn new(bench: &Bench) -> Result<Self, Stop> {
        let names = &bench.settings().names;
        let count = if bench.settings().issue { 4 } else { 0 };
        let load = Self {
            open: bench.open()?,
            samples: (0..count)
                .map(|_| Sample::new(names))
                .collect::<Result<_, _>>()?,
            rounds: bench.settings().rounds,
        };
        load.call(WARM)?;
        Ok(load)
    }

    fn call(&self, times: u32) -> Result<(), Stop> {
        for (number, sample) in (0..times).zip(self.requests()) {
            if let Some(mut request) = sample {
                request.enrollment_id = enrollment_id();
                let _ = self.open.enroll(request)?;
            }
            // All the rest now and then, since some of it may be slow.
            if number % 4 == 0 {
                ask_around(&self.open)?;
            }
        }
        Ok(())
    }

    fn requests(&self) -> impl Iterator<Item = Option<EnrollRequest>> {
        let count = self.samples.len().max(1);
        (0..).map(move |n: usize| self.samples.get(n % count).map(Sample::request))
    }

    fn measured(&self) -> Result<(), Stop> {
        self.call(self.rounds)
    }
}

fn memory(bench: &Bench) -> Verdict {
    const MOST: u64 = 64 * 1024;
    let load = Load::new(bench)?;
    let before = process::memory()?;
    load.measured()?;
    let growth = process::memory()?.saturating_sub(before);
    let rounds = u64::from(load.rounds.max(1));
    // What an allocator takes in one piece is not lost yet.
    ensure(growth < rounds * MOST + (4 << 20), || {
        format!(
            "{rounds} calls took {} KiB of memory that did not come back",
            growth >> 10
        )
    })?;
    Ok(format!("{} KiB in {rounds} calls", growth >> 10))
}

fn descriptors(bench: &Bench) -> Verdict {
    let load = Load::new(bench)?;
    let before = process::descriptors()?.len();
    load.measured()?;
    // Connections that are kept open come and go.
    let after = process::settles(before + 4, || Ok(process::descriptors()?.len()))?;
    ensure(after <= before + 4, || {
        format!(
            "{} calls left {} descriptors open",
            load.rounds,
            after - before
        )
    })?;
    Ok(String::new())
}

fn threads(bench: &Bench) -> Verdict {
    let load = Load::new(bench)?;
    let before = process::threads()?;
    load.measured()?;
    let after = process::settles(before + 4, process::threads)?;
    ensure(after <= before + 4, || {
        format!(
            "{} calls left {} threads running",
            load.rounds,
            after - before
        )
    })?;
    Ok(String::new())
}

fn processes(bench: &Bench) -> Verdict {
    let before = process::children()?;
    let load = Load::new(bench)?;
    load.open.close()?;
    let after = process::settles(before, process::children)?;
    ensure(after <= before, || {
        format!("{} child processes are left; wait for each", after - before)
    })?;
    Ok(String::new())
}
