//! Revocation: accepted, sent, confirmed.

use super::*;
use crate::store::{Certificate, RevocationState};

const REASON: RevocationReason = RevocationReason::KeyCompromise;

async fn issued(bench: &Bench) -> Certificate {
    let order = bench.order().await;
    let Outcome::Issued(issued) = bench.issuance.enroll(bench.request(order)).await.unwrap() else {
        panic!("not issued")
    };
    let stored = bench.store.certificate(issued.id).await.unwrap();
    assert_eq!(stored, Some(*issued.clone()));
    *issued
}

async fn revoke(
    bench: &Bench,
    certificate: &Certificate,
    policy: RevocationPolicy,
) -> Result<Revoked, RevocationError> {
    bench
        .issuance
        .revoke(certificate, REASON, "test", policy)
        .await
}

async fn is_revoked(bench: &Bench, certificate: &Certificate) -> bool {
    let stored = bench.store.certificate(certificate.id).await.unwrap();
    stored.unwrap().revocation.is_some()
}

async fn open(bench: &Bench, certificate: &Certificate) -> Option<RevocationState> {
    let open = bench.store.open_revocation(certificate.id).await.unwrap();
    open.map(|open| open.state)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_ca_that_is_down_means_is_the_endpoints_policy() {
    use RevocationPolicy::{AtOnce, Queued};
    let bench = bench(ScriptedCa::new()).await;
    let certificate = issued(&bench).await;
    let down = || {
        bench
            .ca
            .revocations
            .lock()
            .push_back(Err(Fault::upstream("down")))
    };

    down();
    let refused = revoke(&bench, &certificate, AtOnce).await.unwrap_err();
    assert!(
        matches!(refused, RevocationError::Unavailable { .. }),
        "{refused}"
    );
    assert_eq!(open(&bench, &certificate).await, None);

    down();
    let accepted = revoke(&bench, &certificate, Queued).await.unwrap();
    assert_eq!(accepted, Revoked::Accepted);
    assert_eq!(
        open(&bench, &certificate).await,
        Some(RevocationState::Accepted)
    );
    assert!(!is_revoked(&bench, &certificate).await);
    down();
    let twice = revoke(&bench, &certificate, Queued).await.unwrap();
    assert_eq!(twice, Revoked::Accepted);

    bench
        .until(async || is_revoked(&bench, &certificate).await)
        .await;
    assert_eq!(open(&bench, &certificate).await, None);
    assert_eq!(bench.ca.revoke_calls.load(Ordering::SeqCst), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_and_not_answered_is_followed_up() {
    let bench = bench(ScriptedCa::new()).await;
    let certificate = issued(&bench).await;
    let script = [
        Err(Fault::unknown_outcome("cut")),
        Err(Fault::already_revoked()),
    ];
    bench.ca.revocations.lock().extend(script);
    let refused = revoke(&bench, &certificate, RevocationPolicy::AtOnce).await;
    let refused = refused.unwrap_err();
    assert!(
        matches!(refused, RevocationError::Unavailable { .. }),
        "{refused}"
    );
    assert_eq!(
        open(&bench, &certificate).await,
        Some(RevocationState::Sent)
    );
    bench
        .until(async || is_revoked(&bench, &certificate).await)
        .await;
}

/// The first call may have had its effect, whatever became of the client's later ones.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_once_is_followed_up_though_a_later_try_came_to_nothing() {
    for second in [Fault::busy("full"), Fault::upstream("down")] {
        let bench = bench(ScriptedCa::new()).await;
        let certificate = issued(&bench).await;
        let first = Fault::new(FaultClass::TimedOut, "no answer");
        let script = [Err(first), Err(second), Err(Fault::already_revoked())];
        bench.ca.revocations.lock().extend(script);
        for _ in 0..2 {
            let tried = revoke(&bench, &certificate, RevocationPolicy::AtOnce).await;
            assert!(
                matches!(tried, Err(RevocationError::Unavailable { .. })),
                "{tried:?}"
            );
            assert_eq!(
                open(&bench, &certificate).await,
                Some(RevocationState::Sent)
            );
        }
        bench
            .until(async || is_revoked(&bench, &certificate).await)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_what_was_sent_before_is_told_and_kept() {
    let bench = bench(ScriptedCa::new()).await;
    let certificate = issued(&bench).await;
    let script = [
        Err(Fault::unknown_outcome("cut")),
        Err(Fault::denied("not ours")),
    ];
    bench.ca.revocations.lock().extend(script);
    let _ = revoke(&bench, &certificate, RevocationPolicy::AtOnce).await;
    let refused = revoke(&bench, &certificate, RevocationPolicy::AtOnce).await;
    assert!(
        matches!(refused, Err(RevocationError::Refused(_))),
        "{refused:?}"
    );
    assert_eq!(
        open(&bench, &certificate).await,
        Some(RevocationState::Refused)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_after_acceptance_is_kept_for_the_operator() {
    let bench = bench(ScriptedCa::new()).await;
    let certificate = issued(&bench).await;
    let script = [Err(Fault::busy("later")), Err(Fault::denied("not ours"))];
    bench.ca.revocations.lock().extend(script);
    revoke(&bench, &certificate, RevocationPolicy::Queued)
        .await
        .unwrap();
    bench
        .until(async || open(&bench, &certificate).await == Some(RevocationState::Refused))
        .await;
    let kept = bench.store.open_revocation(certificate.id).await.unwrap();
    assert!(kept.unwrap().problem.unwrap().contains("not ours"));
    // At once, a refusal is the answer.
    bench
        .ca
        .revocations
        .lock()
        .push_back(Err(Fault::denied("not ours")));
    let refused = revoke(&bench, &certificate, RevocationPolicy::Queued).await;
    assert!(
        matches!(refused, Err(RevocationError::Refused(_))),
        "{refused:?}"
    );
}
