//! Handlers of whose calls nothing is left: asked before the journal knows.

use super::*;

fn stateless() -> ScriptedCa {
    ScriptedCa {
        stateless: true,
        poll: false,
        ..ScriptedCa::new()
    }
}

async fn stored(bench: &Bench) -> usize {
    bench.store.certificates(None, 10).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_is_written_down_at_once() {
    let bench = bench(ScriptedCa {
        slow: Duration::from_millis(200),
        ..stateless()
    })
    .await;
    let order = bench.order().await;
    let asking = bench.issuance.enroll(bench.request(order));
    let looking = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        bench.progress(order).await
    };
    let (outcome, meanwhile) = tokio::join!(asking, looking);
    assert_eq!(meanwhile, Progress::Open);
    let Ok(Outcome::Issued(issued)) = outcome else {
        panic!("{outcome:?}")
    };
    let certificate = issued.id;
    let enrollment = bench.enrollment(order).await;
    assert_eq!(enrollment.state, EnrollmentState::Issued { certificate });
    assert_eq!(bench.ca.ids.lock()[..], [enrollment.id.to_string()]);
    let kept = bench.store.certificate(certificate).await.unwrap().unwrap();
    assert_eq!(kept, *issued);
    assert!(matches!(
        bench.progress(order).await,
        Progress::Valid { certificate: id, .. } if id == certificate
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_told_to_come_back_is_in_the_journal() {
    let bench = bench(ScriptedCa {
        slow: Duration::from_millis(1_200),
        ..stateless()
    })
    .await;
    let order = bench.order().await;
    let wait = Duration::from_millis(700);
    let asking = bench.issuance.enroll_within(bench.request(order), wait);
    let outcome = asking.await.unwrap();
    assert!(matches!(outcome, Outcome::Processing { .. }), "{outcome:?}");
    assert_eq!(
        bench.enrollment(order).await.state,
        EnrollmentState::Requested
    );
    assert!(matches!(bench.ended(order).await, Progress::Valid { .. }));
    assert_eq!(bench.ca.enroll_calls.load(Ordering::SeqCst), 1);
}

/// The CA's certificates are asked for to check what it issued.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_takes_long_does_not_keep_it_out_of_the_journal() {
    for wait in [Duration::ZERO, Duration::from_millis(700)] {
        let bench = bench(ScriptedCa {
            slow_ca_certs: Duration::from_millis(1_500),
            ..stateless()
        })
        .await;
        let order = bench.order().await;
        let asking = bench.issuance.enroll_within(bench.request(order), wait);
        let outcome = asking.await.unwrap();
        assert!(matches!(outcome, Outcome::Processing { .. }), "{outcome:?}");
        assert_eq!(
            bench.enrollment(order).await.state,
            EnrollmentState::Requested
        );
        assert!(matches!(bench.ended(order).await, Progress::Valid { .. }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_promise_does_not_go_with_what_must_be_remembered() {
    let bench = bench(ScriptedCa {
        slow: Duration::from_millis(200),
        recover: true,
        ..stateless()
    })
    .await;
    let order = bench.order().await;
    let asking = bench.issuance.enroll(bench.request(order));
    let looking = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        bench.progress(order).await
    };
    let (outcome, meanwhile) = tokio::join!(asking, looking);
    assert!(matches!(meanwhile, Progress::Processing { .. }));
    assert!(matches!(outcome, Ok(Outcome::Issued(_))), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_no_certificate_is_in_the_journal() {
    let bench = bench(stateless()).await;
    let pending = Answer::Pending {
        poll_id: "one".into(),
        retry_after: Some(Duration::from_secs(60)),
    };
    let waits = EnrollmentState::Pending {
        poll_id: "one".into(),
    };
    for (answer, expected) in [
        (Ok(pending), waits),
        (Err(Fault::upstream("down")), EnrollmentState::Deferred),
        // Nothing is left of it at the CA.
        (
            Err(Fault::unknown_outcome("the answer did not arrive")),
            EnrollmentState::Deferred,
        ),
    ] {
        bench.ca.enrolls.lock().push_back(answer);
        let order = bench.order().await;
        let outcome = bench.issuance.enroll(bench.request(order)).await.unwrap();
        assert!(matches!(outcome, Outcome::Processing { .. }), "{outcome:?}");
        assert_eq!(bench.enrollment(order).await.state, expected);
    }
    let denied = Err(Fault::denied("not that name"));
    bench.ca.enrolls.lock().push_back(denied);
    let order = bench.order().await;
    let outcome = bench.issuance.enroll(bench.request(order)).await.unwrap();
    assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    assert!(matches!(
        bench.progress(order).await,
        Progress::Invalid { .. }
    ));
    assert_eq!(stored(&bench).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_certificate_is_kept_back() {
    let bench = bench(ScriptedCa {
        other_csr: Some(csr("elsewhere.example")),
        ..stateless()
    })
    .await;
    let order = bench.order().await;
    let outcome = bench.issuance.enroll(bench.request(order)).await.unwrap();
    assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    let kept = bench.store.certificates(None, 10).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert!(kept[0].withheld);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_finalizes_one_is_stored() {
    let bench = bench(stateless()).await;
    let order = bench.order().await;
    let (one, two) = tokio::join!(
        bench.issuance.enroll(bench.request(order)),
        bench.issuance.enroll(bench.request(order)),
    );
    let outcomes = [one.unwrap(), two.unwrap()];
    assert!(outcomes.contains(&Outcome::Superseded), "{outcomes:?}");
    assert!(matches!(
        bench.progress(order).await,
        Progress::Valid { .. }
    ));
    assert_eq!(stored(&bench).await, 1);
}
