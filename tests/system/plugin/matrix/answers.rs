//! What comes of each answer that is not what it should be.

use certdock_tests::World;

use super::isolation::{Ends, ISSUED, assert_told};

/// A fault, and what comes of it.
struct Answer {
    fault: &'static str,
    /// How the call of `enroll` ended, in the metrics.
    call: &'static str,
    /// What the end of the order says to the client.
    order: &'static [&'static str],
    /// Why the certificate is kept back, as the log says.
    withheld: Option<&'static str>,
}

const fn answer(
    fault: &'static str,
    call: &'static str,
    order: &'static [&'static str],
    withheld: Option<&'static str>,
) -> Answer {
    Answer {
        fault,
        call,
        order,
        withheld,
    }
}

const INVALID: &str = "\"status\":\"invalid\"";
const OTHER: &[&str] = &["not what was asked for", "serverInternal", INVALID];
const UNFIT: &[&str] = &["an answer that can't be used", "serverInternal", INVALID];

#[rustfmt::skip]
const ANSWERS: &[Answer] = &[
    // It is not bad at all.
    answer("own-runtime", "ok", &[ISSUED], None),
    // It is asked only once.
    answer("forgetful", "ok", &[ISSUED], None),
    // It is asked by the process that issued.
    answer("forgets-polls", "ok", &[ISSUED], None),
    answer("forgets-recoveries", "ok", &[ISSUED], None),
    // A worker process may not take the descriptors.
    answer("scribbles", "ok", &[ISSUED], None),
    answer("other-key", "ok", OTHER, Some("the certificate's key is not the request's")),
    answer("other-names", "ok", OTHER, Some("the certificate has the wrong names")),
    answer("expired", "ok", OTHER, Some("which is not now")),
    answer("broken-chain", "ok", OTHER, Some("certificate 1 of the chain was not issued by the one after it")),
    answer("garbage", "ok", OTHER, Some("certificate 1 of the chain can't be read")),
    answer("no-certificate", "internal", UNFIT, None),
    answer("huge-poll-id", "internal", UNFIT, None),
    answer("detail", "denied", &["much ado about nothing", "rejectedIdentifier", INVALID], None),
    answer("invalid-utf8", "denied", &["these are \u{fffd}", "\u{fffd} no letters\u{fffd}", "rejectedIdentifier", INVALID], None),
];

/// A client is told no more than this, however much the plugin says.
const LONGEST: usize = 4096;

/// Of each order of this fault came what is to come of it.
pub(super) fn assert_answered(world: &World, ends: &Ends, fault: &str) {
    let answer = ANSWERS.iter().find(|answer| answer.fault == fault);
    let answer = answer.unwrap_or_else(|| panic!("what becomes of {fault}?"));
    assert_told(world, fault, "enroll", answer.call);
    assert_eq!(ends[fault].len(), 2);
    for end in &ends[fault] {
        for says in answer.order {
            assert!(end.contains(says), "{fault}: no {says:?} in {end}");
        }
        assert!(end.len() < LONGEST, "{fault}: {} bytes", end.len());
    }
    let handler = format!("handler={fault} ");
    let log = world.server.log();
    let withheld = |line: &&str| line.contains("certificate-withheld") && line.contains(&handler);
    let withheld: Vec<_> = log.lines().filter(withheld).collect();
    match answer.withheld {
        None => assert!(withheld.is_empty(), "{withheld:?}"),
        Some(reason) => {
            assert_eq!(withheld.len(), 2, "{fault}: {withheld:?}");
            let all = withheld.iter().all(|line| line.contains(reason));
            assert!(all, "{fault}: no {reason:?} in {withheld:?}");
        }
    }
}
