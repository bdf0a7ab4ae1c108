//! What a CA sends of its own accord, or somebody who says so.

use certdock_plugin_api::{News, PushRequest};

use crate::conformance::bench::Bench;
use crate::conformance::calls::{Answer, ability};
use crate::conformance::check::Check;
use crate::conformance::sample::{FIXED_CSR, FOREIGN_CERTIFICATE};
use crate::conformance::verdict::{Verdict, ensure};

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "push.garbage",
        "what means nothing is refused, and is no certificate",
        garbage,
    )
    .needs("life.opens"),
    Check::new(
        "push.foreign",
        "a certificate of another CA is not taken for one of its own",
        foreign,
    )
    .needs("life.opens")
    .after(&["push.garbage"]),
];

/// A hint that some enrollment is worth a poll does no harm; a certificate would be delivered.
fn certifies(answer: &Answer<Vec<News>>) -> bool {
    let news = answer.as_ref().map(Vec::as_slice).unwrap_or_default();
    news.iter().any(|news| news.answer.is_some())
}

fn garbage(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    ability(open.provided.push, "push")?;
    let large = vec![b'x'; 1 << 20];
    for payload in [
        &b""[..],
        b"certdock-check",
        b"{}",
        b"{\"payload\":\"!\"}",
        b"\xff\xfe\x00",
        FIXED_CSR,
        &[0x30; 10_000],
        &large,
    ] {
        let mut request = PushRequest::new(payload);
        request
            .headers
            .insert("content-type".to_owned(), "certdock/check".to_owned());
        let answer = open.push(request)?;
        ensure(!certifies(&answer), || {
            let text: String = String::from_utf8_lossy(payload).chars().take(40).collect();
            format!("it takes for a CA's answer '{}'", text.escape_debug())
        })?;
    }
    Ok(String::new())
}

fn foreign(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    ability(open.provided.push, "push")?;
    let answer = open.push(PushRequest::new(FOREIGN_CERTIFICATE))?;
    ensure(!certifies(&answer), || {
        "it takes a certificate of another CA for one of its own; ask the CA before you believe what \
         was sent"
            .to_owned()
    })?;
    Ok(String::new())
}
