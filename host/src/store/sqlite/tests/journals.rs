//! The journals: enrollments that wait, and revocations.

use certdock_plugin_api::{Chain, RevocationReason};

use super::*;
use crate::ids::HandlerName;
use crate::store::{
    Certificates as _, Enrollments as _, OpenRevocation, Pause, RevocationState, Revocations as _,
    Waiting,
};

fn handler() -> HandlerName {
    "local".parse().unwrap()
}

fn pause(state: EnrollmentState, attempts: u32, next_attempt: UnixTime) -> Pause {
    Pause {
        state,
        attempts,
        next_attempt,
        waiting: Waiting {
            since: NOW,
            reason: "why".to_owned(),
        },
        doubtful: false,
    }
}

#[tokio::test]
async fn what_is_held_or_received_keeps_what_it_needs() {
    let store = scratch();
    let order = ready_order(&store).await;
    let mut held = enrollment(&order);
    held.key_hash = [5; 32];
    store.begin_enrollment(held.clone()).await.unwrap();
    let by_key = async || store.enrollments_by_key(&handler(), &[5; 32], 10).await;
    assert_eq!(by_key().await.unwrap(), []);
    let doubtful = Pause {
        doubtful: true,
        ..pause(EnrollmentState::Held, 1, NOW)
    };
    assert!(store.put_off_enrollment(held.id, doubtful).await.unwrap());
    assert_eq!(store.next_due(&handler()).await.unwrap(), None);
    assert_eq!(store.handlers_with_work().await.unwrap(), []);
    assert_eq!(by_key().await.unwrap()[0].state, EnrollmentState::Held);

    let chain = Chain {
        certificates: vec![vec![1], vec![2, 3]],
        alternates: vec![vec![vec![1]]],
    };
    let received = EnrollmentState::Received { chain };
    let put_off = store.put_off_enrollment(held.id, pause(received.clone(), 2, at(5)));
    assert!(put_off.await.unwrap());
    let stored = store.enrollment(held.id).await.unwrap().unwrap();
    assert_eq!(stored.state, received);
    assert_eq!(store.next_due(&handler()).await.unwrap(), Some(at(5)));
}

#[tokio::test]
async fn revocations_are_kept_until_they_are_confirmed() {
    let store = scratch();
    let order = ready_order(&store).await;
    let enrollment = enrollment(&order);
    store.begin_enrollment(enrollment.clone()).await.unwrap();
    let certificate = certificate(&enrollment);
    let id = certificate.id;
    let completed = store.complete_enrollment(enrollment.id, certificate.clone());
    assert!(completed.await.unwrap());
    let mut open = OpenRevocation {
        certificate: id,
        handler: handler(),
        reason: RevocationReason::KeyCompromise,
        requested_at: NOW,
        request_id: "r".into(),
        state: RevocationState::Sent,
        attempts: 0,
        next_attempt: at(30),
        problem: None,
    };
    assert!(store.begin_revocation(open.clone()).await.unwrap());
    assert!(!store.begin_revocation(open.clone()).await.unwrap());
    assert_eq!(store.open_revocation(id).await.unwrap(), Some(open.clone()));
    open.state = RevocationState::Accepted;
    open.next_attempt = at(5);
    open.problem = Some("down".into());
    assert!(store.put_off_revocation(open.clone()).await.unwrap());
    assert_eq!(
        store.next_due_revocation(&handler()).await.unwrap(),
        Some(at(5))
    );
    let due = store.due_revocations(&handler(), at(5), 10).await.unwrap();
    assert_eq!(due, std::slice::from_ref(&open));
    assert_eq!(store.handlers_with_work().await.unwrap(), [handler()]);

    // One that the CA refused is due no more, and may be asked for again.
    open.state = RevocationState::Refused;
    assert!(store.put_off_revocation(open.clone()).await.unwrap());
    assert_eq!(store.next_due_revocation(&handler()).await.unwrap(), None);
    open.state = RevocationState::Sent;
    assert!(store.begin_revocation(open.clone()).await.unwrap());
    let reason = RevocationReason::KeyCompromise;
    assert!(store.mark_revoked(id, reason, at(9)).await.unwrap());
    assert_eq!(store.open_revocation(id).await.unwrap(), None);
    assert!(!store.begin_revocation(open.clone()).await.unwrap());

    // A certificate too many is kept and noted to be revoked, once.
    let mut surplus = super::certificate(&enrollment);
    surplus.fingerprint = [77; 32];
    surplus.withheld = true;
    open.certificate = surplus.id;
    for is_new in [true, false] {
        let kept = store.keep_surplus(surplus.clone(), open.clone());
        assert_eq!(kept.await.unwrap(), is_new);
    }
    let kept = store.open_revocation(surplus.id).await.unwrap();
    assert_eq!(kept, Some(open));
    assert!(store.withdraw_revocation(surplus.id).await.unwrap());
    assert!(!store.withdraw_revocation(surplus.id).await.unwrap());
}

#[tokio::test]
async fn unfinished_enrollments_come_up_when_they_are_due() {
    let store = scratch();
    let order = ready_order(&store).await;
    let mut first = enrollment(&order);
    first.order = None;
    first.requester = Requester::ClientCertificate {
        certificate: vec![1, 2, 3],
    };
    first.protocol = Protocol::Est;
    let second = enrollment(&order);
    for enrollment in [&first, &second] {
        store.begin_enrollment(enrollment.clone()).await.unwrap();
    }
    assert!(
        store
            .put_off_enrollment(first.id, pause(EnrollmentState::Deferred, 1, at(50)))
            .await
            .unwrap()
    );
    let p1 = EnrollmentState::Pending {
        poll_id: "p1".into(),
    };
    let pended = store.put_off_enrollment(second.id, pause(p1, 2, at(40)));
    assert!(pended.await.unwrap());
    assert_eq!(store.next_due(&handler()).await.unwrap(), Some(at(40)));
    assert_eq!(
        store.due_enrollments(&handler(), at(39), 10).await.unwrap(),
        []
    );
    let due = store.due_enrollments(&handler(), at(50), 10).await.unwrap();
    assert_eq!(
        due.iter().map(|e| e.id).collect::<Vec<_>>(),
        [second.id, first.id]
    );
    assert_eq!((due[0].attempts, due[1].attempts), (2, 1));
    let pending = EnrollmentState::Pending {
        poll_id: "p1".into(),
    };
    assert_eq!(due[0].state, pending);
    assert_eq!(due[1].requester, first.requester);
    assert_eq!(
        store
            .due_enrollments(&handler(), at(50), 1)
            .await
            .unwrap()
            .len(),
        1
    );

    let found = store.enrollments_by_poll_id(&handler(), "p1", 10).await;
    assert_eq!(found.unwrap(), due[..1]);
    let waiting = due[0].waiting.clone().unwrap();
    assert_eq!((waiting.since, waiting.reason.as_str()), (NOW, "why"));
    let later = store.put_off_enrollment(second.id, pause(pending, 3, at(60)));
    assert!(later.await.unwrap());

    // One that is about to be asked is not asked by two.
    assert!(store.ask_enrollment(first.id, at(90)).await.unwrap());
    assert!(!store.ask_enrollment(first.id, at(90)).await.unwrap());
    let asked = store.enrollment(first.id).await.unwrap().unwrap();
    assert_eq!(asked.state, EnrollmentState::Requested);
    // What a crash cut off is due at the next start; what the CA takes its time for is not.
    assert_eq!(store.take_up_cut_off(&handler(), NOW).await.unwrap(), 1);
    assert_eq!(store.next_due(&handler()).await.unwrap(), Some(NOW));
    assert_eq!(store.handlers_with_work().await.unwrap(), [handler()]);

    let issued = certificate(&first);
    assert!(store.complete_enrollment(first.id, issued).await.unwrap());
    let late = store.put_off_enrollment(first.id, pause(EnrollmentState::Deferred, 9, at(1)));
    assert!(!late.await.unwrap());
    assert_eq!(store.next_due(&handler()).await.unwrap(), Some(at(60)));
}

#[tokio::test]
async fn of_two_pre_authorizations_for_a_name_one_is_made() {
    let store = scratch();
    let owner = account(1);
    store.create_account(owner.clone()).await.unwrap();
    let (one, two) = (
        authorization(owner.id, "a.example"),
        authorization(owner.id, "a.example"),
    );
    let (first, second) = tokio::join!(
        store.create_authorization(one.clone()),
        store.create_authorization(two.clone()),
    );
    let made: Vec<_> = [first.unwrap(), second.unwrap()]
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(made.len(), 1, "{made:?}");
    let is_there = store.authorization(made[0].id).await.unwrap();
    assert_eq!(is_there.as_ref(), Some(&made[0]));
    // One that has expired is no answer.
    let mut late = authorization(owner.id, "a.example");
    late.created = one.expires;
    assert_eq!(store.create_authorization(late).await.unwrap(), None);
    let other = authorization(owner.id, "b.example");
    assert_eq!(store.create_authorization(other).await.unwrap(), None);
}
