use certdock_plugin_api::RevocationReason;

use super::*;
use crate::order::{Failure, FailureKind};
use crate::store::{Certificates as _, Enrollments as _, Revocation};

fn failure() -> Failure {
    Failure::new(FailureKind::Connection, "no answer")
}

#[tokio::test]
async fn an_order_comes_back_with_its_authorizations_in_its_order() {
    let store = scratch();
    let owner = account(1);
    store.create_account(owner.clone()).await.unwrap();
    let mut authorizations: Vec<_> = ["c.example", "a.example", "b.example"]
        .iter()
        .map(|name| authorization(owner.id, name))
        .collect();
    authorizations[1].wildcard = true;
    let known = authorizations[2].clone();
    store.create_authorization(known.clone()).await.unwrap();
    let order = order(owner.id, &authorizations);
    store
        .create_order(order.clone(), authorizations[..2].to_vec())
        .await
        .unwrap();
    let stored = store.order(order.id).await.unwrap();
    assert_eq!(stored, Some((order.clone(), authorizations)));
    assert_eq!(store.authorization(known.id).await.unwrap(), Some(known));
    assert_eq!(store.orders(None, 10).await.unwrap(), [order]);
    assert_eq!(store.order(OrderId::random(NOW)).await.unwrap(), None);
}

#[tokio::test]
async fn an_order_that_fails_to_be_stored_leaves_nothing() {
    let store = scratch();
    let (first, _) = open_order(&store).await;
    let fresh = authorization(first.account, "b.example");
    let mut twin = order(first.account, std::slice::from_ref(&fresh));
    twin.id = first.id;
    assert!(store.create_order(twin, vec![fresh.clone()]).await.is_err());
    assert_eq!(store.authorization(fresh.id).await.unwrap(), None);
    assert_eq!(store.order(first.id).await.unwrap().unwrap().0, first);
}

#[tokio::test]
async fn an_order_without_its_authorizations_is_found() {
    let store = scratch();
    let owner = account(1);
    store.create_account(owner.clone()).await.unwrap();
    let lost = authorization(owner.id, "a.example");
    for authorizations in [&[lost][..], &[]] {
        let order = order(owner.id, authorizations);
        store.create_order(order.clone(), vec![]).await.unwrap();
        let stored = store.order(order.id).await.unwrap();
        assert_eq!(stored, Some((order, vec![])));
    }
}

#[tokio::test]
async fn every_progress_survives() {
    let store = scratch();
    let (template, _) = open_order(&store).await;
    let enrollment = EnrollmentId::random(NOW);
    for progress in [
        Progress::Open,
        Progress::Processing { enrollment },
        Progress::Valid {
            enrollment,
            certificate: CertificateId::random(NOW),
        },
        Progress::Invalid {
            enrollment: None,
            failure: failure(),
        },
        Progress::Invalid {
            enrollment: Some(enrollment),
            failure: failure(),
        },
    ] {
        let mut order = template.clone();
        order.id = OrderId::random(NOW);
        order.progress = progress;
        store.create_order(order.clone(), vec![]).await.unwrap();
        assert_eq!(store.order(order.id).await.unwrap().unwrap().0, order);
    }
}

#[tokio::test]
async fn an_accounts_orders_are_its_own_and_paged() {
    let store = scratch();
    let (first, _) = open_order(&store).await;
    let other = account(0);
    let mut other = other;
    other.key = key(200);
    other.endpoint = "other".parse().unwrap();
    store.create_account(other.clone()).await.unwrap();
    order_of(&store, other.id).await;
    let mut ids = vec![first.id];
    for _ in 0..4 {
        ids.push(order_of(&store, first.account).await.0.id);
    }
    ids.sort();
    let page = store
        .orders_of_account(first.account, None, 3)
        .await
        .unwrap();
    assert_eq!(page, ids[..3]);
    let rest = store.orders_of_account(first.account, Some(page[2]), 3);
    assert_eq!(rest.await.unwrap(), ids[3..]);
}

#[tokio::test]
async fn a_challenge_is_claimed_settled_and_then_final() {
    let store = scratch();
    let (order, authorization) = open_order(&store).await;
    let (id, kind) = (authorization.id, ChallengeType::Http01);
    assert_eq!(store.processing_authorizations().await.unwrap(), []);
    assert!(store.claim_challenge(id, kind).await.unwrap());
    assert!(!store.claim_challenge(id, kind).await.unwrap());
    assert!(
        !store
            .claim_challenge(id, ChallengeType::TlsAlpn01)
            .await
            .unwrap()
    );
    let processing = store.processing_authorizations().await.unwrap();
    assert_eq!(processing.len(), 1);
    assert_eq!(
        processing[0].challenges[0].state,
        ChallengeState::Processing
    );

    let settled = store.settle_challenge(id, kind, Ok(()), at(5), at(1000));
    let settled = settled.await.unwrap().unwrap();
    assert_eq!(settled.state, AuthorizationState::Valid);
    assert_eq!(settled.expires, at(1000));
    let validated = at(5);
    assert_eq!(
        settled.challenges[0].state,
        ChallengeState::Valid { validated }
    );
    assert_eq!(store.processing_authorizations().await.unwrap(), []);

    // A later result changes nothing, and is answered with what stands.
    let late = store.settle_challenge(id, ChallengeType::Dns01, Err(failure()), at(6), at(0));
    assert_eq!(late.await.unwrap(), Some(settled.clone()));
    assert!(
        !store
            .claim_challenge(id, ChallengeType::Dns01)
            .await
            .unwrap()
    );
    let (_, stored) = store.order(order.id).await.unwrap().unwrap();
    assert_eq!(stored, [settled]);
    let unknown = AuthorizationId::random(NOW);
    let none = store.settle_challenge(unknown, kind, Ok(()), NOW, NOW);
    assert_eq!(none.await.unwrap(), None);
}

#[tokio::test]
async fn a_failed_challenge_ends_its_authorization() {
    let store = scratch();
    let (_, authorization) = open_order(&store).await;
    let (id, kind) = (authorization.id, ChallengeType::Dns01);
    assert!(
        store
            .claim_challenge(id, ChallengeType::Http01)
            .await
            .unwrap()
    );
    let settled = store.settle_challenge(id, kind, Err(failure()), at(5), at(1000));
    let settled = settled.await.unwrap().unwrap();
    assert_eq!(settled.state, AuthorizationState::Invalid);
    assert_eq!(settled.expires, authorization.expires);
    let expect = ChallengeState::Invalid {
        failure: failure(),
        validated: at(5),
    };
    assert_eq!(settled.challenges[1].state, expect);
    assert_eq!(store.authorization(id).await.unwrap(), Some(settled));
    // Nothing is left to resume, although the other challenge was being checked.
    assert_eq!(store.processing_authorizations().await.unwrap(), []);
    assert!(!store.deactivate_authorization(id).await.unwrap());
}

#[tokio::test]
async fn valid_authorizations_are_found_by_name_while_they_last() {
    let store = scratch();
    let (order, shorter) = open_order(&store).await;
    let owner = order.account;
    let longer = authorization(owner, "a.example");
    let mut wildcard = authorization(owner, "a.example");
    wildcard.wildcard = true;
    let pending = authorization(owner, "b.example");
    let settle = async |id, expires| {
        let settled = store.settle_challenge(id, ChallengeType::Dns01, Ok(()), NOW, at(expires));
        settled.await.unwrap();
    };
    settle(shorter.id, 10).await;
    for (fresh, expires) in [(&longer, 30), (&wildcard, 20)] {
        store.create_authorization(fresh.clone()).await.unwrap();
        settle(fresh.id, expires).await;
    }
    store.create_authorization(pending.clone()).await.unwrap();
    let names: Vec<_> = ["a.example", "b.example", "c.example", "a.example"]
        .iter()
        .map(|name| name.parse().unwrap())
        .collect();
    let check = async |now, expect: &[AuthorizationId]| {
        let found = store
            .valid_authorizations(owner, &names, now)
            .await
            .unwrap();
        let mut found: Vec<_> = found.into_iter().map(|a| (a.wildcard, a.id)).collect();
        found.sort();
        let first = store.valid_authorizations(owner, &names[..1], now).await;
        let mut first: Vec<_> = first
            .unwrap()
            .into_iter()
            .map(|a| (a.wildcard, a.id))
            .collect();
        first.sort();
        assert_eq!(first, found);
        assert_eq!(
            found.into_iter().map(|(_, id)| id).collect::<Vec<_>>(),
            expect
        );
    };
    check(NOW, &[longer.id, wildcard.id]).await;
    check(at(19), &[longer.id, wildcard.id]).await;
    check(at(20), &[longer.id]).await;
    check(at(30), &[]).await;
    assert!(store.deactivate_authorization(longer.id).await.unwrap());
    assert!(!store.deactivate_authorization(longer.id).await.unwrap());
    check(NOW, &[shorter.id, wildcard.id]).await;
    let stranger = AccountId::random(NOW);
    let found = store.valid_authorizations(stranger, &names, NOW).await;
    assert_eq!(found.unwrap(), []);
}

#[tokio::test]
async fn an_enrollment_begins_only_while_its_order_is_ready() {
    let store = scratch();
    let (pending, _) = open_order(&store).await;
    let withdrawn = ready_order(&store).await;
    let [authorization] = withdrawn.authorizations[..] else {
        panic!("one name, one authorization")
    };
    assert!(store.deactivate_authorization(authorization).await.unwrap());
    for order in [pending, withdrawn] {
        let enrollment = enrollment(&order);
        assert!(!store.begin_enrollment(enrollment.clone()).await.unwrap());
        assert_eq!(store.enrollment(enrollment.id).await.unwrap(), None);
        let (stored, _) = store.order(order.id).await.unwrap().unwrap();
        assert_eq!(stored.progress, Progress::Open);
    }
}

#[tokio::test]
async fn an_enrollment_ends_in_a_certificate() {
    let store = scratch();
    let order = ready_order(&store).await;
    let enrollment = enrollment(&order);
    assert!(store.begin_enrollment(enrollment.clone()).await.unwrap());
    let stored = store.enrollment(enrollment.id).await.unwrap();
    assert_eq!(stored.as_ref(), Some(&enrollment));
    let (stored, _) = store.order(order.id).await.unwrap().unwrap();
    let id = enrollment.id;
    assert_eq!(stored.progress, Progress::Processing { enrollment: id });

    // A second one stores nothing.
    let second = super::enrollment(&order);
    assert!(!store.begin_enrollment(second.clone()).await.unwrap());
    assert_eq!(store.enrollment(second.id).await.unwrap(), None);

    let certificate = certificate(&enrollment);
    assert!(
        store
            .complete_enrollment(id, certificate.clone())
            .await
            .unwrap()
    );
    let again = super::certificate(&enrollment);
    assert!(!store.complete_enrollment(id, again.clone()).await.unwrap());
    assert_eq!(store.certificate(again.id).await.unwrap(), None);
    assert!(!store.fail_enrollment(id, failure(), None).await.unwrap());
    let (stored, _) = store.order(order.id).await.unwrap().unwrap();
    let expect = Progress::Valid {
        enrollment: id,
        certificate: certificate.id,
    };
    assert_eq!(stored.progress, expect);
    let issued = EnrollmentState::Issued {
        certificate: certificate.id,
    };
    assert_eq!(store.enrollment(id).await.unwrap().unwrap().state, issued);
    assert_eq!(
        store.certificate(certificate.id).await.unwrap(),
        Some(certificate.clone())
    );
    assert_eq!(
        store
            .certificate_by_fingerprint(&certificate.fingerprint)
            .await
            .unwrap(),
        Some(certificate)
    );
    assert_eq!(
        store.certificate_by_fingerprint(&[0; 32]).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn an_enrollment_ends_in_failure_and_keeps_what_was_refused() {
    let store = scratch();
    let order = ready_order(&store).await;
    let enrollment = enrollment(&order);
    let id = enrollment.id;
    store.begin_enrollment(enrollment.clone()).await.unwrap();
    let mut refused = certificate(&enrollment);
    refused.withheld = true;
    let failed = store.fail_enrollment(id, failure(), Some(refused.clone()));
    assert!(failed.await.unwrap());
    assert!(!store.fail_enrollment(id, failure(), None).await.unwrap());
    let (stored, _) = store.order(order.id).await.unwrap().unwrap();
    let expect = Progress::Invalid {
        enrollment: Some(id),
        failure: failure(),
    };
    assert_eq!(stored.progress, expect);
    let stored = store.enrollment(id).await.unwrap().unwrap();
    let failed = EnrollmentState::Failed { failure: failure() };
    assert_eq!(stored.state, failed);
    assert_eq!(store.certificate(refused.id).await.unwrap(), Some(refused));
    let handler = "local".parse().unwrap();
    assert_eq!(store.next_due(&handler).await.unwrap(), None);
}

#[tokio::test]
async fn issuers_are_stored_once_and_revocation_is_of_the_certificate() {
    let store = scratch();
    let mut stored = Vec::new();
    for _ in 0..2 {
        let order = ready_order(&store).await;
        let enrollment = enrollment(&order);
        store.begin_enrollment(enrollment.clone()).await.unwrap();
        let mut certificate = certificate(&enrollment);
        // A handler that answers twice with one certificate.
        certificate.fingerprint = [9; 32];
        store
            .complete_enrollment(enrollment.id, certificate.clone())
            .await
            .unwrap();
        stored.push(certificate);
    }
    stored.sort_by_key(|certificate| certificate.id);
    assert_eq!(store.certificates(None, 10).await.unwrap(), stored);
    assert_eq!(
        store.certificates(Some(stored[0].id), 10).await.unwrap(),
        stored[1..]
    );
    let chains: i64 = store
        .readers
        .read(|on| Ok(on.query_row("SELECT count(*) FROM chains", [], |row| row.get(0))?))
        .unwrap();
    assert_eq!(chains, 1);

    let reason = RevocationReason::Superseded;
    assert!(
        store
            .mark_revoked(stored[1].id, reason, at(7))
            .await
            .unwrap()
    );
    for certificate in &stored {
        assert!(
            !store
                .mark_revoked(certificate.id, reason, at(8))
                .await
                .unwrap()
        );
        let now = store.certificate(certificate.id).await.unwrap().unwrap();
        assert_eq!(now.revocation, Some(Revocation { at: at(7), reason }));
    }
    let unknown = CertificateId::random(NOW);
    assert!(!store.mark_revoked(unknown, reason, NOW).await.unwrap());
}
