//! A CA that fails at run time: what the client is told, what the log says, and that nothing is lost.

use certdock_tests::certificate::check_chain;
use certdock_tests::certifier::{Call, Fault, FaultKind};

use super::start;

/// What passes by itself: the order waits, and ends well.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_pass_is_tried_again() {
    let setup = start("", |_, _| {}).await;
    let passing = [
        (Call::Enroll, FaultKind::Status(500)),
        (Call::Enroll, FaultKind::Status(503)),
        (Call::Cas, FaultKind::CutBefore),
        (Call::Cas, FaultKind::HtmlBefore),
    ];
    for (number, (call, kind)) in passing.into_iter().enumerate() {
        setup.simulator.add_fault(Fault::once(call, kind));
        let name = format!("passing-{number}.test");
        let mut order = setup.finalize(&name).await;
        assert_eq!(order.answer.status, 200, "{}", order.answer.text());
        check_chain(&order.chain().await, &[&name]);
    }
    let log = setup.world.server.log();
    assert!(
        log.contains("requesting a certificate: 500"),
        "the CA's words are logged"
    );
    assert!(
        log.contains("This fault was asked for"),
        "the CA's words are logged"
    );
    assert_eq!(setup.simulator.counts().issued, 4);
}

/// What does not pass ends the order, with the CA's reason where it is for the client.
#[tokio::test(flavor = "multi_thread")]
async fn what_will_not_pass_ends_the_order() {
    let setup = start("", |_, options| options.allow_empty_subject = false).await;
    let order = setup.finalize("subject.test").await;
    assert_eq!(order.problem(), "badCSR", "{}", order.answer.text());
    assert!(order.answer.text().contains("subject name is missing"));
    let final_ones = [(401, "serverInternal"), (403, "rejectedIdentifier")];
    for (status, problem) in final_ones {
        let fault = Fault::once(Call::Enroll, FaultKind::Status(status));
        setup.simulator.add_fault(fault);
        let order = setup.finalize(&format!("final-{status}.test")).await;
        assert_eq!(order.problem(), problem, "{}", order.answer.text());
    }
    assert_eq!(setup.simulator.counts().issued, 0);
}

/// Nobody knows whether it was issued, so it is not asked for again behind anybody's back.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_answered_is_not_repeated_in_silence() {
    let setup = start("", |_, _| {}).await;
    let kinds = [
        FaultKind::CutBefore,
        FaultKind::CutAfter,
        FaultKind::HtmlAfter,
        FaultKind::Status(502),
    ];
    for (number, kind) in kinds.into_iter().enumerate() {
        setup.simulator.add_fault(Fault::once(Call::Enroll, kind));
        let order = setup.finalize(&format!("unknown-{number}.test")).await;
        let json = order.answer.json();
        assert_eq!(json["status"], "processing", "{kind:?}: {json}");
    }
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let counts = setup.simulator.counts();
    assert_eq!((counts.faults, counts.issued), (4, 2), "{counts:?}");
    assert!(setup.world.server.log().contains("unknown-outcome"));
}
