//! The CA's own certificates, and its health.

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use crate::conformance::bench::Bench;
use crate::conformance::calls::{ability, implemented};
use crate::conformance::check::Check;
use crate::conformance::verdict::{Stop, Verdict, ensure};
use crate::time::UnixTime;
use crate::x509::VerifiedIssuers;

pub(super) const CHECKS: &[Check] = &[
    Check::new("ca.answers", "the CA's certificates can be had", answers).needs("life.opens"),
    Check::new(
        "ca.readable",
        "each of them is a certificate of a CA",
        readable,
    )
    .needs("ca.answers"),
    Check::new(
        "ca.order",
        "the issuing CA comes first, and each was certified by the next",
        order,
    )
    .needs("ca.readable"),
    Check::new("ca.valid", "all of them are valid today", valid).needs("ca.readable"),
    Check::new("ca.steady", "asked again, they are the same", steady).needs("ca.answers"),
    Check::new("ca.health", "asked after its health, it answers", health).needs("life.opens"),
];

fn certificates(bench: &Bench) -> Result<Vec<Vec<u8>>, Stop> {
    bench.open()?.ca_certs()
}

fn answers(bench: &Bench) -> Verdict {
    Ok(format!("{} certificates", certificates(bench)?.len()))
}

fn parse(number: usize, der: &[u8]) -> Result<X509Certificate<'_>, Stop> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(Stop::Failed(format!(
            "number {number} of the CA's certificates is no certificate in DER"
        ))),
    }
}

fn readable(bench: &Bench) -> Verdict {
    for (number, der) in (1..).zip(&certificates(bench)?) {
        let certificate = parse(number, der)?;
        ensure(certificate.is_ca(), || {
            let subject = certificate.subject();
            format!("number {number} of the CA's certificates is no CA's: {subject}")
        })?;
    }
    Ok(String::new())
}

fn order(bench: &Bench) -> Verdict {
    let certificates = certificates(bench)?;
    VerifiedIssuers::default()
        .check(&certificates)
        .map_err(|error| Stop::Failed(format!("the CA's certificates are no chain: {error}")))?;
    Ok(String::new())
}

fn valid(bench: &Bench) -> Verdict {
    let now = UnixTime::now().as_secs();
    for (number, der) in (1..).zip(&certificates(bench)?) {
        let certificate = parse(number, der)?;
        let validity = certificate.validity();
        let (from, to) = (
            validity.not_before.timestamp(),
            validity.not_after.timestamp(),
        );
        ensure(from <= now && now <= to, || {
            let (from, to) = (UnixTime::from_secs(from), UnixTime::from_secs(to));
            format!(
                "number {number} of the CA's certificates is valid from {from} to {to}, not now"
            )
        })?;
    }
    Ok(String::new())
}

fn steady(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    let first = open.ca_certs()?;
    for _ in 0..20 {
        ensure(open.ca_certs()? == first, || {
            "they change from call to call".to_owned()
        })?;
    }
    Ok(String::new())
}

fn health(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    ability(open.provided.health, "health")?;
    match implemented("health", open.health()?) {
        Ok(()) => Ok("it is well".to_owned()),
        Err(Stop::Failed(unwell)) => Ok(unwell),
        Err(other) => Err(other),
    }
}
