//! Handlers that are opened and closed.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::conformance::bench::{Bench, Loaded, within};
use crate::conformance::calls::Open;
use crate::conformance::check::Check;
use crate::conformance::process;
use crate::conformance::verdict::{Stop, Verdict, ensure};

pub(super) const FIRST: &[Check] = &[
    Check::new(
        "life.opens",
        "a handler opens with its configuration",
        opens,
    )
    .needs("load.links"),
    Check::new(
        "life.closes",
        "it is closed without a panic and without delay",
        closes,
    )
    .needs("life.opens"),
];

/// Whether a handler serves is seen by its CA's certificates.
const SERVES: &[&str] = &["ca.answers"];

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "life.leaves-files-alone",
        "opening and closing leaves no descriptors behind",
        leaves_no_files,
    )
    .needs("life.closes"),
    Check::new(
        "life.leaves-threads-alone",
        "opening and closing leaves no threads behind",
        leaves_no_threads,
    )
    .needs("life.closes"),
    Check::new(
        "life.thousand",
        "it can be opened and closed a thousand times, and nothing grows",
        thousand,
    )
    .needs("life.closes"),
    Check::new(
        "life.at-once",
        "sixteen handlers open at once, from as many threads",
        at_once,
    )
    .needs("life.closes")
    .after(SERVES),
    Check::new(
        "life.side-by-side",
        "of two handlers one serves on when the other is closed",
        side_by_side,
    )
    .needs("life.closes")
    .after(SERVES),
    Check::new(
        "life.upgrade",
        "a second copy opens while the first serves, and serves on when that one is closed",
        upgrade,
    )
    .needs("life.closes")
    .after(SERVES),
    Check::new(
        "life.restart",
        "a new process opens it again, with the state that the last one left",
        restart,
    )
    .needs("life.closes")
    .after(SERVES),
    Check::new(
        "life.leaves-process-alone",
        "it does not change the process's signals, folder, environment or umask",
        leaves_process_alone,
    )
    .needs("life.closes")
    .after(SERVES),
];

fn opens(bench: &Bench) -> Verdict {
    let loaded = bench.load()?;
    match (loaded.try_open(bench.config())?, &bench.settings().config) {
        (Ok(_), _) => Ok(String::new()),
        (Err(fault), None) => Err(Stop::Skipped(format!(
            "it needs a configuration; name one with --config ({})",
            fault.public
        ))),
        (Err(fault), Some(_)) => Err(Stop::fault("open", &fault)),
    }
}

fn closes(bench: &Bench) -> Verdict {
    bench.open()?.close()?;
    Ok(String::new())
}

/// The first few times may start what stays for good and is shared by all handlers.
fn warm(loaded: &Loaded) -> Result<(), Stop> {
    (0..3).try_for_each(|_| loaded.open()?.close())
}

fn leaves_no_files(bench: &Bench) -> Verdict {
    let loaded = bench.load()?;
    warm(&loaded)?;
    let before = process::descriptors()?.len();
    (0..20).try_for_each(|_| loaded.open()?.close())?;
    let after = process::settles(before, || Ok(process::descriptors()?.len()))?;
    ensure(after <= before, || {
        let last = process::descriptors()
            .ok()
            .and_then(|all| all.into_values().last());
        let last = last.unwrap_or_default();
        format!(
            "20 handlers left {} descriptors open, one to {last}",
            after - before
        )
    })?;
    Ok(String::new())
}

fn leaves_no_threads(bench: &Bench) -> Verdict {
    let loaded = bench.load()?;
    warm(&loaded)?;
    let before = process::threads()?;
    (0..20).try_for_each(|_| loaded.open()?.close())?;
    let after = process::settles(before, process::threads)?;
    ensure(after <= before, || {
        format!(
            "20 handlers left {} threads running; end them in `drop`",
            after - before
        )
    })?;
    Ok(String::new())
}

fn thousand(bench: &Bench) -> Verdict {
    const TIMES: u32 = 1000;
    const MOST_GROWTH: u64 = 8 * 1024 * 1024;
    let loaded = bench.load()?;
    for _ in 0..100 {
        loaded.open()?.close()?;
    }
    let before = process::memory()?;
    let started = Instant::now();
    // A handler that takes long to open is opened less often, within what a check may take.
    let limit = bench.settings().timeout.mul_f32(0.8);
    let mut times = 100;
    while times < TIMES && started.elapsed() < limit {
        loaded.open()?.close()?;
        times += 1;
    }
    let growth = process::memory()?.saturating_sub(before);
    ensure(growth < MOST_GROWTH, || {
        format!(
            "opening it {times} times took {} MiB that did not come back",
            growth >> 20
        )
    })?;
    ensure(times == TIMES, || {
        format!(
            "it was opened {times} times only, until the time was up; give it more with --timeout"
        )
    })?;
    Ok(format!("{times} times"))
}

fn at_once(bench: &Bench) -> Verdict {
    let loaded = bench.load()?;
    let opened: Vec<Result<Open, Stop>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(|| loaded.open())).collect();
        let lost = || Err(Stop::failed("a thread that opened one was lost"));
        let join =
            |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().unwrap_or_else(|_| lost());
        threads.into_iter().map(join).collect()
    });
    let opened: Vec<Open> = opened.into_iter().collect::<Result<_, _>>()?;
    for open in opened {
        works(&open)?;
        open.close()?;
    }
    Ok(String::new())
}

/// It answers; what is another check's matter.
fn works(open: &Open) -> Result<(), Stop> {
    open.ca_certs_get().map(drop)
}

fn side_by_side(bench: &Bench) -> Verdict {
    let loaded = bench.load()?;
    one_after_the_other(&loaded, &loaded)
}

fn upgrade(bench: &Bench) -> Verdict {
    one_after_the_other(&bench.load()?, &bench.load()?)
}

fn one_after_the_other(old: &Loaded, new: &Loaded) -> Verdict {
    let first = old.open()?;
    let before = first.ca_certs_get()?;
    let second = new.open()?;
    works(&second)?;
    first.close()?;
    let after = second.ca_certs_get()?;
    ensure(before.is_ok() == after.is_ok(), || {
        let fault = before.err().or(after.err());
        let fault = fault.map(|fault| fault.to_string()).unwrap_or_default();
        format!("one of the two handlers did not answer ca_certs_get as the other did: {fault}")
    })?;
    second.close()?;
    Ok(String::new())
}

fn restart(bench: &Bench) -> Verdict {
    if let Some(state) = &bench.job.memo {
        bench.host.restore_state(state);
    }
    let open = bench.open()?;
    works(&open)?;
    open.close()?;
    match bench.job.memo {
        Some(_) => Ok(String::new()),
        None => Err(Stop::Again(bench.host.save_state())),
    }
}

fn leaves_process_alone(bench: &Bench) -> Verdict {
    let look = || -> Result<_, Stop> {
        let folder = std::env::current_dir().ok();
        let variables: Vec<_> = std::env::vars_os().collect();
        let [ignored, handled] = process::signals()?;
        let what = json!({ "ignored": ignored, "handled": handled });
        Ok((what, folder, variables, process::umask()?))
    };
    // The first thread of a process makes the C library catch signals of its own.
    within("nothing", Duration::ZERO, || ())?;
    let before = look()?;
    let open = bench.open()?;
    works(&open)?;
    let after = look()?;
    open.close()?;
    std::thread::sleep(Duration::from_millis(20));
    for (what, same) in [
        ("how signals are handled", before.0 == after.0),
        ("the working folder", before.1 == after.1),
        ("the environment", before.2 == after.2),
        ("the umask", before.3 == after.3),
    ] {
        ensure(same, || format!("it changes {what}, which is the server's"))?;
    }
    Ok(String::new())
}
