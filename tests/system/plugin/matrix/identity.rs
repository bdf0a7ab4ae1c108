//! Plugins that look alike.

use std::fs;

use certdock_tests::World;
use certdock_tests::acme::{AccountKey, Client};
use certdock_tests::certificate::check_chain;
use certdock_tests::faults::replaced;
use certdock_tests::issue::issue;

const FILE: &str = "libcertdock_openssl_local.so";

async fn chain(world: &World, endpoint: &str) -> String {
    let directory = world.server.directory_of(endpoint);
    let mut client = Client::new(&directory, world.tls.clone()).await.unwrap();
    let account = client.new_account(AccountKey::es256()).await.unwrap();
    let issued = issue(&mut client, &account, &["twin.test"], &world.http01).await;
    let chain = issued.unwrap().chain;
    check_chain(&chain, &["twin.test"]);
    chain
}

/// Row 13: the same code under two ids, both inside the server, keeps two states; the same file twice
/// is refused the second time.
#[tokio::test(flavor = "multi_thread")]
async fn row_13_the_same_code_twice() {
    let mut world = World::prepare(|settings| {
        settings.handler = "isolation = \"in-process\"".to_owned();
        settings.more = "[handlers.twin]\nplugin = \"openssl-twins\"\nisolation = \"in-process\"\n\
             [handlers.twin.config]\ncreate = true\nca_certificate = \"twin/ca.pem\"\n\
             ca_key = \"twin/ca.key\"\n[acme.twin]\nhandler = \"twin\"\n"
            .to_owned();
    })
    .await;
    let plugins = world.server.plugins();
    let one = fs::read(plugins.join(FILE)).unwrap();
    let twin = replaced(&one, b"openssl-local", b"openssl-twins");
    fs::write(plugins.join("twin.so"), twin).unwrap();
    fs::write(plugins.join("z-again.so"), &one).unwrap();
    world.server.restart();
    let issuer = |chain: String| chain.split("-----BEGIN").nth(2).map(str::to_owned);
    let (one, twin) = (chain(&world, "default").await, chain(&world, "twin").await);
    assert_ne!(issuer(one).unwrap(), issuer(twin).unwrap());
    let list = world
        .server
        .command(&["plugin", "list"])
        .run()
        .await
        .success();
    let mut rows = list.stdout.lines();
    let again = rows.find(|row| row.contains("z-again.so")).unwrap();
    assert!(again.contains("'openssl-local' is taken by"), "{again}");
}
