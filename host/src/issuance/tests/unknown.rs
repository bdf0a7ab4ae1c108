//! Calls of which nobody knows what became of them.

use super::*;
use crate::issuance::NotWaiting;

fn cut_off() -> Result<Answer, Fault> {
    Err(Fault::unknown_outcome("the answer did not arrive"))
}

fn retry() -> Patience {
    Patience {
        on_unknown: OnUnknown::Retry,
        ..Patience::default()
    }
}

fn calls(bench: &Bench) -> usize {
    bench.ca.enroll_calls.load(Ordering::SeqCst)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unknown_is_held_until_an_operator_decides() {
    let bench = bench(ScriptedCa::new()).await;
    let (again, given_up) = (bench.order().await, bench.order().await);
    for order in [again, given_up] {
        bench.ca.enrolls.lock().push_back(cut_off());
        let outcome = bench.issuance.enroll(bench.request(order)).await.unwrap();
        assert!(matches!(outcome, Outcome::Processing { .. }), "{outcome:?}");
        let held = bench.enrollment(order).await;
        assert_eq!(held.state, EnrollmentState::Held);
        assert!(held.waiting.unwrap().reason.contains("unknown whether"));
    }
    // The poller leaves it alone.
    bench.until(async || true).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(calls(&bench), 2);

    let id = bench.enrollment(given_up).await.id;
    bench.issuance.cancel(id).await.unwrap();
    let Progress::Invalid { failure, .. } = bench.progress(given_up).await else {
        panic!("not cancelled")
    };
    assert!(failure.detail.contains("cancelled"), "{failure:?}");
    let twice = bench.issuance.cancel(id).await.unwrap_err();
    assert!(matches!(twice, NotWaiting::Ended), "{twice}");
    let twice = bench.issuance.retry(id).await.unwrap_err();
    assert!(matches!(twice, NotWaiting::Ended), "{twice}");

    let id = bench.enrollment(again).await.id;
    bench.issuance.retry(id).await.unwrap();
    assert!(matches!(bench.ended(again).await, Progress::Valid { .. }));
    assert_eq!(calls(&bench), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unknown_is_asked_again_if_so_configured() {
    let bench = bench_with(ScriptedCa::new(), retry()).await;
    bench.ca.enrolls.lock().push_back(cut_off());
    let order = bench.order().await;
    bench.issuance.enroll(bench.request(order)).await.unwrap();
    assert!(bench.enrollment(order).await.doubtful);
    assert!(matches!(bench.ended(order).await, Progress::Valid { .. }));
    assert_eq!(calls(&bench), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_recovered_is_not_asked_again() {
    for found in [true, false] {
        let mut ca = ScriptedCa::new();
        ca.recover = true;
        let bench = bench(ca).await;
        let order = bench.order().await;
        let request = bench.request(order);
        bench.ca.enrolls.lock().push_back(cut_off());
        bench
            .ca
            .recoveries
            .lock()
            .push_back(Err(Fault::upstream("down")));
        if found {
            let chain = bench.ca.issue(&request.csr);
            bench
                .ca
                .recoveries
                .lock()
                .push_back(Ok(Recovery::Issued(chain)));
        }
        bench.issuance.enroll(request).await.unwrap();
        assert_eq!(
            bench.enrollment(order).await.state,
            EnrollmentState::Requested
        );
        assert!(matches!(bench.ended(order).await, Progress::Valid { .. }));
        assert_eq!(calls(&bench), if found { 1 } else { 2 });
    }
}

/// The last panic's call takes the handler out of service before its outcome is judged.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_that_ends_in_quarantine_is_asked_again_like_any_other() {
    const PANICS: usize = 5;
    for recover in [true, false] {
        let mut ca = ScriptedCa::new();
        (ca.recover, ca.idempotent) = (recover, !recover);
        let bench = bench(ca).await;
        let panicked = || Err(Fault::new(FaultClass::Panicked, "on purpose"));
        let script = std::iter::repeat_with(panicked).take(PANICS);
        bench.ca.enrolls.lock().extend(script);
        let mut orders = Vec::new();
        for _ in 0..PANICS {
            let order = bench.order().await;
            bench.issuance.enroll(bench.request(order)).await.unwrap();
            let state = bench.enrollment(order).await.state;
            let expected = if recover {
                EnrollmentState::Requested
            } else {
                EnrollmentState::Deferred
            };
            assert_eq!(state, expected);
            orders.push(order);
        }
        for order in orders {
            assert!(matches!(bench.ended(order).await, Progress::Valid { .. }));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_cut_off_is_held_where_asking_again_may_double() {
    let bench = bench(ScriptedCa::new()).await;
    let order = bench.order().await;
    let cut_off = new_enrollment(bench.request(order), [0; 32], Duration::from_secs(30));
    assert!(bench.store.begin_enrollment(cut_off).await.unwrap());
    bench
        .until(async || bench.enrollment(order).await.state == EnrollmentState::Held)
        .await;
    assert_eq!(calls(&bench), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_come_in_time_is_given_up_with_a_reason() {
    let patience = Patience {
        give_up_after: Duration::ZERO,
        ..Patience::default()
    };
    let bench = bench_with(ScriptedCa::new(), patience).await;
    for _ in 0..3 {
        bench.ca.enrolls.lock().push_back(Ok(Answer::Pending {
            poll_id: "x".into(),
            retry_after: Some(Duration::from_secs(1)),
        }));
        bench.ca.polls.lock().push_back(Ok(Poll::Pending {
            poll_id: "x".into(),
            retry_after: Some(Duration::from_secs(1)),
        }));
    }
    let order = bench.order().await;
    bench.issuance.enroll(bench.request(order)).await.unwrap();
    let Progress::Invalid { failure, .. } = bench.ended(order).await else {
        panic!("not invalid")
    };
    assert!(failure.detail.contains("within 0 seconds"), "{failure:?}");
}
