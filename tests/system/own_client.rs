//! Complete orders by the client of this test crate, which others build on.

use certdock_tests::World;
use certdock_tests::acme::AccountKey;
use certdock_tests::certificate::check_chain;
use certdock_tests::issue::issue;

#[tokio::test(flavor = "multi_thread")]
async fn a_complete_order_by_http_01() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    let names = ["one.test", "two.one.test"];
    let issued = issue(&mut client, &account, &names, &world.http01)
        .await
        .unwrap();
    check_chain(&issued.chain, &names);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_account_key_algorithm_works() {
    let world = World::start().await;
    for key in [
        AccountKey::es256(),
        AccountKey::es384(),
        AccountKey::es512(),
        AccountKey::ed25519(),
        AccountKey::rsa2048(),
    ] {
        let name = format!("{}.test", key.alg().to_lowercase());
        let mut client = world.client().await;
        let account = client.new_account(key).await.unwrap();
        let issued = issue(&mut client, &account, &[&name], &world.http01)
            .await
            .unwrap();
        check_chain(&issued.chain, &[&name]);
    }
}
