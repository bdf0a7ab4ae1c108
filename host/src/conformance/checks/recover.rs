//! Finding out what became of an enrollment that was cut off.

use certdock_plugin_api::{RecoverRequest, Recovery};
use serde_json::json;

use crate::conformance::bench::Bench;
use crate::conformance::calls::{Open, ability, implemented};
use crate::conformance::check::Check;
use crate::conformance::sample::{FIXED_CSR, Sample, enrollment_id};
use crate::conformance::verdict::{Stop, Verdict};

use super::repeat::same;

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "recover.unknown",
        "of an enrollment that never was it says so",
        unknown,
    )
    .needs("life.opens"),
    Check::new(
        "recover.finds",
        "it finds what it issued by the enrollment id, the same certificate",
        finds,
    )
    .needs("enroll.issues")
    .after(&["recover.unknown"])
    .issues(),
    Check::new(
        "recover.restarted",
        "it does so in another process, after a crash",
        restarted,
    )
    .needs("enroll.issues")
    .after(&["recover.unknown", "recover.finds"])
    .issues(),
];

fn unknown(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    ability(open.provided.recover, "recover")?;
    let request = RecoverRequest::new(enrollment_id(), FIXED_CSR);
    match implemented("recover", open.recover(request)?)? {
        Recovery::NotFound => Ok(String::new()),
        other => Err(Stop::Failed(format!(
            "asked for an enrollment that never was, it answers {}",
            word(&other)
        ))),
    }
}

fn finds(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    ability(open.provided.recover, "recover")?;
    let sample = Sample::new(&bench.settings().names)?;
    let leaf = issue(&open, &sample, bench)?;
    find(&open, &sample.enrollment_id, &sample.csr, &leaf)
}

fn restarted(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    ability(open.provided.recover, "recover")?;
    let Some(memo) = &bench.job.memo else {
        let sample = Sample::new(&bench.settings().names)?;
        let leaf = issue(&open, &sample, bench)?;
        return Err(Stop::Again(json!({
            "state": bench.host.save_state(),
            "id": sample.enrollment_id,
            "csr": sample.csr,
            "certificate": leaf,
        })));
    };
    bench.host.restore_state(&memo["state"]);
    let bytes = |name: &str| serde_json::from_value::<Vec<u8>>(memo[name].clone());
    let (Ok(csr), Ok(leaf)) = (bytes("csr"), bytes("certificate")) else {
        return Err(Stop::skipped("the first process left nothing"));
    };
    find(&open, memo["id"].as_str().unwrap_or_default(), &csr, &leaf)
}

/// A certificate, DER.
fn issue(open: &Open, sample: &Sample, bench: &Bench) -> Result<Vec<u8>, Stop> {
    let chain = open.issue(sample, bench.settings().patience)?;
    let leaf = chain.certificates.into_iter().next();
    leaf.ok_or_else(|| Stop::failed("the chain is empty"))
}

/// Asks for what was issued.
fn find(open: &Open, enrollment_id: &str, csr: &[u8], issued: &[u8]) -> Verdict {
    let request = RecoverRequest::new(enrollment_id, csr);
    match implemented("recover", open.recover(request)?)? {
        Recovery::Issued(found) => {
            let Some(found) = found.certificates.first() else {
                return Err(Stop::failed("the chain is empty"));
            };
            same(issued, found)?;
            Ok(String::new())
        }
        other => Err(Stop::Failed(format!(
            "it issued, and asked what became of that it answers {}; the server would ask for a second \
             certificate",
            word(&other)
        ))),
    }
}

fn word(recovery: &Recovery) -> &'static str {
    match recovery {
        Recovery::Issued(_) => "issued",
        Recovery::Pending { .. } => "pending",
        Recovery::Rejected { .. } => "rejected",
        Recovery::NotFound => "not found",
        _ => "something that this certdock does not know",
    }
}
