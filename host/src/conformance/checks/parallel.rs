//! Many calls at once.

use certdock_plugin_api::FaultClass;

use crate::conformance::bench::Bench;
use crate::conformance::check::Check;
use crate::conformance::sample::Sample;
use crate::conformance::verdict::{Stop, Verdict, ensure};
use crate::x509::public_key_of;

use super::services::{ANSWERS, ask_around};

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "parallel.enroll",
        "sixteen threads each get certificates for their own keys",
        enroll,
    )
    .needs("enroll.issues")
    .after(&["certificate.readable", "certificate.key"])
    .issues(),
    Check::new(
        "parallel.everything",
        "all its methods can be called at once, from sixteen threads",
        everything,
    )
    .needs("life.opens")
    .after(ANSWERS),
];

/// What each of so many threads came back with.
pub(super) fn in_parallel<T: Send>(
    threads: usize,
    work: impl Fn(usize) -> Result<T, Stop> + Sync,
) -> Result<Vec<T>, Stop> {
    std::thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = (0..threads)
            .map(|number| scope.spawn(move || work(number)))
            .collect();
        let results = running.into_iter().map(|thread| {
            let lost = |_| Err(Stop::failed("a thread was lost"));
            thread.join().unwrap_or_else(lost)
        });
        results.collect()
    })
}

fn enroll(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    let each = bench.settings().rounds.div_ceil(16).max(1);
    let counts = in_parallel(16, |_| {
        let mut issued = 0;
        for _ in 0..each {
            let sample = Sample::new(&bench.settings().names)?;
            // A CA may have had enough for a moment; but what it gives must be right.
            match open.enroll(sample.request())? {
                Err(fault) if fault.class == FaultClass::Busy => continue,
                Err(fault) => return Err(Stop::fault("enroll", &fault)),
                Ok(certdock_plugin_api::Enrollment::Issued(chain)) => {
                    let key = chain
                        .certificates
                        .first()
                        .and_then(|der| public_key_of(der));
                    ensure(key.as_ref() == Some(&sample.public_key), || {
                        "a thread got the certificate of another".to_owned()
                    })?;
                }
                Ok(_) => {}
            }
            issued += 1;
        }
        Ok(issued)
    })?;
    let sum: u32 = counts.iter().sum();
    ensure(sum > 0, || "it was busy all the time".to_owned())?;
    Ok(format!("{sum} requests"))
}

fn everything(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    in_parallel(16, |_| (0..5).try_for_each(|_| ask_around(&open).map(drop)))?;
    open.close()?;
    Ok(String::new())
}
