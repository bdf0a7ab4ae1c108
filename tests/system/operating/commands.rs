//! The commands that read and change the state of a running server.

use certdock_tests::World;
use certdock_tests::acme::b64;
use certdock_tests::certificate::ders;
use certdock_tests::issue::{issue, new_order};
use serde_json::{Value, json};

async fn json_of(world: &World, args: &[&str]) -> Value {
    let args: Vec<_> = args.iter().copied().chain(["--json"]).collect();
    let outcome = world.server.command(&args).run().await.success();
    serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", outcome.stdout))
}

/// The last part of an address is what the commands call a thing by.
fn id(url: &str) -> &str {
    url.rsplit('/').next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_listed_shown_and_deactivated() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    let id = id(&account.kid);
    assert!(
        json_of(&world, &["account", "list"])
            .await
            .to_string()
            .contains(id)
    );
    let shown = json_of(&world, &["account", "show", id]).await;
    assert!(shown.to_string().contains("valid"), "{shown}");
    world
        .server
        .command(&["account", "deactivate", id])
        .run()
        .await
        .success();
    let answer = client.post_as_get(&account, &account.kid).await.unwrap();
    assert_eq!(answer.problem(), "unauthorized", "{}", answer.text());
    let missing = world
        .server
        .command(&["account", "show", "AAAAAAAAAAAAAAAAAAAAAA"])
        .run()
        .await;
    assert_eq!(missing.status, Some(1), "{missing:?}");
    assert!(!missing.stderr.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_and_certificates_are_listed_and_shown() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    let issued = issue(&mut client, &account, &["listed.test"], &world.http01)
        .await
        .unwrap();
    let open = new_order(&mut client, &account, &["open.test"])
        .await
        .unwrap();
    let orders = json_of(&world, &["order", "list"]).await.to_string();
    for url in [&issued.order, open.header("location").unwrap()] {
        assert!(orders.contains(id(url)), "{orders}");
        json_of(&world, &["order", "show", id(url)]).await;
    }
    let list = json_of(&world, &["cert", "list"]).await.to_string();
    assert!(list.contains("listed.test"), "{list}");
    let text = world
        .server
        .command(&["cert", "list"])
        .run()
        .await
        .success();
    assert!(text.stdout.contains("listed.test"), "{}", text.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_revoked_by_the_operator() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    let issued = issue(&mut client, &account, &["bad.test"], &world.http01)
        .await
        .unwrap();
    let leaf = &ders(&issued.chain)[0];
    let (_, parsed) = x509_parser::parse_x509_certificate(leaf).unwrap();
    let serial = parsed.raw_serial_as_string().replace(':', "");
    world
        .server
        .command(&["cert", "show", &serial])
        .run()
        .await
        .success();
    world
        .server
        .command(&["cert", "revoke", &serial])
        .run()
        .await
        .success();
    let url = client.directory.url("revokeCert").to_owned();
    let answer = client
        .post(&account, &url, &json!({ "certificate": b64(leaf) }))
        .await
        .unwrap();
    assert_eq!(answer.problem(), "alreadyRevoked", "{}", answer.text());
    let again = world
        .server
        .command(&["cert", "revoke", &serial])
        .run()
        .await;
    assert_eq!(again.status, Some(1), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_exits_with_2() {
    let world = World::prepare(|_| {}).await;
    for args in [
        &["frobnicate"][..],
        &["account", "frobnicate"],
        &["serve", "--frobnicate"],
    ] {
        let run = world.server.command(args).run().await;
        assert_eq!(run.status, Some(2), "{args:?}: {run:?}");
    }
}
