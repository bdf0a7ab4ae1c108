//! One enrollment id, one certificate: the promise `idempotent`.

use certdock_plugin_api::{EnrollRequest, Identifier};
use serde_json::json;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use crate::conformance::bench::Bench;
use crate::conformance::calls::{Open, ability};
use crate::conformance::check::Check;
use crate::conformance::sample::{Sample, enrollment_id};
use crate::conformance::verdict::{Stop, Verdict, ensure};

use super::parallel::in_parallel;

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "repeat.same-id",
        "asked again under one enrollment id, it gives the same certificate",
        same_id,
    )
    .needs("enroll.issues")
    .issues(),
    Check::new(
        "repeat.other-id",
        "under another enrollment id it gives another certificate",
        other_id,
    )
    .needs("enroll.issues")
    .after(&["certificate.readable"])
    .issues(),
    Check::new(
        "repeat.at-once",
        "asked by eight threads at once under one enrollment id, it makes one certificate",
        at_once,
    )
    .needs("repeat.same-id")
    .issues(),
    Check::new(
        "repeat.reopened",
        "it does so when it has been closed and opened in between",
        reopened,
    )
    .needs("repeat.same-id")
    .after(&["life.closes"])
    .issues(),
    Check::new(
        "repeat.restarted",
        "it does so in another process, after a crash",
        restarted,
    )
    .needs("repeat.same-id")
    .issues(),
];

fn open(bench: &Bench) -> Result<Open, Stop> {
    let open = bench.open()?;
    ability(open.provided.idempotent, "idempotent")?;
    Ok(open)
}

fn leaf(open: &Open, bench: &Bench, request: &EnrollRequest) -> Result<Vec<u8>, Stop> {
    let chain = open.issue_as(request, bench.settings().patience)?;
    let leaf = chain.certificates.into_iter().next();
    leaf.ok_or_else(|| Stop::failed("the chain is empty"))
}

/// A signature may differ from one time to the next, so what is compared is what was signed.
pub(super) fn same(first: &[u8], second: &[u8]) -> Result<(), Stop> {
    let content = |der| {
        let parsed = X509Certificate::from_der(der).ok();
        parsed.map(|(_, certificate)| certificate.tbs_certificate.as_ref().to_vec())
    };
    ensure(first == second || content(first) == content(second), || {
        "one enrollment id led to two certificates; remember what came of it, or hand the id to the \
         CA, or don't provide idempotent"
            .to_owned()
    })
}

fn same_id(bench: &Bench) -> Verdict {
    let open = open(bench)?;
    let request = Sample::new(&bench.settings().names)?.request();
    let first = leaf(&open, bench, &request)?;
    for _ in 0..3 {
        same(&first, &leaf(&open, bench, &request)?)?;
    }
    Ok(String::new())
}

fn other_id(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    let mut request = Sample::new(&bench.settings().names)?.request();
    let first = leaf(&open, bench, &request)?;
    request.enrollment_id = enrollment_id();
    let second = leaf(&open, bench, &request)?;
    ensure(first != second, || {
        "two enrollments with one key got the same certificate, so that revoking one revokes both"
            .to_owned()
    })?;
    Ok(String::new())
}

fn at_once(bench: &Bench) -> Verdict {
    let open = open(bench)?;
    let request = Sample::new(&bench.settings().names)?.request();
    let all = in_parallel(8, |_| leaf(&open, bench, &request))?;
    let first = all.first().cloned().unwrap_or_default();
    all.iter().try_for_each(|other| same(&first, other))?;
    Ok(String::new())
}

fn reopened(bench: &Bench) -> Verdict {
    let request = Sample::new(&bench.settings().names)?.request();
    let open = open(bench)?;
    let first = leaf(&open, bench, &request)?;
    open.close()?;
    same(&first, &leaf(&bench.open()?, bench, &request)?)?;
    Ok(String::new())
}

fn restarted(bench: &Bench) -> Verdict {
    let open = open(bench)?;
    let Some(memo) = &bench.job.memo else {
        let sample = Sample::new(&bench.settings().names)?;
        let request = sample.request();
        let first = leaf(&open, bench, &request)?;
        return Err(Stop::Again(json!({
            "state": bench.host.save_state(),
            "id": request.enrollment_id,
            "csr": request.csr,
            "requested_at": crate::time::UnixTime::from(request.requested_at),
            "certificate": first,
        })));
    };
    bench.host.restore_state(&memo["state"]);
    let bytes = |name: &str| serde_json::from_value::<Vec<u8>>(memo[name].clone());
    let names = Sample::new(&bench.settings().names)?.request().identifiers;
    let (Ok(csr), Ok(certificate)) = (bytes("csr"), bytes("certificate")) else {
        return Err(Stop::skipped("the first process left nothing"));
    };
    same(
        &certificate,
        &leaf(&open, bench, &repeated(memo, csr, names)?)?,
    )?;
    Ok(String::new())
}

fn repeated(
    memo: &serde_json::Value,
    csr: Vec<u8>,
    names: Vec<Identifier>,
) -> Result<EnrollRequest, Stop> {
    let mut request = EnrollRequest::new(memo["id"].as_str().unwrap_or_default(), csr, names);
    let at: crate::time::UnixTime = serde_json::from_value(memo["requested_at"].clone())
        .map_err(|error| Stop::Skipped(error.to_string()))?;
    request.requested_at = at.into();
    Ok(request)
}
