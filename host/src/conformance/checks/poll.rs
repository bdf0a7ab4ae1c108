//! Certificates that take their time.

use std::time::Duration;

use certdock_plugin_api::{EnrollRequest, Enrollment, Poll, PollRequest};
use serde_json::json;

use crate::conformance::bench::Bench;
use crate::conformance::calls::{Open, ability, implemented};
use crate::conformance::check::Check;
use crate::conformance::sample::{FIXED_CSR, Sample};
use crate::conformance::verdict::{Stop, Verdict, ensure};
use crate::x509::public_key_of;

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "poll.unknown-ids",
        "poll ids that it never gave are answered with a fault, not with a certificate",
        unknown_ids,
    )
    .needs("life.opens"),
    Check::new(
        "poll.short-id",
        "what it answers while a certificate is pending can be kept: an id, not empty, not too long",
        short_id,
    )
    .needs("enroll.answers")
    .after(&["poll.unknown-ids"])
    .issues(),
    Check::new(
        "poll.round-trip",
        "a pending certificate can be polled for until it is there, and is the right one",
        round_trip,
    )
    .needs("enroll.answers")
    .after(&["poll.unknown-ids", "poll.short-id"])
    .issues(),
    Check::new(
        "poll.restarted",
        "a poll id is good in another process, too",
        restarted,
    )
    .needs("enroll.answers")
    .after(&["poll.unknown-ids", "poll.short-id"])
    .issues(),
];

fn unknown_ids(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    ability(open.provided.poll, "poll")?;
    let long = "9".repeat(64 * 1024);
    for id in [
        "",
        " ",
        "certdock-check",
        "\u{0}",
        "0 /../../x",
        "-1",
        "\u{202e}é",
        "%s%n",
        &long,
    ] {
        if let Ok(Poll::Issued(_)) = open.poll(PollRequest::new("check", id, FIXED_CSR))? {
            let id: String = id.chars().take(40).collect();
            return Err(Stop::Failed(format!(
                "it issues for the poll id '{}'",
                id.escape_debug()
            )));
        }
    }
    Ok(String::new())
}

/// A pending enrollment, if this CA has such.
fn pending(open: &Open, request: &EnrollRequest) -> Result<(String, Option<Duration>), Stop> {
    ability(open.provided.poll, "poll")?;
    match implemented("enroll", open.enroll(request.clone())?)? {
        Enrollment::Pending {
            poll_id,
            retry_after,
        } => Ok((poll_id, retry_after)),
        _ => Err(Stop::skipped(
            "the CA issued at once; let it take its time (an approval, say) and check again",
        )),
    }
}

fn short_id(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    let (poll_id, retry_after) = pending(&open, &Sample::new(&bench.settings().names)?.request())?;
    ensure(!poll_id.is_empty(), || {
        "it answers with pending and an empty poll id; give it something to poll with".to_owned()
    })?;
    let day = Duration::from_secs(86_400);
    ensure(retry_after.is_none_or(|wait| wait <= day), || {
        "it wants to be polled in more than a day".to_owned()
    })?;
    Ok(format!("{} bytes", poll_id.len()))
}

fn round_trip(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    let sample = Sample::new(&bench.settings().names)?;
    let request = sample.request();
    let (poll_id, retry_after) = pending(&open, &request)?;
    let chain = open.wait(&request, poll_id, retry_after, bench.settings().patience)?;
    let key = chain
        .certificates
        .first()
        .and_then(|der| public_key_of(der));
    ensure(key == Some(sample.public_key), || {
        "the certificate that was polled for has another key".to_owned()
    })?;
    Ok(String::new())
}

fn restarted(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    let Some(memo) = &bench.job.memo else {
        let request = Sample::new(&bench.settings().names)?.request();
        let (poll_id, _) = pending(&open, &request)?;
        return Err(Stop::Again(json!({
            "state": bench.host.save_state(),
            "id": request.enrollment_id,
            "csr": request.csr,
            "poll_id": poll_id,
        })));
    };
    bench.host.restore_state(&memo["state"]);
    let text = |name: &str| memo[name].as_str().unwrap_or_default();
    let csr: Vec<u8> = serde_json::from_value(memo["csr"].clone()).unwrap_or_default();
    match open.poll(PollRequest::new(text("id"), text("poll_id"), csr))? {
        Ok(_) => Ok(String::new()),
        Err(fault) if fault.class.is_transient() => Ok(fault.to_string()),
        Err(fault) => Err(Stop::Failed(format!(
            "a poll id of a former process is no longer good: {fault}; keep in it, or in the host's \
             state, all that is needed to find the request again"
        ))),
    }
}
