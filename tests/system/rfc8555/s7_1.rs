//! RFC 8555 §7.1: the directory, the links between resources, and the list of orders.

use certdock_tests::World;
use certdock_tests::issue::new_order;
use http::Method;
use serde_json::Value;

use super::check_index_link;

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_names_every_resource() {
    let world = World::with(|settings| {
        settings.endpoint = "website = \"https://ca.example/\"\n".to_owned();
    })
    .await;
    let mut client = world.client().await;
    let directory = client.directory.json.clone();
    let base = world.server.settings.base_url();
    for name in [
        "newNonce",
        "newAccount",
        "newOrder",
        "newAuthz",
        "revokeCert",
        "keyChange",
    ] {
        let url = directory[name]
            .as_str()
            .unwrap_or_else(|| panic!("no {name}: {directory}"));
        assert!(url.starts_with(&base), "{name}: {url}");
    }
    assert_eq!(directory["meta"]["website"], "https://ca.example/");
    // The endpoint named default also has shorter addresses.
    for path in ["/acme/directory", "/directory"] {
        let answer = client
            .plain(Method::GET, &format!("{base}{path}"))
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    let missing = client
        .plain(Method::GET, &format!("{base}/acme/none/directory"))
        .await
        .unwrap();
    assert_eq!(missing.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn resources_link_up_and_are_not_stored_by_caches() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    let order = new_order(&mut client, &account, &["links.test"])
        .await
        .unwrap();
    check_index_link(&order);
    let authorization = order.json()["authorizations"][0]
        .as_str()
        .unwrap()
        .to_owned();
    let answer = client.post_as_get(&account, &authorization).await.unwrap();
    check_index_link(&answer);
    let challenge = answer.json()["challenges"][0]["url"]
        .as_str()
        .unwrap()
        .to_owned();
    let answer = client.post_as_get(&account, &challenge).await.unwrap();
    // RFC 8555 §7.5.1
    let up = format!("<{authorization}>;rel=\"up\"");
    assert!(
        answer.all("link").contains(&up.as_str()),
        "{:?}",
        answer.headers
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

/// RFC 8555 §7.1.2.1
#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_orders_is_whole_over_its_pages() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    let mut made = Vec::new();
    for number in 0..120 {
        let order = new_order(&mut client, &account, &[&format!("n{number}.test")])
            .await
            .unwrap();
        made.push(
            order
                .expect(201)
                .unwrap()
                .header("location")
                .unwrap()
                .to_owned(),
        );
    }
    let json = client
        .post_as_get(&account, &account.kid)
        .await
        .unwrap()
        .json();
    let mut next = Some(json["orders"].as_str().unwrap().to_owned());
    let (mut listed, mut pages) = (Vec::new(), 0);
    while let Some(url) = next.take() {
        let page = client
            .post_as_get(&account, &url)
            .await
            .unwrap()
            .expect(200)
            .unwrap();
        let orders = page.json();
        let urls = orders["orders"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str);
        listed.extend(urls.map(str::to_owned));
        let link = page
            .all("link")
            .into_iter()
            .find(|link| link.contains("rel=\"next\""));
        next = link.map(|link| link[1..].split('>').next().unwrap().to_owned());
        pages += 1;
        assert!(pages < 100, "the pages have no end");
    }
    assert!(pages > 1, "120 orders on one page");
    made.sort();
    listed.sort();
    assert_eq!(listed, made);
}
