//! RFC 8555 §6.3: reading is POST-as-GET, and nobody reads what is another's.

use certdock_tests::World;
use certdock_tests::issue::{issue, new_order};
use http::Method;
use serde_json::json;

use super::check_problem;

#[tokio::test(flavor = "multi_thread")]
async fn resources_are_read_by_their_owner_alone() {
    let world = World::start().await;
    let (mut client, owner) = world.account().await;
    let (mut other_client, other) = world.account().await;
    let issued = issue(&mut client, &owner, &["mine.test"], &world.http01)
        .await
        .unwrap();
    let order = new_order(&mut client, &owner, &["open.test"])
        .await
        .unwrap();
    let order_url = order.header("location").unwrap().to_owned();
    let authorization = order.json()["authorizations"][0]
        .as_str()
        .unwrap()
        .to_owned();
    let body = client
        .post_as_get(&owner, &authorization)
        .await
        .unwrap()
        .json();
    let challenge = body["challenges"][0]["url"].as_str().unwrap().to_owned();
    let orders = client.post_as_get(&owner, &owner.kid).await.unwrap().json();
    let list = orders["orders"].as_str().unwrap().to_owned();

    let resources = [
        owner.kid.clone(),
        list,
        order_url,
        issued.order,
        authorization,
        challenge,
        issued.certificate,
    ];
    for url in resources {
        let own = client.post_as_get(&owner, &url).await.unwrap();
        assert_eq!(own.status, 200, "{url}: {}", own.text());
        // RFC 8555 §6.3: a payload that is not empty is no POST-as-GET; reading stays POST.
        let plain = client.plain(Method::GET, &url).await.unwrap();
        assert_eq!(plain.status, 405, "{url}");
        let foreign = other_client.post_as_get(&other, &url).await.unwrap();
        assert!(
            (400..=404).contains(&foreign.status),
            "{url}: {}",
            foreign.status
        );
        check_problem(
            &url,
            &foreign,
            foreign.status,
            &["malformed", "unauthorized", "accountDoesNotExist"],
        );
        // The answer for what never was is the same, so that nothing can be learnt from it.
        let (stem, _) = url.rsplit_once('/').unwrap();
        if url != owner.kid && !url.ends_with("/orders") {
            let missing = format!("{stem}/AAAAAAAAAAAAAAAAAAAAAA");
            let nobody = other_client.post_as_get(&other, &missing).await.unwrap();
            assert_eq!(nobody.json(), foreign.json(), "{url}");
            assert_eq!(nobody.status, foreign.status, "{url}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_where_none_belongs_is_malformed() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    let order = new_order(&mut client, &account, &["p.test"]).await.unwrap();
    let url = order.header("location").unwrap().to_owned();
    let answer = client
        .post(&account, &url, &json!({ "status": "valid" }))
        .await
        .unwrap();
    check_problem("an order", &answer, 400, &["malformed"]);
}
