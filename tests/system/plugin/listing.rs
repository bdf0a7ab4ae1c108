//! `certdock plugin …`: what an operator sees of the plugins.

use certdock_tests::World;
use certdock_tests::acme::{AccountKey, Client, b64};
use certdock_tests::issue::{authorize_http01, csr, new_order};
use certdock_tests::server::PLUGINS;
use rcgen::KeyPair;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn the_list_shows_both_plugins() {
    let world = World::start().await;
    let text = world
        .server
        .command(&["plugin", "list"])
        .run()
        .await
        .success()
        .stdout;
    for (id, line) in [("openssl-local", "0.1.0"), ("skeleton", "0.1.0")] {
        let row = text.lines().find(|row| row.contains(id));
        let row = row.unwrap_or_else(|| panic!("no {id} in:\n{text}"));
        assert!(row.contains(line), "no version: {row}");
        assert!(row.contains("1.1.0"), "no API version: {row}");
        assert!(row.contains("certdock"), "no vendor: {row}");
    }
    let json = world
        .server
        .command(&["plugin", "list", "--json"])
        .run()
        .await
        .success()
        .stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    for id in ["openssl-local", "skeleton"] {
        assert!(json.to_string().contains(&format!("\"{id}\"")), "{json}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_inspected_without_running_it() {
    let world = World::prepare(|_| {}).await;
    for file in PLUGINS {
        let path = world.server.plugins().join(file);
        let inspect = world
            .server
            .command(&["plugin", "inspect"])
            .arg(path)
            .run()
            .await
            .success();
        assert!(inspect.stdout.contains("1.1.0"), "{}", inspect.stdout);
    }
    let bad = world.server.dir().join("bad.so");
    std::fs::write(&bad, "not a plugin").unwrap();
    let inspect = world
        .server
        .command(&["plugin", "inspect"])
        .arg(&bad)
        .run()
        .await;
    assert_eq!(inspect.status, Some(1), "{}", inspect.stdout);
    assert!(inspect.stderr.contains("bad.so"), "{}", inspect.stderr);
}

/// The template does nothing yet, and says so in a way that a client understands.
#[tokio::test(flavor = "multi_thread")]
async fn the_skeleton_answers_with_a_clear_fault() {
    let world = World::with(|settings| {
        settings.more =
            "[handlers.template]\nplugin = \"skeleton\"\n\n[acme.template]\nhandler = \"template\"\n".to_owned();
    })
    .await;
    let directory = world.server.directory_of("template");
    let mut client = Client::new(&directory, world.tls.clone()).await.unwrap();
    let account = client.new_account(AccountKey::es256()).await.unwrap();
    let order = new_order(&mut client, &account, &["s.test"])
        .await
        .unwrap()
        .json();
    let url = order["authorizations"][0].as_str().unwrap();
    authorize_http01(&mut client, &account, url, &world.http01)
        .await
        .unwrap();
    let csr = b64(csr(&KeyPair::generate().unwrap(), &["s.test"]));
    let finalize = order["finalize"].as_str().unwrap();
    let answer = client
        .post(&account, finalize, &json!({ "csr": csr }))
        .await
        .unwrap();
    let text = answer.text();
    assert!(text.contains("not implemented"), "{} {text}", answer.status);
}
