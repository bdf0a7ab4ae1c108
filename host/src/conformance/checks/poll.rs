//! Certificates that take their time.

use std::time::{Duration, Instant};

use certdock_plugin_api::{Chain, EnrollRequest, Enrollment, Poll, PollRequest};
use serde_json::json;

use crate::conformance::bench::Bench;
use crate::conformance::calls::{Answer, Open, ability, implemented, may_pass, pause, unknown};
use crate::conformance::check::Check;
use crate::conformance::sample::{FIXED_CSR, Sample};
use crate::conformance::verdict::{Stop, Verdict, ensure};
use crate::x509::{Csr, public_key_of};

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
    has_key(&chain, &sample.public_key)
}

fn has_key(chain: &Chain, public_key: &[u8]) -> Verdict {
    let leaf = chain.certificates.first();
    let found = leaf.and_then(|der| public_key_of(der));
    ensure(found.as_deref() == Some(public_key), || {
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
    let found = follow(text("poll_id"), bench.settings().patience, |poll_id| {
        open.poll(PollRequest::new(text("id"), poll_id, csr.as_slice()))
    })?;
    let Some(chain) = found else {
        return Ok("it is still pending there".to_owned());
    };
    let csr = Csr::parse(&csr).map_err(|error| Stop::Skipped(error.to_string()))?;
    has_key(&chain, &csr.public_key)
}

/// What becomes of a poll id of a former process. `None`: it is known, and pending for as long as
/// anybody waits.
fn follow(
    poll_id: &str,
    patience: Duration,
    mut poll: impl FnMut(&str) -> Result<Answer<Poll>, Stop>,
) -> Result<Option<Chain>, Stop> {
    let mut poll_id = poll_id.to_owned();
    let mut known = false;
    let end = Instant::now() + patience;
    loop {
        let (retry_after, fault) = match poll(&poll_id)? {
            Ok(Poll::Issued(chain)) => return Ok(Some(chain)),
            Ok(Poll::Pending {
                poll_id: next,
                retry_after,
            }) => {
                known = true;
                if !next.is_empty() {
                    poll_id = next;
                }
                (retry_after, String::new())
            }
            Ok(Poll::Rejected { reason }) => return Err(lost(&format!("rejected ({reason})"))),
            Ok(_) => return Err(unknown("poll")),
            Err(fault) if may_pass(&fault) => (fault.retry_after, fault.to_string()),
            Err(fault) => return Err(lost(&format!("the fault {fault}"))),
        };
        let pause = pause(retry_after);
        if Instant::now() + pause < end {
            std::thread::sleep(pause);
        } else if known {
            return Ok(None);
        } else {
            return Err(Stop::Skipped(format!(
                "for {} seconds there was no answer but {fault}; check again, or give it more time with \
                 --patience",
                patience.as_secs_f32()
            )));
        }
    }
}

fn lost(answer: &str) -> Stop {
    Stop::Failed(format!(
        "in another process a poll id is answered with {answer}, and so an upgrade loses what is \
         pending; keep in the id, or in the host's state, all that is needed to find the request again"
    ))
}

#[cfg(test)]
mod tests {
    use certdock_plugin_api::Fault;

    use super::*;

    /// What is found with these answers, of which the last one stays.
    fn followed(answers: &[Result<Poll, Fault>]) -> Result<Option<Chain>, Stop> {
        let mut answers = answers.iter().peekable();
        follow("1", Duration::from_millis(200), move |_| {
            let answer = (*answers.peek().unwrap()).clone();
            if answers.len() > 1 {
                answers.next();
            }
            Ok(answer)
        })
    }

    #[test]
    fn a_poll_id_of_a_former_process_must_be_known() {
        let pending = || {
            Ok(Poll::Pending {
                poll_id: String::new(),
                retry_after: Some(Duration::ZERO),
            })
        };
        let rejected = || {
            Ok(Poll::Rejected {
                reason: "unknown id".to_owned(),
            })
        };
        let issued = || Ok(Poll::Issued(Chain::new(Vec::new())));
        let cut = || Err(Fault::unknown_outcome("cut off").retry_after(Duration::ZERO));
        let busy = || Err(Fault::busy("full").retry_after(Duration::ZERO));

        assert_eq!(followed(&[issued()]), Ok(Some(Chain::new(Vec::new()))));
        assert_eq!(
            followed(&[busy(), cut(), pending(), issued()]),
            Ok(Some(Chain::new(Vec::new())))
        );
        for known in [&[pending()][..], &[busy(), pending(), busy()]] {
            assert_eq!(followed(known), Ok(None), "{known:?}");
        }
        for lost in [
            &[rejected()][..],
            &[busy(), pending(), rejected()],
            &[Err(Fault::malformed("unknown id"))],
        ] {
            assert!(
                matches!(followed(lost), Err(Stop::Failed(why)) if why.contains("unknown id")),
                "{lost:?}"
            );
        }
        assert!(matches!(followed(&[busy()]), Err(Stop::Skipped(why)) if why.contains("full")));
    }

    #[test]
    fn the_next_poll_id_is_polled_with() {
        let mut asked = Vec::new();
        let found = follow("1", Duration::from_secs(9), |poll_id| {
            asked.push(poll_id.to_owned());
            Ok(Ok(match poll_id {
                "1" => Poll::Pending {
                    poll_id: "2".to_owned(),
                    retry_after: Some(Duration::ZERO),
                },
                _ => Poll::Issued(Chain::new(Vec::new())),
            }))
        });
        assert_eq!(found, Ok(Some(Chain::new(Vec::new()))));
        assert_eq!(asked, ["1", "2"]);
    }
}
