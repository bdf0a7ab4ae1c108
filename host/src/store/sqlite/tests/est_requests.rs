//! RFC 7030 §4.2.3: the same request finds its enrollment, until it is answered.

use super::*;
use crate::store::{Certificates as _, Enrollments as _, EstRequest, EstRequests as _, RequestKey};

fn request(key: u8, answered: &[u8]) -> EstRequest {
    EstRequest {
        key: RequestKey([key; 32]),
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
