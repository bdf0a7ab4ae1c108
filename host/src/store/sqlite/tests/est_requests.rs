//! RFC 7030 §4.2.3: the same request finds its enrollment, until it is answered.

use super::*;
use crate::store::{Certificates as _, Enrollments as _, EstRequest, EstRequests as _, RequestKey};

fn request(key: u8, answered: &[u8]) -> EstRequest {
    EstRequest {
        key: RequestKey([key; 32]),
        replaces: None,
        answered: answered.iter().map(|&key| RequestKey([key; 32])).collect(),
    }
}

async fn begun(store: &SqliteStore) -> Enrollment {
    let (order, _) = open_order(store).await;
    Enrollment {
        id: EnrollmentId::random(NOW),
        order: None,
        protocol: Protocol::Est,
        ..enrollment(&order)
    }
}

#[tokio::test]
async fn a_request_has_one_enrollment_until_it_is_answered() {
    let store = scratch();
    let (first, second) = (begun(&store).await, begun(&store).await);
    let key = RequestKey([1; 32]);
    assert_eq!(store.est_request(key).await.unwrap(), None);

    let begin =
        |enrollment: &Enrollment, request| store.begin_est_enrollment(enrollment.clone(), request);
    assert!(begin(&first, request(1, &[])).await.unwrap());
    assert_eq!(store.est_request(key).await.unwrap(), Some(first.id));
    assert_eq!(
        store.enrollment(first.id).await.unwrap(),
        Some(first.clone())
    );

    assert!(!begin(&second, request(1, &[])).await.unwrap());
    assert_eq!(store.est_request(key).await.unwrap(), Some(first.id));
    assert_eq!(store.enrollment(second.id).await.unwrap(), None);

    assert!(begin(&second, request(1, &[1])).await.unwrap());
    assert_eq!(store.est_request(key).await.unwrap(), Some(second.id));
}

#[tokio::test]
async fn with_a_certificate_it_is_stored_at_once_or_not_at_all() {
    let store = scratch();
    let (first, second) = (begun(&store).await, begun(&store).await);
    let record = |enrollment: &Enrollment, request| {
        let certificate = certificate(enrollment);
        let id = certificate.id;
        let enrollment = enrollment.clone();
        let store = &store;
        async move {
            let stored = store.record_issued(enrollment, Some(request), certificate);
            (id, stored.await.unwrap())
        }
    };
    let (one, stored) = record(&first, request(1, &[])).await;
    assert!(stored);
    let key = RequestKey([1; 32]);
    assert_eq!(store.est_request(key).await.unwrap(), Some(first.id));
    let kept = store.enrollment(first.id).await.unwrap().unwrap();
    assert_eq!(kept.state, EnrollmentState::Issued { certificate: one });
    assert!(store.certificate(one).await.unwrap().is_some());

    let (two, stored) = record(&second, request(1, &[])).await;
    assert!(!stored);
    assert_eq!(store.enrollment(second.id).await.unwrap(), None);
    assert_eq!(store.certificate(two).await.unwrap(), None);

    let (_, stored) = record(&second, request(1, &[1])).await;
    assert!(stored);
    assert_eq!(store.est_request(key).await.unwrap(), Some(second.id));
}

#[tokio::test]
async fn of_two_at_once_one_begins() {
    let store = scratch();
    let (first, second) = (begun(&store).await, begun(&store).await);
    let (one, other) = tokio::join!(
        store.begin_est_enrollment(first, request(1, &[])),
        store.begin_est_enrollment(second, request(1, &[])),
    );
    assert_ne!(one.unwrap(), other.unwrap());
}

#[tokio::test]
async fn a_request_may_begin_anew_in_the_place_of_its_enrollment() {
    let store = scratch();
    let (first, second) = (begun(&store).await, begun(&store).await);
    let third = begun(&store).await;
    let key = RequestKey([1; 32]);
    let replacing = |replaces: &Enrollment| EstRequest {
        replaces: Some(replaces.id),
        ..request(1, &[])
    };
    let begin = |enrollment: &Enrollment, request| {
        let stored = store.begin_est_enrollment(enrollment.clone(), request);
        async { stored.await.unwrap() }
    };
    // There is nothing to be replaced.
    assert!(!begin(&second, replacing(&first)).await);
    assert!(begin(&first, request(1, &[])).await);
    assert!(begin(&second, replacing(&first)).await);
    assert_eq!(store.est_request(key).await.unwrap(), Some(second.id));
    // Of two that are made another key at once, one is too late.
    assert!(!begin(&third, replacing(&first)).await);
    assert_eq!(store.est_request(key).await.unwrap(), Some(second.id));
}

#[tokio::test]
async fn a_request_is_forgotten_with_its_own_enrollment() {
    let store = scratch();
    let (first, second) = (begun(&store).await, begun(&store).await);
    let key = RequestKey([1; 32]);
    let stored = store.begin_est_enrollment(second.clone(), request(1, &[]));
    assert!(stored.await.unwrap());
    store.forget_est_request(key, first.id).await.unwrap();
    assert_eq!(store.est_request(key).await.unwrap(), Some(second.id));
    store.forget_est_request(key, second.id).await.unwrap();
    assert_eq!(store.est_request(key).await.unwrap(), None);
}
