use super::*;
use crate::order::{Failure, FailureKind};
use crate::store::sqlite::est_users::KnownUsers;
use crate::store::{
    Enrollments as _, EstRequest, EstRequests as _, EstUser, EstUsers as _, RequestKey,
};

fn user(name: &str, once: bool) -> EstUser {
    EstUser {
        name: name.into(),
        password: "$argon2id$…".into(),
        once,
        expires: Some(at(60)),
        names: vec!["a.example".parse().unwrap(), "*.b.example".parse().unwrap()],
        labels: vec![endpoint()],
        created: NOW,
        used_by: None,
    }
}

fn asks(user: &str) -> Enrollment {
    Enrollment {
        order: None,
        protocol: Protocol::Est,
        requester: Requester::EstUser { name: user.into() },
        identifiers: Vec::new(),
        ..enrollment(&order(AccountId::random(NOW), &[]))
    }
}

#[tokio::test]
async fn a_user_comes_back_as_it_went_in_until_it_is_removed() {
    let store = scratch();
    assert!(store.add_est_user(user("u", true), false).await.unwrap());
    assert!(!store.add_est_user(user("u", false), false).await.unwrap());
    let found = store.est_user("u").await.unwrap().unwrap();
    assert!(found.once && found.used_by.is_none());
    assert_eq!(found.names, user("u", true).names);
    assert_eq!(
        (found.labels, found.expires),
        (vec![endpoint()], Some(at(60)))
    );
    assert!(store.add_est_user(user("u", false), true).await.unwrap());
    assert!(!store.est_user("u").await.unwrap().unwrap().once);
    assert!(store.add_est_user(user("a", false), false).await.unwrap());
    let names: Vec<_> = store
        .est_users()
        .await
        .unwrap()
        .into_iter()
        .map(|user| user.name)
        .collect();
    assert_eq!(names, ["a", "u"]);
    assert!(store.remove_est_user("u").await.unwrap());
    assert!(!store.remove_est_user("u").await.unwrap());
    assert!(store.est_user("u").await.unwrap().is_none());
}

#[tokio::test]
async fn a_user_that_is_remembered_is_forgotten_with_each_change() {
    let store = scratch();
    for password in ["first", "second"] {
        let user = EstUser {
            password: password.into(),
            ..user("u", false)
        };
        assert!(store.add_est_user(user, true).await.unwrap());
        for _ in 0..2 {
            let found = store.est_user("u").await.unwrap().unwrap();
            assert_eq!(found.password, password);
        }
    }
    assert!(store.remove_est_user("u").await.unwrap());
    assert!(store.est_user("u").await.unwrap().is_none());
}

#[test]
fn what_was_read_before_a_change_is_not_remembered_after_it() {
    let users = KnownUsers::default();
    let seen = users.look("u").err().unwrap().unwrap();
    let change = users.change("u");
    assert!(users.look("v").err().unwrap().is_none());
    drop(change);
    users.keep(&user("u", false), seen);
    let seen = users.look("u").err().unwrap().unwrap();
    // A password that an enrollment uses up.
    users.keep(&user("u", true), seen);
    assert!(users.look("u").is_err());
    users.keep(&user("u", false), seen);
    assert!(users.look("u").is_ok());
}

#[tokio::test]
async fn a_password_for_one_certificate_begins_one_enrollment() {
    let store = std::sync::Arc::new(scratch().store);
    store.add_est_user(user("once", true), false).await.unwrap();
    store
        .add_est_user(user("often", false), false)
        .await
        .unwrap();
    for _ in 0..2 {
        assert!(store.begin_enrollment(asks("often")).await.unwrap());
    }
    // Many at once: one of them begins.
    let racing: Vec<_> = (0..8)
        .map(|_| {
            let store = std::sync::Arc::clone(&store);
            tokio::spawn(async move {
                let enrollment = asks("once");
                let id = enrollment.id;
                store
                    .begin_enrollment(enrollment)
                    .await
                    .unwrap()
                    .then_some(id)
            })
        })
        .collect();
    let mut begun = Vec::new();
    for task in racing {
        begun.extend(task.await.unwrap());
    }
    assert_eq!(begun.len(), 1);
    let found = store.est_user("once").await.unwrap().unwrap();
    assert_eq!(found.used_by, Some(begun[0]));

    // A refusal gives it back, once.
    let failure = Failure::new(FailureKind::ServerInternal, "no");
    assert!(
        store
            .fail_enrollment(begun[0], failure, None)
            .await
            .unwrap()
    );
    let again = asks("once");
    assert!(store.begin_enrollment(again.clone()).await.unwrap());
    assert!(!store.begin_enrollment(asks("once")).await.unwrap());
    let found = store.est_user("once").await.unwrap().unwrap();
    assert_eq!(found.used_by, Some(again.id));

    store.remove_est_user("often").await.unwrap();
    let late = asks("often");
    assert!(!store.begin_enrollment(late.clone()).await.unwrap());
    assert_eq!(store.enrollment(late.id).await.unwrap(), None);
}

#[tokio::test]
async fn what_takes_the_place_of_an_enrollment_may_use_its_password() {
    let store = scratch();
    store.add_est_user(user("once", true), false).await.unwrap();
    store
        .add_est_user(user("often", false), false)
        .await
        .unwrap();
    let (first, second, other) = (asks("once"), asks("once"), asks("often"));
    for (enrollment, key, replaces, begins) in [
        (&first, 1, None, true),
        (&other, 2, None, true),
        (&second, 3, None, false),
        (&second, 2, Some(other.id), false),
        (&second, 1, Some(first.id), true),
    ] {
        let request = EstRequest {
            key: RequestKey([key; 32]),
            replaces,
            answered: Vec::new(),
        };
        let stored = store.begin_est_enrollment(enrollment.clone(), request);
        assert_eq!(stored.await.unwrap(), begins, "{key}");
    }
    let found = store.est_user("once").await.unwrap().unwrap();
    assert_eq!(found.used_by, Some(second.id));
}
