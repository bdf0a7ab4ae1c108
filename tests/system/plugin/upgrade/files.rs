//! What comes into the plugins directory while the server serves.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use certdock_tests::World;
use certdock_tests::acme::{AccountKey, Client};
use certdock_tests::faults::{named, replaced};
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

/// So is one that its handler can't use, wherever that comes out; and each is said once.
#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_that_its_handler_can_not_use_is_named() {
    let fault = named("panic-in-open");
    let tables = fault.tables("");
    let mut world = World::prepare(|settings| {
        settings.more = tables.replace("fault = \"panic\"", "fault = \"none\"");
    })
    .await;
    fault.write(&world.server.plugins().join("faulty.so"));
    world.server.restart();
    let world = &world;
    let refused = async |handler: &str, file: &str, reason: &str| {
        eventually("it is refused", async || {
            let ready = ready(world);
            let refused = ready["handlers"][handler]["replacement_refused"].as_str();
            refused.is_some_and(|said| said.contains(file) && said.contains(reason))
        })
        .await;
        let list = world.server.command(&["plugin", "list"]).run().await;
        let list = list.success().stdout;
        let row = list
            .lines()
            .find(|row| row.contains(&format!("{handler}@1")));
        let row = row.unwrap_or_else(|| panic!("{list}"));
        assert!(
            row.contains("replacement refused") && row.contains(reason),
            "{row}"
        );
    };
    let said = |handler: &str, file: &str| {
        let log = world.server.log();
        let of_it = |line: &&str| {
            let warning = line.contains("is not taken up");
            warning && line.contains(&format!("handler={handler}")) && line.contains(file)
        };
        log.lines().filter(of_it).count()
    };
    let counted = |handler: &str| {
        let (_, metrics) = world.server.admin("/metrics").unwrap();
        let of_it = |line: &&str| {
            line.starts_with("certdock_handlers_replaced")
                && line.contains(&format!("\"{handler}\""))
                && line.contains("\"refused\"")
        };
        let line = metrics.lines().find(of_it);
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
    };

    // One whose configuration has another key.
    let complains = replaced(&version(1), b"ca_certificate", b"ca_certificatf");
    world.server.exchange_plugin(LIBRARY, &complains);
    refused("local", LIBRARY, "ca_certificate").await;
    // One that is refused beside the place of the former.
    fs::remove_file(world.server.plugins().join(LIBRARY)).unwrap();
    let other = world.server.plugins().join("other.so");
    world.server.exchange_plugin("begun", &version(2));
    let begun = world.server.plugins().join("begun");
    fs::set_permissions(&begun, Permissions::from_mode(0o666)).unwrap();
    fs::rename(begun, other).unwrap();
    refused("local", "other.so", "chmod go-w").await;
    // One that can't be opened.
    world.server.write_config(
        &world
            .server
            .settings
            .toml()
            .replace("fault = \"none\"", "fault = \"panic\""),
    );
    refused(fault.name, "faulty.so", "can't be opened").await;

    // All are looked at again meanwhile.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(said("local", LIBRARY), 1);
    assert_eq!(said("local", "other.so"), 1);
    assert_eq!(said(fault.name, "faulty.so"), 1);
    assert_eq!(counted("local"), Some(2));
    assert_eq!(counted(fault.name), Some(1));
    assert_eq!(generation(world), 1);
}
