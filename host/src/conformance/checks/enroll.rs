//! Asking for a certificate: the plain case, and requests that nobody can grant.

use std::time::{Duration, Instant, SystemTime};

use certdock_plugin_api::{EnrollRequest, Enrollment, Fault, Identifier};

use crate::conformance::bench::Bench;
use crate::conformance::calls::Open;
use crate::conformance::check::Check;
use crate::conformance::sample::{FIXED_CSR, Sample, enrollment_id};
use crate::conformance::verdict::{Stop, Verdict, ensure};

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "enroll.answers",
        "asked for a certificate, it answers in time and without a panic",
        answers,
    )
    .needs("life.opens")
    .issues(),
    Check::new("enroll.issues", "it issues a certificate", issues)
        .needs("enroll.answers")
        .issues(),
    Check::new(
        "enroll.deadline",
        "a call whose deadline has passed ends soon",
        deadline,
    )
    .needs("enroll.answers")
    .issues(),
    Check::new(
        "enroll.garbage",
        "what is no certificate request is refused, not retried and not issued",
        garbage,
    )
    .needs("enroll.answers")
    .issues(),
    Check::new(
        "enroll.large",
        "a request of hundreds of kilobytes is answered",
        large,
    )
    .needs("enroll.answers")
    .issues(),
    Check::new(
        "enroll.no-names",
        "a request for no name at all is answered",
        no_names,
    )
    .needs("enroll.answers")
    .issues(),
    Check::new(
        "enroll.odd-names",
        "kinds of names that it does not know, and texts that are no names, are answered",
        odd_names,
    )
    .needs("enroll.answers")
    .after(&["ca.answers"])
    .issues(),
];

fn answers(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    Ok(
        match open.enroll(Sample::new(&bench.settings().names)?.request())? {
            Ok(Enrollment::Issued(_)) => "issued".to_owned(),
            Ok(_) => "pending".to_owned(),
            Err(fault) => fault.to_string(),
        },
    )
}

fn issues(bench: &Bench) -> Verdict {
    let sample = Sample::new(&bench.settings().names)?;
    let chain = bench.open()?.issue(&sample, bench.settings().patience)?;
    ensure(!chain.certificates.is_empty(), || {
        "the chain is empty".to_owned()
    })?;
    Ok(format!("for {}", bench.settings().names.join(", ")))
}

/// Nobody waits for the answer any more, so a handler may give up at once or finish what it began.
fn deadline(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    let mut request = Sample::new(&bench.settings().names)?.request();
    for before in [Duration::ZERO, Duration::from_secs(60)] {
        request.enrollment_id = enrollment_id();
        request.deadline = SystemTime::now() - before;
        let asked = request.clone();
        let started = Instant::now();
        let _ = open.call("enroll", move |instance| instance.enroll(&asked))?;
        // What a handler without a deadline of its own takes for a request is known by now.
        ensure(started.elapsed() < open.deadline, || {
            format!(
                "a call whose deadline had passed took {} seconds",
                started.elapsed().as_secs()
            )
        })?;
    }
    Ok(String::new())
}

fn request(csr: impl Into<Vec<u8>>, names: Vec<Identifier>) -> EnrollRequest {
    EnrollRequest::new(enrollment_id(), csr, names)
}

fn garbage(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    let names = || vec![Identifier::Dns("check.certdock.example".to_owned())];
    let half = FIXED_CSR.get(..FIXED_CSR.len() / 2).unwrap_or_default();
    let more = [FIXED_CSR, b"more"].concat();
    let cases: [(&str, &[u8]); 9] = [
        ("no bytes", b""),
        ("one byte", b"\x30"),
        ("an endless length", b"\x30\x84\xff\xff\xff\xff"),
        ("an indefinite length", b"\x30\x80\x30\x80"),
        ("half a request", half),
        ("a request with bytes after it", &more),
        ("text", b"-----BEGIN CERTIFICATE REQUEST-----\n"),
        ("zeros", &[0; 1000]),
        ("nested sequences", &[0x30; 10_000]),
    ];
    for (what, csr) in cases {
        match open.enroll(request(csr, names()))? {
            Err(fault) => refused(what, &fault)?,
            // A CA may read over what follows; that is its own affair.
            Ok(_) if csr == more => {}
            Ok(Enrollment::Issued(_)) => {
                return Err(Stop::Failed(format!("it issues a certificate for {what}")));
            }
            Ok(_) => return Err(Stop::Failed(format!("it is pending for {what}"))),
        }
    }
    Ok(format!("{} kinds", cases.len()))
}

/// Garbage stays garbage, so a fault that says that it may be better next time is wrong.
fn refused(what: &str, fault: &Fault) -> Result<(), Stop> {
    ensure(!fault.class.is_transient(), || {
        format!(
            "for {what} it says that the same may succeed later ({fault}); say `Fault::malformed`"
        )
    })
}

fn large(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    let names = many_names(&bench.settings().names, 500);
    let sample = Sample::new(&names)?;
    let answer = open.enroll(sample.request())?;
    let size = sample.csr.len();
    let padded = [FIXED_CSR, &vec![0; 300_000]].concat();
    let _ = open.enroll(request(padded, Vec::new()))?;
    Ok(match answer {
        Ok(_) => format!("taken: {} names in {size} bytes", names.len()),
        Err(fault) => format!("refused: {fault}"),
    })
}

fn many_names(names: &[String], count: usize) -> Vec<String> {
    let first = names
        .first()
        .map_or("check.certdock.example", String::as_str);
    (0..count)
        .map(|number| format!("n{number}.{}", first.trim_start_matches("*.")))
        .collect()
}

fn no_names(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    let answer = open.enroll(request(FIXED_CSR, Vec::new()))?;
    Ok(match answer {
        Ok(_) => "taken".to_owned(),
        Err(fault) => format!("refused: {fault}"),
    })
}

fn odd_names(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    let sample = Sample::new(&bench.settings().names)?;
    for identifier in odd_identifiers() {
        let mut request = sample.request();
        request.enrollment_id = enrollment_id();
        request.identifiers = vec![identifier.clone()];
        if let Err(fault) = open.enroll(request)? {
            refused(&format!("{identifier:?}"), &fault)?;
        }
    }
    still_works(&open)?;
    Ok(String::new())
}

fn odd_identifiers() -> Vec<Identifier> {
    let other = |kind: &str, value: &str| Identifier::Other {
        kind: kind.to_owned(),
        value: value.to_owned(),
    };
    vec![
        other("certdock-check", "x"),
        other("", ""),
        other("email", "\u{0}"),
        Identifier::Dns(String::new()),
        Identifier::Dns("..".to_owned()),
        Identifier::Dns("\u{202e}é ü".to_owned()),
        Identifier::Dns("a.".repeat(10_000)),
        Identifier::Ip([0, 0, 0, 0].into()),
        Identifier::Ip([0; 16].into()),
    ]
}

fn still_works(open: &Open) -> Result<(), Stop> {
    open.ca_certs_get().map(drop)
}
