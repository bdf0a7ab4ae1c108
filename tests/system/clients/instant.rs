//! instant-acme.

use certdock_tests::World;
use certdock_tests::certificate::check_chain;
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, Identifier, NewAccount, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use rcgen::KeyPair;

async fn account(world: &World) -> Account {
    let new = NewAccount {
        contact: &["mailto:operator@example.com"],
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let builder = Account::builder_with_root(world.server.root_pem()).unwrap();
    let (account, _) = builder
        .create(&new, world.server.directory(), None)
        .await
        .unwrap();
    account
}

async fn order(account: &Account, names: &[&str]) -> Order {
    let names: Vec<_> = names
        .iter()
        .map(|name| Identifier::Dns((*name).to_owned()))
        .collect();
    account.new_order(&NewOrder::new(&names)).await.unwrap()
}

/// Publishes what one challenge asks for.
fn publish(world: &World, kind: &ChallengeType, name: &str, token: &str, key: &str, txt: &str) {
    match kind {
        ChallengeType::Http01 => world.http01.set(token, key),
        ChallengeType::Dns01 => world.dns.add_txt(&format!("_acme-challenge.{name}"), txt),
        _ => world.tls_alpn01.set(name, key),
    }
}

async fn fulfil(world: &World, order: &mut Order, kind: ChallengeType) {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.unwrap();
        assert_eq!(authorization.status, AuthorizationStatus::Pending);
        let mut challenge = authorization
            .challenge(kind.clone())
            .expect("such a challenge");
        let key = challenge.key_authorization();
        let name = match challenge.identifier().identifier {
            Identifier::Dns(name) => name.clone(),
            other => panic!("not a name: {other:?}"),
        };
        publish(
            world,
            &kind,
            &name,
            &challenge.token,
            key.as_str(),
            &key.dns_value(),
        );
        challenge.set_ready().await.unwrap();
    }
}

async fn check(kind: ChallengeType, names: &[&str]) {
    let world = World::start().await;
    let account = account(&world).await;
    let mut order = order(&account, names).await;
    fulfil(&world, &mut order, kind).await;
    let retries = RetryPolicy::default();
    assert_eq!(
        order.poll_ready(&retries).await.unwrap(),
        OrderStatus::Ready
    );
    let key = KeyPair::generate().unwrap();
    order
        .finalize_csr(&certdock_tests::issue::csr(&key, names))
        .await
        .unwrap();
    let chain = order.poll_certificate(&retries).await.unwrap();
    check_chain(&chain, names);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_01() {
    check(ChallengeType::Http01, &["instant.test", "b.instant.test"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dns_01_with_wildcard() {
    check(ChallengeType::Dns01, &["instant.test", "*.instant.test"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_alpn_01() {
    check(ChallengeType::TlsAlpn01, &["instant.test"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_its_key_and_contacts() {
    let world = World::start().await;
    let mut account = account(&world).await;
    account
        .update_contacts(&["mailto:other@example.com"])
        .await
        .unwrap();
    let old = Account::builder_with_root(world.server.root_pem()).unwrap();
    let credentials = account.update_key().await.unwrap();
    account.update_contacts(&[]).await.unwrap();
    old.from_credentials(credentials)
        .await
        .unwrap()
        .update_contacts(&[])
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deactivated_authorization_ends_its_order() {
    let world = World::start().await;
    let account = account(&world).await;
    let mut order = order(&account, &["gone.test"]).await;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        authorization.unwrap().deactivate().await.unwrap();
    }
    assert_eq!(order.refresh().await.unwrap().status, OrderStatus::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deactivated_account_is_refused() {
    let world = World::start().await;
    let account = account(&world).await;
    account.clone().deactivate().await.unwrap();
    let names = [Identifier::Dns("late.test".to_owned())];
    let Err(Error::Api(problem)) = account.new_order(&NewOrder::new(&names)).await else {
        panic!("an order by a deactivated account was not refused");
    };
    assert_eq!(
        problem.r#type.as_deref(),
        Some("urn:ietf:params:acme:error:unauthorized")
    );
}
