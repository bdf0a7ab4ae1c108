//! What comes into the plugins directory while the server serves.

use std::fs;

use certdock_tests::World;
use certdock_tests::acme::{AccountKey, Client};
use certdock_tests::issue::issue;

use super::{LIBRARY, eventually, generation, ready, version};

const PENDING: &str = "libcertdock_pending.so";

/// Dropping in a `.so` and its `.toml` is the whole installation.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_and_its_configuration_are_dropped_in() {
    let world = World::start().await;
    let configuration = "[handlers.officer]\nplugin = \"pending\"\nisolation = \"in-process\"\n\
        [handlers.officer.config]\ndirectory = \"officer\"\n[acme.officer]\nhandler = \"officer\"\n";
    // The configuration alone names a plugin that is not there, and that is said.
    world.server.add_config("officer.toml", configuration);
    eventually("the missing plugin is named", async || {
        let ready = ready(&world);
        let reason = ready["configuration"]["reason"]
            .as_str()
            .unwrap_or_default();
        reason.contains("officer.toml:2") && reason.contains("there is no plugin 'pending'")
    })
    .await;
    assert!(ready(&world)["handlers"]["officer"].is_null());

    world.server.add_plugin(PENDING);
    eventually("it serves", async || {
        let ready = ready(&world);
        ready["handlers"]["officer"]["state"] == "serving" && ready["configuration"]["ok"] == true
    })
    .await;
    let approved = world.server.dir().join("conf.d/officer/approved");
    fs::write(approved.join("all"), "").unwrap();
    let directory = world.server.directory_of("officer");
    let mut client = Client::new(&directory, world.tls.clone()).await.unwrap();
    let account = client.new_account(AccountKey::es256()).await.unwrap();
    issue(&mut client, &account, &["o.test"], &world.http01)
        .await
        .unwrap();
    // Nothing happened to the other one.
    assert_eq!(generation(&world), 1);
}

/// A replacement that can't be used leaves the former one serving, and it is said everywhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_replacement_is_named() {
    let world = World::start().await;
    let mut cut = version(1);
    cut.truncate(cut.len() / 2);
    world.server.exchange_plugin(LIBRARY, &cut);
    eventually("it is refused", async || {
        ready(&world)["handlers"]["local"]["replacement_refused"].is_string()
    })
    .await;
    let ready = ready(&world);
    assert_eq!(ready["handlers"]["local"]["state"], "serving");
    let list = world
        .server
        .command(&["plugin", "list"])
        .run()
        .await
        .success()
        .stdout;
    let (_, metrics) = world.server.admin("/metrics").unwrap();
    let log = world.server.log();
    for (place, text, expect) in [
        (
            "readyz",
            ready["refused_plugins"].to_string(),
            "cut off or damaged",
        ),
        ("list", list.clone(), "cut off or damaged"),
        ("list", list, "local@1"),
        ("metrics", metrics, "certdock_plugins_refused 1"),
        ("log", log, "cut off or damaged"),
    ] {
        assert!(text.contains(expect), "{place}: no {expect} in {text}");
    }
    let (mut client, account) = world.account().await;
    issue(&mut client, &account, &["r.test"], &world.http01)
        .await
        .unwrap();
}
