//! Requests that nobody would send, in numbers. What is found once is found again with the same seed.

use std::time::{Duration, Instant};

use certdock_plugin_api::{
    EnrollRequest, Enrollment, Identifier, Poll, PollRequest, PushRequest, RecoverRequest,
    RevocationReason, RevokeRequest,
};

use crate::conformance::bench::Bench;
use crate::conformance::calls::ability;
use crate::conformance::check::Check;
use crate::conformance::random::Random;
use crate::conformance::sample::{FIXED_CSR, FOREIGN_CERTIFICATE};
use crate::conformance::verdict::{Stop, Verdict, ensure};
use crate::x509::{Csr, public_key_of};

pub(super) const CHECKS: &[Check] = &[
    Check::new("fuzz.config", "damaged configurations harm nothing", config)
        .needs("load.links")
        .after(&["config.good"]),
    Check::new("fuzz.enroll", "damaged requests harm nothing", enroll)
        .needs("enroll.answers")
        .after(&["certificate.readable", "certificate.key"])
        .issues(),
    Check::new("fuzz.poll", "damaged polls harm nothing", poll)
        .needs("life.opens")
        .after(&["poll.unknown-ids"]),
    Check::new("fuzz.recover", "damaged look-ups harm nothing", recover)
        .needs("life.opens")
        .after(&["recover.unknown"]),
    Check::new("fuzz.revoke", "damaged revocations harm nothing", revoke)
        .needs("life.opens")
        .after(&["revoke.foreign"]),
    Check::new("fuzz.push", "damaged pushes harm nothing", push)
        .needs("life.opens")
        .after(&["push.garbage"]),
];

/// So often, or for so long.
const TIMES: u32 = 500;
const LONGEST: Duration = Duration::from_secs(5);

/// Does something with ever new numbers. The seed is the same for every process of a run, so a crash
/// is found again, too.
fn fuzz(bench: &Bench, mut work: impl FnMut(&mut Random) -> Result<(), Stop>) -> Verdict {
    let mut random = Random::new(bench.settings().seed, &bench.job.check);
    let started = Instant::now();
    let mut times = 0;
    while times < TIMES && started.elapsed() < LONGEST {
        times += 1;
        work(&mut random).map_err(|stop| match stop {
            Stop::Failed(reason) => Stop::Failed(format!("at input {times}: {reason}")),
            other => other,
        })?;
    }
    Ok(format!("{times} inputs"))
}

/// Only looked at: opened, a handler might make files where a damaged path leads.
fn config(bench: &Bench) -> Verdict {
    let loaded = bench.load()?;
    let good = bench.config().as_bytes();
    fuzz(bench, |random| {
        let config = random.damaged(good);
        loaded.validate(&String::from_utf8_lossy(&config)).map(drop)
    })
}

fn enroll(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    fuzz(bench, |random| {
        let mut csr = random.damaged(FIXED_CSR);
        if random.below(20) == 0 {
            csr = random.bytes(300);
        }
        // As the rest: a CA that has seen it was asked for the same then.
        let id = format!("check-{:016x}", random.next());
        let mut request = EnrollRequest::new(id, csr, identifiers(random));
        request.profile = (random.below(2) == 0).then(|| random.text());
        request.endpoint = random.text();
        request.request_id = random.text();
        request.extras.insert(random.text(), random.text());
        let csr = request.csr.clone();
        let Ok(Enrollment::Issued(chain)) = open.enroll(request)? else {
            return Ok(());
        };
        // What the server lets through must be certified for the right key. Anything else never comes.
        let Ok(asked) = Csr::parse(&csr) else {
            return Ok(());
        };
        let given = chain
            .certificates
            .first()
            .and_then(|der| public_key_of(der));
        ensure(given == Some(asked.public_key), || {
            "it issued for a key that was not in the request".to_owned()
        })
    })
}

fn identifiers(random: &mut Random) -> Vec<Identifier> {
    let count = random.below(4);
    let one = |random: &mut Random| match random.below(4) {
        0 => Identifier::Dns(random.text()),
        1 => Identifier::Ip((random.next() as u32).to_be_bytes().into()),
        2 => Identifier::Other {
            kind: random.text(),
            value: random.text(),
        },
        _ => Identifier::Dns("www.example.test".to_owned()),
    };
    (0..count).map(|_| one(random)).collect()
}

fn poll(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    ability(open.provided.poll, "poll")?;
    fuzz(bench, |random| {
        let csr = random.damaged(FIXED_CSR);
        let request = PollRequest::new(random.text(), random.text(), csr);
        match open.poll(request)? {
            Ok(Poll::Issued(_)) => Err(Stop::failed("it issued for a poll id that it never gave")),
            _ => Ok(()),
        }
    })
}

fn recover(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    ability(open.provided.recover, "recover")?;
    fuzz(bench, |random| {
        let csr = random.damaged(FIXED_CSR);
        open.recover(RecoverRequest::new(random.text(), csr))
            .map(drop)
    })
}

fn revoke(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    ability(open.provided.revoke, "revoke")?;
    fuzz(bench, |random| {
        let certificate = random.damaged(FOREIGN_CERTIFICATE);
        let reason = RevocationReason::from_code(random.below(11) as u8);
        let reason = reason.unwrap_or(RevocationReason::Unspecified);
        open.revoke(RevokeRequest::new(certificate, reason))
            .map(drop)
    })
}

fn push(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    ability(open.provided.push, "push")?;
    fuzz(bench, |random| {
        let payload = match random.below(3) {
            0 => random.bytes(2000),
            1 => random.text().into_bytes(),
            _ => random.damaged(FOREIGN_CERTIFICATE),
        };
        let mut request = PushRequest::new(payload);
        request.headers.insert(random.text(), random.text());
        open.push(request).map(drop)
    })
}
