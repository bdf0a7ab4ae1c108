//! The host's services: missing, failing, odd; and what a plugin does with them.

use std::time::{Duration, SystemTime};

use certdock_plugin_api::EnrollRequest;

use crate::conformance::bench::Bench;
use crate::conformance::calls::{Answer, Open};
use crate::conformance::check::Check;
use crate::conformance::sample::{FOREIGN_CERTIFICATE, Sample};
use crate::conformance::verdict::{Stop, Verdict, ensure};

/// For whatever asks around: the checks that each of those calls is answered at all.
pub(super) const ANSWERS: &[&str] = &[
    "life.closes",
    "ca.answers",
    "ca.health",
    "enroll.answers",
    "poll.unknown-ids",
    "recover.unknown",
    "revoke.foreign",
    "crl.readable",
    "push.garbage",
];

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "host.none",
        "a host without any service is borne, if need be with a fault",
        none,
    )
    .needs("life.opens")
    .after(ANSWERS),
    Check::new(
        "host.no-state",
        "a host whose store fails is borne",
        no_state,
    )
    .needs("life.opens")
    .after(ANSWERS),
    Check::new(
        "host.no-secrets",
        "a secret that is missing is a fault, or not needed",
        no_secrets,
    )
    .needs("life.opens")
    .after(ANSWERS),
    Check::new(
        "host.odd-clock",
        "a clock that is years off, and runs backwards, is borne",
        odd_clock,
    )
    .needs("life.opens")
    .after(ANSWERS),
    Check::new(
        "host.keeps-secrets",
        "no secret shows up in the log or in a fault",
        keeps_secrets,
    )
    .needs("life.opens")
    .after(ANSWERS),
    Check::new(
        "host.modest-log",
        "the log gets a few lines for a call, and no long ones",
        modest_log,
    )
    .needs("life.opens")
    .after(ANSWERS),
    Check::new(
        "host.metrics",
        "metrics are named, labelled and few enough for the server to take them",
        metrics,
    )
    .needs("life.opens")
    .after(ANSWERS),
];

/// Everything that can be asked without asking for a certificate; the faults' texts.
pub(super) fn ask_around(open: &Open) -> Result<Vec<String>, Stop> {
    use certdock_plugin_api::{
        PollRequest, PushRequest, RecoverRequest, RevocationReason, RevokeRequest,
    };
    fn text<T>(answer: Answer<T>) -> Option<String> {
        answer.err().map(|fault| fault.to_string())
    }
    let csr = crate::conformance::sample::FIXED_CSR;
    let mut faults = vec![text(open.ca_certs_get()?)];
    if open.provided.health {
        faults.push(text(open.health()?));
    }
    if open.provided.crl {
        faults.push(text(open.crl()?));
    }
    if open.provided.poll {
        faults.push(text(open.poll(PollRequest::new(
            "check",
            "certdock-check",
            csr,
        ))?));
    }
    if open.provided.recover {
        faults.push(text(
            open.recover(RecoverRequest::new("certdock-check", csr))?,
        ));
    }
    if open.provided.push {
        faults.push(text(open.push(PushRequest::new("certdock-check"))?));
    }
    if open.provided.revoke {
        let reason = RevocationReason::Superseded;
        faults.push(text(
            open.revoke(RevokeRequest::new(FOREIGN_CERTIFICATE, reason))?,
        ));
    }
    // No CA certifies nothing.
    faults.push(text(open.enroll(EnrollRequest::new(
        "check-nothing",
        Vec::new(),
        Vec::new(),
    ))?));
    Ok(faults.into_iter().flatten().collect())
}

fn none(bench: &Bench) -> Verdict {
    match bench.load()?.try_open_bare()? {
        Ok(open) => {
            ask_around(&open)?;
            open.close()?;
            Ok("it opens all the same".to_owned())
        }
        Err(fault) => Ok(format!("it refuses: {}", fault.public)),
    }
}

fn no_state(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    bench.host.take_state_down();
    ask_around(&open)?;
    open.close()?;
    if let Ok(open) = bench.load()?.try_open(bench.config())? {
        ask_around(&open)?;
        open.close()?;
    }
    Ok(String::new())
}

fn no_secrets(bench: &Bench) -> Verdict {
    let loaded = bench.load()?;
    bench.host.lose_secrets();
    match loaded.try_open(bench.config())? {
        Ok(open) => {
            ask_around(&open)?;
            open.close()?;
            Ok("it opens all the same".to_owned())
        }
        Err(fault) => Ok(format!("it refuses: {}", fault.public)),
    }
}

fn odd_clock(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    let years = |years: u64| Duration::from_secs(years * 365 * 86_400);
    for now in [
        SystemTime::UNIX_EPOCH,
        SystemTime::now() + years(500),
        SystemTime::UNIX_EPOCH - years(1),
        SystemTime::now(),
    ] {
        bench.host.set_now(now);
        ask_around(&open)?;
        if let Ok(open) = bench.load()?.try_open(bench.config())? {
            open.close()?;
        }
    }
    Ok(String::new())
}

fn keeps_secrets(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    let mut texts = ask_around(&open)?;
    if bench.settings().issue {
        let sample = Sample::new(&bench.settings().names)?;
        texts.extend(
            open.enroll(sample.request())?
                .err()
                .map(|fault| fault.to_string()),
        );
    }
    open.close()?;
    texts.extend(bench.host.lines());
    let secrets = bench.host.secrets();
    // A short one may stand anywhere by chance.
    let mut long = secrets.iter().filter_map(|secret| {
        std::str::from_utf8(secret)
            .ok()
            .filter(|secret| secret.len() >= 6)
    });
    ensure(
        !long.any(|secret| texts.iter().any(|text| text.contains(secret))),
        || "a secret stands in the log or in a fault".to_owned(),
    )?;
    match secrets.len() {
        0 => Err(Stop::skipped("it fetched no secret")),
        count => Ok(format!("{count} secrets in {} texts", texts.len())),
    }
}

fn modest_log(bench: &Bench) -> Verdict {
    const ROUNDS: usize = 20;
    let open = bench.open()?;
    for _ in 0..ROUNDS {
        ask_around(&open)?;
    }
    open.close()?;
    let (lines, longest) = bench.host.log_size();
    // The boundary cuts messages and values at 16 KiB.
    ensure(longest < 16 * 1024, || {
        format!("a line of the log has {longest} letters")
    })?;
    ensure(lines <= ROUNDS * 8 * 10, || {
        format!("{lines} lines of log for some {} calls", ROUNDS * 8)
    })?;
    Ok(format!("{lines} lines"))
}

fn metrics(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    ask_around(&open)?;
    open.close()?;
    match bench.host.metrics_left_out().first() {
        None => Ok(String::new()),
        Some(left_out) => Err(Stop::Failed(left_out.clone())),
    }
}
