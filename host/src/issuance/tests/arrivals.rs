//! Certificates that come later than they were waited for, by another way, or once too often.

use super::*;
use crate::ids::CertificateId;
use crate::issuance::arrival::key_hash;

fn slow() -> ScriptedCa {
    let mut ca = ScriptedCa::new();
    // Longer than the deadline.
    ca.slow = Duration::from_millis(2_500);
    ca
}

fn handler() -> HandlerName {
    "ca".parse().unwrap()
}

async fn surplus(bench: &Bench) -> Vec<Certificate> {
    let mut all = bench.store.certificates(None, 10).await.unwrap();
    all.retain(|certificate| certificate.withheld);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_after_the_deadline_is_delivered() {
    let bench = bench(slow()).await;
    let order = bench.order().await;
    bench.issuance.enroll(bench.request(order)).await.unwrap();
    bench
        .until(async || bench.enrollment(order).await.state == EnrollmentState::Held)
        .await;
    assert!(matches!(bench.ended(order).await, Progress::Valid { .. }));
    assert_eq!(bench.ca.enroll_calls.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_certificate_for_a_dead_order_is_kept_and_revoked() {
    let bench = bench(slow()).await;
    let order = bench.order().await;
    bench.issuance.enroll(bench.request(order)).await.unwrap();
    let id = bench.enrollment(order).await.id;
    bench.issuance.cancel(id).await.unwrap();
    bench
        .until(async || {
            let surplus = surplus(&bench).await;
            surplus.iter().any(|one| one.revocation.is_some())
        })
        .await;
    assert!(matches!(
        bench.progress(order).await,
        Progress::Invalid { .. }
    ));
    assert_eq!(bench.ca.revoke_calls.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_certificates_the_second_is_revoked_and_the_first_is_not() {
    let patience = Patience {
        on_unknown: OnUnknown::Retry,
        ..Patience::default()
    };
    let bench = bench_with(ScriptedCa::new(), patience).await;
    let order = bench.order().await;
    let request = bench.request(order);
    // Issued, and the answer lost.
    let lost = bench.ca.issue(&request.csr);
    bench
        .ca
        .enrolls
        .lock()
        .push_back(Err(Fault::unknown_outcome("cut")));
    bench.issuance.enroll(request).await.unwrap();
    let Progress::Valid { certificate, .. } = bench.ended(order).await else {
        panic!("not valid")
    };
    // The CA sends the first one, twice.
    for _ in 0..2 {
        let (_, outcome) = bench
            .issuance
            .deliver(&handler(), lost.clone())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(outcome, Outcome::Superseded);
    }
    bench
        .until(async || {
            surplus(&bench)
                .await
                .iter()
                .all(|one| one.revocation.is_some())
        })
        .await;
    assert_eq!(surplus(&bench).await.len(), 1);
    assert_eq!(bench.ca.revoke_calls.load(Ordering::SeqCst), 1);
    let delivered = bench.store.certificate(certificate).await.unwrap().unwrap();
    assert_eq!(delivered.revocation, None);
    // Sent once more, the delivered one is no surplus.
    let chain = Chain::new(vec![delivered.der]);
    bench.issuance.deliver(&handler(), chain).await.unwrap();
    assert_eq!(surplus(&bench).await.len(), 1);
}

/// A handler that is asked twice under one id may sign the same once more.
#[tokio::test(flavor = "multi_thread")]
async fn what_differs_by_its_signature_alone_is_no_second_certificate() {
    let bench = bench(ScriptedCa {
        serial: Some(7),
        ..ScriptedCa::new()
    })
    .await;
    let order = bench.order().await;
    let request = bench.request(order);
    let again = bench.ca.issue(&request.csr);
    let Outcome::Issued(delivered) = bench.issuance.enroll(request).await.unwrap() else {
        panic!("not issued")
    };
    assert_ne!(again.certificates[0], delivered.der);
    let enrollment = bench.enrollment(order).await.id;
    let second = Certificate {
        id: CertificateId::random(UnixTime::now()),
        fingerprint: [9; 32],
        der: again.certificates[0].clone(),
        ..(*delivered).clone()
    };
    let engine = &bench.issuance;
    engine
        .keep_if_surplus(enrollment, second.clone())
        .await
        .unwrap();
    assert_eq!(surplus(&bench).await.len(), 0);
    // Another serial number is another certificate.
    let other = Certificate {
        serial: vec![8],
        ..second
    };
    engine.keep_if_surplus(enrollment, other).await.unwrap();
    assert_eq!(surplus(&bench).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_certificate_ends_the_wait_at_once() {
    let bench = bench(ScriptedCa::new()).await;
    let held = bench.order().await;
    let request = bench.request(held);
    let chain = bench.ca.issue(&request.csr);
    bench
        .ca
        .enrolls
        .lock()
        .push_back(Err(Fault::unknown_outcome("cut")));
    bench.issuance.enroll(request).await.unwrap();
    // A stranger's, and one of another handler, belong to nobody.
    let stranger = bench.ca.issue(&csr("a.example"));
    assert_eq!(
        bench.issuance.deliver(&handler(), stranger).await.unwrap(),
        None
    );
    let other = "other".parse().unwrap();
    assert_eq!(
        bench.issuance.deliver(&other, chain.clone()).await.unwrap(),
        None
    );
    let (_, outcome) = bench
        .issuance
        .deliver(&handler(), chain)
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(outcome, Outcome::Issued(_)), "{outcome:?}");
    assert!(matches!(bench.progress(held).await, Progress::Valid { .. }));

    // By poll id, hours before the next poll.
    let pending = bench.order().await;
    bench.ca.enrolls.lock().push_back(Ok(Answer::Pending {
        poll_id: "request-7".into(),
        retry_after: Some(Duration::from_secs(3_000)),
    }));
    bench.issuance.enroll(bench.request(pending)).await.unwrap();
    assert_eq!(
        bench
            .issuance
            .poll_now(&handler(), "request-8")
            .await
            .unwrap(),
        []
    );
    let outcomes = bench
        .issuance
        .poll_now(&handler(), "request-7")
        .await
        .unwrap();
    assert!(
        matches!(outcomes[..], [(_, Outcome::Issued(_))]),
        "{outcomes:?}"
    );
    assert!(matches!(
        bench.progress(pending).await,
        Progress::Valid { .. }
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_overtakes_the_answer_is_not_lost() {
    let bench = bench(slow()).await;
    let order = bench.order().await;
    let request = bench.request(order);
    let chain = bench.ca.issue(&request.csr);
    let key = crate::x509::public_key_of(&chain.certificates[0]).unwrap();
    let engine = Arc::clone(&bench.issuance);
    let waiting = tokio::spawn(async move { engine.enroll(request).await.unwrap() });
    while bench
        .issuance
        .in_flight
        .with_key(&key_hash(&key))
        .is_empty()
        || !matches!(bench.progress(order).await, Progress::Processing { .. })
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bench
        .issuance
        .deliver(&handler(), chain)
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(
        bench.progress(order).await,
        Progress::Valid { .. }
    ));
    waiting.await.unwrap();
    // The late answer is another certificate: one too many.
    bench
        .until(async || {
            let surplus = surplus(&bench).await;
            surplus.iter().any(|one| one.revocation.is_some())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_without_a_chain_waits_for_it() {
    let mut ca = ScriptedCa::new();
    ca.leaf_only = true;
    ca.ca_certs_down = AtomicUsize::new(2);
    let bench = bench(ca).await;
    let order = bench.order().await;
    let outcome = bench.issuance.enroll(bench.request(order)).await.unwrap();
    assert!(matches!(outcome, Outcome::Processing { .. }), "{outcome:?}");
    let received = bench.enrollment(order).await;
    assert!(matches!(received.state, EnrollmentState::Received { .. }));
    assert!(matches!(bench.ended(order).await, Progress::Valid { .. }));
    // The CA was asked once.
    assert_eq!(bench.ca.enroll_calls.load(Ordering::SeqCst), 1);
}
