//! Finding out what became of an enrollment that was cut off.

use certdock_plugin_api::{RecoverRequest, Recovery};

use crate::conformance::bench::Bench;
use crate::conformance::calls::{ability, implemented};
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
    let chain = open.issue(&sample, bench.settings().patience)?;
    let request = RecoverRequest::new(sample.enrollment_id, sample.csr);
    match implemented("recover", open.recover(request)?)? {
        Recovery::Issued(found) => {
            let (Some(found), Some(issued)) =
                (found.certificates.first(), chain.certificates.first())
            else {
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
