//! What goes wrong at the CA, and whose fault it is.

use std::time::Duration;

use certdock_plugin_api::testing::poll_request;
use certdock_plugin_api::{CaHandler as _, FaultClass, RevocationReason, RevokeRequest};
use certdock_tests::certifier::{Call, Fault, FaultKind, Mode};

use crate::support::{PASSWORD, start};

const HANG: Duration = Duration::from_secs(30);

/// What a fault on the call for a certificate means, and how many certificates it leaves.
const ENROLL: &[(FaultKind, FaultClass, u64)] = &[
    (FaultKind::Status(500), FaultClass::Upstream, 0),
    (FaultKind::Status(503), FaultClass::Busy, 0),
    (FaultKind::Status(429), FaultClass::Busy, 0),
    (FaultKind::Status(401), FaultClass::Misconfigured, 0),
    (FaultKind::Status(403), FaultClass::Denied, 0),
    (FaultKind::Status(302), FaultClass::Misconfigured, 0),
    // A gateway that says nothing of what was behind it.
    (FaultKind::Status(502), FaultClass::UnknownOutcome, 0),
    (FaultKind::Status(504), FaultClass::UnknownOutcome, 0),
    (FaultKind::CutBefore, FaultClass::UnknownOutcome, 0),
    (FaultKind::CutAfter, FaultClass::UnknownOutcome, 1),
    (FaultKind::HangBefore(HANG), FaultClass::UnknownOutcome, 0),
    (FaultKind::HangAfter(HANG), FaultClass::UnknownOutcome, 1),
    (FaultKind::HtmlBefore, FaultClass::UnknownOutcome, 0),
    (FaultKind::HtmlAfter, FaultClass::UnknownOutcome, 1),
];

#[test]
fn a_request_that_was_not_answered_is_told_from_one_that_was_refused() {
    let pair = start(|_| {});
    pair.issued();
    for (kind, class, issued) in ENROLL {
        let before = pair.simulator.counts();
        pair.simulator.add_fault(Fault::once(Call::Enroll, *kind));
        let fault = pair.enroll().unwrap_err();
        assert_eq!(fault.class, *class, "{kind:?}: {fault}");
        let call = fault.private.starts_with("requesting a certificate: ");
        assert!(call, "{kind:?}: {fault}");
        let after = pair.simulator.counts();
        assert_eq!(after.issued - before.issued, *issued, "{kind:?}");
        assert_eq!(after.faults - before.faults, 1, "{kind:?}: called once");
    }
    pair.issued();
}

#[test]
fn questions_are_never_of_unknown_outcome() {
    let pair = start(|options| options.mode = Mode::Manual);
    let poll_id = pair.pending();
    let kinds = [
        (FaultKind::Status(500), FaultClass::Upstream),
        (FaultKind::Status(503), FaultClass::Busy),
        (FaultKind::Status(502), FaultClass::Upstream),
        (FaultKind::Status(404), FaultClass::Upstream),
        (FaultKind::CutBefore, FaultClass::Upstream),
        (FaultKind::HangBefore(HANG), FaultClass::Upstream),
        (FaultKind::HtmlBefore, FaultClass::Upstream),
    ];
    for (kind, class) in kinds {
        pair.simulator.add_fault(Fault::once(Call::Request, kind));
        let fault = pair.handler.poll(&poll_request(&poll_id)).unwrap_err();
        assert_eq!(fault.class, class, "{kind:?}: {fault}");
        let call = fault.private.starts_with("reading a request: ");
        assert!(call, "{kind:?}: {fault}");
        pair.simulator.add_fault(Fault::once(Call::Cas, kind));
        let fault = pair.handler.health().unwrap_err();
        assert_eq!(fault.class, class, "{kind:?}: {fault}");
    }
    assert_eq!(pair.handler.health(), Ok(()));
    pair.handler.poll(&poll_request(&poll_id)).unwrap();
}

#[test]
fn a_certificate_whose_chain_is_out_of_reach_is_not_lost() {
    let pair = start(|options| options.mode = Mode::Manual);
    let poll_id = pair.pending();
    pair.simulator.approve(&pair.simulator.pending()[0]);
    let lost = Fault::once(Call::Certificates, FaultKind::CutBefore);
    pair.simulator.add_fault(lost);
    let fault = pair.handler.poll(&poll_request(&poll_id)).unwrap_err();
    assert_eq!(fault.class, FaultClass::Upstream);
    pair.handler.poll(&poll_request(&poll_id)).unwrap();
    assert_eq!(pair.simulator.counts().issued, 1);
}

#[test]
fn a_ca_that_is_down_has_heard_nothing() {
    let pair = start(|_| {});
    let leaf = pair.issued().certificates.swap_remove(0);
    drop(pair.simulator);
    // Connections that were kept may still be open on this side.
    std::thread::sleep(Duration::from_millis(100));
    let request = certdock_plugin_api::testing::enroll_request();
    let fault = pair.handler.enroll(&request).unwrap_err();
    assert_eq!(fault.class, FaultClass::Upstream, "{fault}");
    let request = RevokeRequest::new(leaf, RevocationReason::Unspecified);
    let fault = pair.handler.revoke(&request).unwrap_err();
    assert_eq!(fault.class, FaultClass::Upstream, "{fault}");
    assert!(!fault.public.contains("127.0.0.1"), "{fault}");
}

#[test]
fn the_log_tells_every_call_and_no_secret() {
    use base64::Engine as _;
    let pair = start(|_| {});
    pair.issued();
    let lines = pair.host.lines();
    let sent = |line: &&certdock_plugin_api::testing::Line| {
        line.fields
            .get("sent")
            .is_some_and(|sent| sent.starts_with("POST /v1/requests"))
    };
    let line = lines.iter().find(sent).expect("the request is logged");
    assert!(line.fields["sent"].contains("pkcs10"), "{line:?}");
    assert!(line.fields["received"].starts_with("200 OK"), "{line:?}");
    let all = format!("{lines:?}");
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("certdock:{PASSWORD}"));
    assert!(!all.contains(PASSWORD) && !all.contains(&pair));
}
