//! Tests of the store through its traits, on a real file.

mod accounts;
mod batches;
mod crash;
mod est_requests;
mod est_users;
mod handler_state;
mod journals;
mod opening;
mod orders;
mod plans;
mod races;

use certdock_plugin_api::{Protocol, Requester};
use tempfile::TempDir;

use super::SqliteStore;
use crate::ids::{AccountId, AuthorizationId, CertificateId, EndpointName, EnrollmentId, OrderId};
use crate::order::{
    Authorization, AuthorizationState, Challenge, ChallengeState, ChallengeType, Order, Progress,
    Token,
};
use crate::store::{
    Account, AccountKey, AccountStatus, Accounts as _, Certificate, Enrollment, EnrollmentState,
    Orders as _, Thumbprint,
};
use crate::time::UnixTime;

pub(super) const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

pub(super) const fn at(seconds: i64) -> UnixTime {
    UnixTime::from_secs(1_800_000_000 + seconds)
}

/// A store in a directory that goes with it.
pub(super) struct Scratch {
    pub(super) store: SqliteStore,
    pub(super) directory: TempDir,
}

impl std::ops::Deref for Scratch {
    type Target = SqliteStore;

    fn deref(&self) -> &SqliteStore {
        &self.store
    }
}

pub(super) fn scratch() -> Scratch {
    let directory = tempfile::tempdir().unwrap();
    Scratch {
        store: SqliteStore::open(directory.path().join("certdock.db")).unwrap(),
        directory,
    }
}

pub(super) fn endpoint() -> EndpointName {
    "default".parse().unwrap()
}

pub(super) fn key(seed: u8) -> AccountKey {
    AccountKey {
        jwk: format!("{{\"kty\":\"test\",\"x\":\"{seed}\"}}"),
        thumbprint: Thumbprint([seed; 32]),
    }
}

pub(super) fn account(seed: u8) -> Account {
    Account {
        id: AccountId::random(NOW),
        endpoint: endpoint(),
        key: key(seed),
        contacts: vec!["mailto:admin@a.example".into()],
        terms_agreed: true,
        status: AccountStatus::Valid,
        external_key: None,
        external_binding: None,
        created: NOW,
    }
}

pub(super) fn authorization(account: AccountId, name: &str) -> Authorization {
    let challenge = |kind| Challenge {
        kind,
        token: Token::random(),
        state: ChallengeState::Pending,
    };
    Authorization {
        id: AuthorizationId::random(NOW),
        account,
        endpoint: endpoint(),
        name: name.parse().unwrap(),
        wildcard: false,
        created: NOW,
        expires: at(600),
        state: AuthorizationState::Pending,
        challenges: vec![
            challenge(ChallengeType::Http01),
            challenge(ChallengeType::Dns01),
        ],
    }
}

pub(super) fn order(account: AccountId, authorizations: &[Authorization]) -> Order {
    Order {
        id: OrderId::random(NOW),
        account,
        endpoint: endpoint(),
        identifiers: authorizations
            .iter()
            .map(Authorization::identifier)
            .collect(),
        not_before: None,
        not_after: Some(at(86_400)),
        created: NOW,
        expires: at(600),
        authorizations: authorizations.iter().map(|a| a.id).collect(),
        progress: Progress::Open,
    }
}

pub(super) fn enrollment(order: &Order) -> Enrollment {
    Enrollment {
        id: EnrollmentId::random(NOW),
        order: Some(order.id),
        handler: "local".parse().unwrap(),
        profile: Some("server".into()),
        protocol: Protocol::Acme,
        endpoint: order.endpoint.clone(),
        requester: Requester::AcmeAccount {
            account: order.account.to_string(),
            eab_key_id: None,
        },
        csr: vec![0x30; 300],
        identifiers: order.identifiers.iter().cloned().map(Into::into).collect(),
        not_before: None,
        not_after: None,
        requested_at: NOW,
        request_id: "r-1".into(),
        key_hash: [0; 32],
        attempts: 0,
        next_attempt: at(30),
        state: EnrollmentState::Requested,
        waiting: None,
        doubtful: false,
    }
}

pub(super) fn certificate(enrollment: &Enrollment) -> Certificate {
    let id = CertificateId::random(NOW);
    let fingerprint = [*id.as_bytes(), *enrollment.id.as_bytes()].concat();
    Certificate {
        id,
        enrollment: enrollment.id,
        account: None,
        endpoint: enrollment.endpoint.clone(),
        handler: enrollment.handler.clone(),
        serial: vec![0, 255, 3],
        fingerprint: fingerprint.try_into().unwrap(),
        names: enrollment
            .identifiers
            .iter()
            .map(ToString::to_string)
            .collect(),
        not_before: NOW,
        not_after: at(90 * 86_400),
        issued_at: NOW,
        der: vec![0x31; 600],
        issuers: vec![vec![1; 700], vec![2; 800]],
        alternates: vec![vec![vec![3; 10]], vec![]],
        revocation: None,
        withheld: false,
    }
}

/// A stored account with a stored open order for one name.
pub(super) async fn open_order(store: &SqliteStore) -> (Order, Authorization) {
    let owner = account(crate::random::bytes::<1>()[0]);
    let owner = match store.create_account(owner.clone()).await.unwrap() {
        crate::store::AccountCreation::Exists(there) => there,
        _ => owner,
    };
    order_of(store, owner.id).await
}

/// A stored order whose authorization is valid.
pub(super) async fn ready_order(store: &SqliteStore) -> Order {
    let (order, authorization) = open_order(store).await;
    let kind = ChallengeType::Http01;
    let settled = store.settle_challenge(authorization.id, kind, Ok(()), NOW, at(600));
    settled.await.unwrap();
    order
}

pub(super) async fn order_of(store: &SqliteStore, owner: AccountId) -> (Order, Authorization) {
    let authorization = authorization(owner, "a.example");
    let order = order(owner, std::slice::from_ref(&authorization));
    store
        .create_order(order.clone(), vec![authorization.clone()])
        .await
        .unwrap();
    (order, authorization)
}
