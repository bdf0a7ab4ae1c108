//! Of two who race to change the same thing, exactly one does.

use std::future::Future;
use std::sync::Arc;

use certdock_plugin_api::RevocationReason;
use tokio::sync::Barrier;

use super::*;
use crate::order::{Failure, FailureKind};
use crate::store::{
    AccountCreation, Certificates as _, Enrollments as _, ExternalKey, ExternalKeys as _,
    HandlerState as _, KeyChange,
};

const ROUNDS: u8 = 25;

/// Prepares once a round, then lets two act at the same moment; exactly one must say that it won.
async fn race<S, P, A, F>(prepare: impl Fn(Arc<Scratch>, u8) -> P, act: A)
where
    S: Clone + Send + 'static,
    P: Future<Output = S>,
    A: Fn(Arc<Scratch>, S) -> F + Clone + Send + 'static,
    F: Future<Output = bool> + Send + 'static,
{
    let store = Arc::new(scratch());
    for round in 0..ROUNDS {
        let subject = prepare(Arc::clone(&store), round).await;
        let start = Arc::new(Barrier::new(2));
        let racers = [(); 2].map(|()| {
            let (store, subject, act) = (Arc::clone(&store), subject.clone(), act.clone());
            let start = Arc::clone(&start);
            tokio::spawn(async move {
                start.wait().await;
                act(store, subject).await
            })
        });
        let mut winners = 0;
        for racer in racers {
            winners += u8::from(racer.await.unwrap());
        }
        assert_eq!(winners, 1, "round {round}");
    }
}

async fn live_account(store: Arc<Scratch>, seed: u8) -> Account {
    let account = account(seed);
    let created = store.create_account(account.clone()).await.unwrap();
    assert_eq!(created, AccountCreation::Created);
    account
}

async fn pending(store: Arc<Scratch>, _: u8) -> Authorization {
    open_order(&store).await.1
}

async fn begun(store: Arc<Scratch>, _: u8) -> Enrollment {
    let enrollment = enrollment(&ready_order(&store).await);
    assert!(store.begin_enrollment(enrollment.clone()).await.unwrap());
    enrollment
}

async fn issued(store: Arc<Scratch>, round: u8) -> CertificateId {
    let certificate = certificate(&begun(Arc::clone(&store), round).await);
    let id = certificate.enrollment;
    assert!(
        store
            .complete_enrollment(id, certificate.clone())
            .await
            .unwrap()
    );
    certificate.id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts() {
    race(
        async |_, round| round,
        |store, round| async move {
            let created = store.create_account(account(round)).await.unwrap();
            created == AccountCreation::Created
        },
    )
    .await;
    race(live_account, |store, account| async move {
        store.deactivate_account(account.id).await.unwrap()
    })
    .await;
    // Two new keys for one account.
    race(live_account, |store, account| async move {
        let mut new = key(0);
        new.thumbprint = Thumbprint(crate::random::bytes());
        let change = store.change_key(account.id, account.key.thumbprint, new);
        change.await.unwrap() == KeyChange::Changed
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_change_and_a_new_account_for_one_key() {
    let store = Arc::new(scratch());
    for round in 0..ROUNDS {
        let account = live_account(Arc::clone(&store), round).await;
        let wanted = key(round | 128);
        let change = tokio::spawn({
            let (store, new) = (Arc::clone(&store), wanted.clone());
            async move {
                let change = store.change_key(account.id, account.key.thumbprint, new);
                change.await.unwrap() == KeyChange::Changed
            }
        });
        let mut rival = super::account(round | 128);
        rival.key = wanted;
        let created = store.create_account(rival).await.unwrap();
        assert!((created == AccountCreation::Created) ^ change.await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn external_keys() {
    let fresh = |round: u8| ExternalKey {
        endpoint: endpoint(),
        id: round.to_string(),
        secret: vec![1].into(),
        created: NOW,
        revoked: None,
    };
    race(
        async |_, round| round,
        move |store, round| async move { store.add_external_key(fresh(round)).await.unwrap() },
    )
    .await;
    race(
        move |store: Arc<Scratch>, round| async move {
            assert!(store.add_external_key(fresh(round)).await.unwrap());
            round.to_string()
        },
        |store, id| async move {
            store
                .revoke_external_key(&endpoint(), &id, NOW)
                .await
                .unwrap()
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn challenges() {
    let kind = ChallengeType::Http01;
    race(pending, move |store, it| async move {
        store.claim_challenge(it.id, kind).await.unwrap()
    })
    .await;
    race(pending, |store, it| async move {
        store.deactivate_authorization(it.id).await.unwrap()
    })
    .await;
    // Two different results: one of them stands, and both are told which.
    let store = Arc::new(scratch());
    for _ in 0..ROUNDS {
        let id = pending(Arc::clone(&store), 0).await.id;
        let settle = |result| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let settled = store.settle_challenge(id, kind, result, NOW, at(10));
                settled.await.unwrap().unwrap()
            })
        };
        let failure = Failure::new(FailureKind::Dns, "no such name");
        let (well, badly) = (settle(Ok(())), settle(Err(failure)));
        assert_eq!(well.await.unwrap(), badly.await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enrollments() {
    race(
        async |store, _| ready_order(&store).await,
        |store: Arc<Scratch>, order| async move {
            store.begin_enrollment(enrollment(&order)).await.unwrap()
        },
    )
    .await;
    race(begun, |store, it| async move {
        let certificate = certificate(&it);
        let won = store
            .complete_enrollment(it.id, certificate.clone())
            .await
            .unwrap();
        let kept = store.certificate(certificate.id).await.unwrap();
        assert_eq!(kept.is_some(), won);
        won
    })
    .await;
    race(begun, |store, it| async move {
        let failure = Failure::new(FailureKind::ServerInternal, "no");
        if crate::random::bytes::<1>()[0] < 128 {
            store.fail_enrollment(it.id, failure, None).await.unwrap()
        } else {
            store
                .complete_enrollment(it.id, certificate(&it))
                .await
                .unwrap()
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocations() {
    race(issued, |store, id| async move {
        let reason = RevocationReason::KeyCompromise;
        store.mark_revoked(id, reason, NOW).await.unwrap()
    })
    .await;
}

#[test]
fn handler_state() {
    let store = scratch();
    let handler = "one".parse().unwrap();
    for round in 0..ROUNDS {
        let key = round.to_string();
        let expected = match round % 2 {
            0 => None,
            _ => Some(store.state_put(&handler, &key, b"").unwrap()),
        };
        let start = std::sync::Barrier::new(2);
        let swap = || {
            start.wait();
            store
                .state_compare_and_swap(&handler, &key, expected, b"x")
                .unwrap()
        };
        let (one, two) = std::thread::scope(|scope| {
            let other = scope.spawn(swap);
            (swap(), other.join().unwrap())
        });
        assert!(one.is_some() ^ two.is_some(), "round {round}");
        let delete = || store.state_delete(&handler, &key).unwrap();
        let (one, two) = std::thread::scope(|scope| {
            let other = scope.spawn(delete);
            (delete(), other.join().unwrap())
        });
        assert!(one ^ two, "round {round}");
    }
}
