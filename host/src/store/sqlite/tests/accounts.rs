use zeroize::Zeroizing;

use super::*;
use crate::store::{AccountCreation, ExternalKey, ExternalKeys as _, KeyChange, Settings as _};

fn external_key(id: &str) -> ExternalKey {
    ExternalKey {
        endpoint: endpoint(),
        id: id.into(),
        secret: Zeroizing::new(vec![7; 32]),
        created: NOW,
        revoked: None,
    }
}

#[tokio::test]
async fn an_account_comes_back_as_it_went_in() {
    let store = scratch();
    assert!(store.add_external_key(external_key("k")).await.unwrap());
    let mut account = account(1);
    account.external_key = Some("k".into());
    account.external_binding = Some("{}".into());
    let created = store.create_account(account.clone()).await.unwrap();
    assert_eq!(created, AccountCreation::Created);
    let thumbprint = account.key.thumbprint;
    assert_eq!(
        store.account(account.id).await.unwrap().as_ref(),
        Some(&account)
    );
    assert_eq!(
        store
            .account_by_key(&endpoint(), &thumbprint)
            .await
            .unwrap(),
        Some(account.clone())
    );
    let elsewhere = "other".parse().unwrap();
    assert_eq!(
        store.account_by_key(&elsewhere, &thumbprint).await.unwrap(),
        None
    );
    assert_eq!(store.account(AccountId::random(NOW)).await.unwrap(), None);
}

#[tokio::test]
async fn a_key_has_one_account_at_an_endpoint() {
    let store = scratch();
    let first = account(1);
    store.create_account(first.clone()).await.unwrap();
    let again = store.create_account(account(1)).await.unwrap();
    assert_eq!(again, AccountCreation::Exists(first));
    let mut elsewhere = account(1);
    elsewhere.endpoint = "other".parse().unwrap();
    let created = store.create_account(elsewhere).await.unwrap();
    assert_eq!(created, AccountCreation::Created);
}

#[tokio::test]
async fn an_external_key_serves_several_accounts_until_it_is_revoked() {
    let store = scratch();
    let bound = |seed| {
        let mut account = account(seed);
        account.external_key = Some("k".into());
        account
    };
    let refused = store.create_account(bound(1)).await.unwrap();
    assert_eq!(refused, AccountCreation::NoSuchExternalKey);
    assert!(store.add_external_key(external_key("k")).await.unwrap());
    assert!(!store.add_external_key(external_key("k")).await.unwrap());
    for seed in [1, 2] {
        let created = store.create_account(bound(seed)).await.unwrap();
        assert_eq!(created, AccountCreation::Created);
    }

    assert!(
        store
            .revoke_external_key(&endpoint(), "k", at(1))
            .await
            .unwrap()
    );
    assert!(
        !store
            .revoke_external_key(&endpoint(), "k", at(2))
            .await
            .unwrap()
    );
    let refused = store.create_account(bound(3)).await.unwrap();
    assert_eq!(refused, AccountCreation::NoSuchExternalKey);
    // Who has an account is told so, whatever became of the key.
    let there = store.create_account(bound(1)).await.unwrap();
    assert!(matches!(there, AccountCreation::Exists(_)));

    let key = store.external_key(&endpoint(), "k").await.unwrap().unwrap();
    assert_eq!(
        (key.secret.as_slice(), key.revoked),
        (&[7; 32][..], Some(at(1)))
    );
    assert!(
        store
            .external_key(&endpoint(), "x")
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(store.external_keys().await.unwrap().len(), 1);
}

#[tokio::test]
async fn only_a_live_account_changes() {
    let store = scratch();
    let account = account(1);
    store.create_account(account.clone()).await.unwrap();
    assert!(store.set_contacts(account.id, vec![]).await.unwrap());
    assert!(store.deactivate_account(account.id).await.unwrap());
    assert!(!store.deactivate_account(account.id).await.unwrap());
    assert!(
        !store
            .set_contacts(account.id, vec!["x".into()])
            .await
            .unwrap()
    );
    let change = store.change_key(account.id, account.key.thumbprint, key(2));
    assert_eq!(change.await.unwrap(), KeyChange::Stale);
    let stored = store.account(account.id).await.unwrap().unwrap();
    assert_eq!(stored.status, AccountStatus::Deactivated);
    assert_eq!((stored.contacts, stored.key), (vec![], key(1)));
}

#[tokio::test]
async fn keys_change_once_and_never_onto_another_account() {
    let store = scratch();
    let (one, two) = (account(1), account(2));
    store.create_account(one.clone()).await.unwrap();
    store.create_account(two.clone()).await.unwrap();
    let old = one.key.thumbprint;
    for (id, new, expect) in [
        (one.id, 2, KeyChange::InUse(two.id)),
        (one.id, 1, KeyChange::InUse(one.id)),
        (one.id, 3, KeyChange::Changed),
        (one.id, 4, KeyChange::Stale),
        (AccountId::random(NOW), 5, KeyChange::Stale),
    ] {
        assert_eq!(store.change_key(id, old, key(new)).await.unwrap(), expect);
    }
    assert_eq!(store.account(one.id).await.unwrap().unwrap().key, key(3));
    // The old key is free again.
    let created = store.create_account(account(1)).await.unwrap();
    assert_eq!(created, AccountCreation::Created);
}

#[tokio::test]
async fn listing_goes_page_by_page() {
    let store = scratch();
    let mut ids = Vec::new();
    for seed in 0..5 {
        let account = account(seed);
        ids.push(account.id);
        store.create_account(account).await.unwrap();
    }
    ids.sort();
    let mut seen = Vec::new();
    loop {
        let page = store.accounts(seen.last().copied(), 2).await.unwrap();
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        seen.extend(page.into_iter().map(|account| account.id));
    }
    assert_eq!(seen, ids);
}

#[tokio::test]
async fn a_setting_keeps_its_first_value() {
    let store = scratch();
    for value in [b"one".to_vec(), b"two".to_vec()] {
        let kept = store.setting_or_insert("nonce-key", value).await.unwrap();
        assert_eq!(kept, b"one");
    }
    store.ping().await.unwrap();
}
