//! Configurations that change while the server serves.

use std::fs;

use certdock_tests::World;
use certdock_tests::acme::{AccountKey, Client};
use certdock_tests::issue::issue;
use certdock_tests::load::Load;
use http::Method;
use rustix::process::Signal;

use super::{LIBRARY, eventually, generation, ready};

pub(super) async fn status(world: &World, path: &str) -> u16 {
    let url = format!("{}{path}", world.server.settings.base_url());
    let mut client = world.client().await;
    client.plain(Method::GET, &url).await.unwrap().status
}

pub(super) const SECOND: &str = "[handlers.second]\nplugin = \"openssl-local\"\nisolation = \"in-process\"\n\
    [handlers.second.config]\ncreate = true\nca_certificate = \"ca.pem\"\nca_key = \"ca.key\"\n\
    [acme.second]\nhandler = \"second\"\n\
    [est.second]\nhandler = \"second\"\nauth = \"basic\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn handlers_and_endpoints_come_change_and_go() {
    let world = World::start().await;
    let load = Load::start(&world, "default", 4).await;
    world.server.add_config("second.toml", SECOND);
    eventually("the directory is there", async || {
        status(&world, "/acme/second/directory").await == 200
    })
    .await;
    assert_eq!(status(&world, "/.well-known/est/second/cacerts").await, 200);
    let mut client = Client::new(&world.server.directory_of("second"), world.tls.clone())
        .await
        .unwrap();
    let account = client.new_account(AccountKey::es256()).await.unwrap();
    let issued = issue(&mut client, &account, &["a.test"], &world.http01);
    let first = issued.await.unwrap();

    // Another CA for the handler, a rule for the endpoint: accounts stay.
    let changed = SECOND
        .replace("ca.pem", "new.pem")
        .replace("ca.key", "new.key")
        .replace(
            "handler = \"second\"\n[est",
            "handler = \"second\"\nallowed_names = [\"b.test\"]\n[est",
        );
    world.server.add_config("second.toml", &changed);
    eventually("the endpoint has its rule", async || {
        let mut client = Client::new(&world.server.directory_of("second"), world.tls.clone())
            .await
            .unwrap();
        let order = certdock_tests::issue::new_order(&mut client, &account, &["a.test"]).await;
        order.unwrap().status == 403
    })
    .await;
    let issued = issue(&mut client, &account, &["b.test"], &world.http01);
    let second = issued.await.unwrap();
    let issuer = |chain: &str| pem::parse_many(chain).unwrap()[1].clone();
    assert_ne!(issuer(&first.chain), issuer(&second.chain));
    assert_eq!(ready(&world)["handlers"]["second"]["generation"], 2);

    fs::remove_file(world.server.dir().join("conf.d/second.toml")).unwrap();
    eventually("the directory is gone", async || {
        status(&world, "/acme/second/directory").await == 404
    })
    .await;
    assert_eq!(status(&world, "/.well-known/est/second/cacerts").await, 404);
    assert!(ready(&world)["handlers"]["second"].is_null());
    assert_eq!(generation(&world), 1);
    load.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_changes_nothing_and_is_named_in_one_line() {
    let world = World::start().await;
    let before = world.server.log().lines().count();
    let wrong = format!("{SECOND}\n[acme.third]\nhandler = \"thrid\"\nchallenge = 1\n");
    world.server.add_config("second.toml", &wrong);
    eventually("the mistake is named", async || {
        let ready = ready(&world);
        let reason = ready["configuration"]["reason"]
            .as_str()
            .unwrap_or_default();
        reason.contains("second.toml:15") && reason.contains("and 1 more")
    })
    .await;
    let said: Vec<String> = world
        .server
        .log()
        .lines()
        .skip(before)
        .map(str::to_owned)
        .collect();
    let warnings = said.iter().filter(|line| line.contains("WARN")).count();
    assert_eq!(warnings, 1, "{said:#?}");
    assert_eq!(status(&world, "/acme/second/directory").await, 404);
    assert_eq!(status(&world, "/acme/default/directory").await, 200);

    // A plugin's own mistakes count like all others.
    world
        .server
        .add_config("second.toml", &SECOND.replace("create", "crate"));
    eventually("the plugin's key is named", async || {
        let ready = ready(&world);
        let reason = ready["configuration"]["reason"]
            .as_str()
            .unwrap_or_default();
        reason.contains("second.toml:5") && reason.contains("crate")
    })
    .await;
    world.server.add_config("second.toml", SECOND);
    eventually("the right one is in force", async || {
        ready(&world)["configuration"]["ok"] == true
            && status(&world, "/acme/second/directory").await == 200
    })
    .await;
    assert_eq!(generation(&world), 1);
}

/// SIGHUP reads everything again, and says what takes a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_reads_everything_again() {
    let world = World::start().await;
    let text = world.server.settings.toml();
    let admin = format!(
        "listen = \"127.0.0.1:{}\"",
        world.server.settings.admin_port
    );
    assert!(text.contains(&admin));
    let changed = text
        .replace(
            &admin,
            &format!("listen = \"127.0.0.1:{}\"", certdock_tests::ports::free()),
        )
        .replace("[handlers.local]", "[handlers.local]\nthreads = 7");
    world.server.write_config(&changed);
    world.server.signal(Signal::HUP);
    eventually("the handler has changed", async || generation(&world) == 2).await;
    let log = world.server.log();
    let line = log.lines().find(|line| line.contains("takes a restart"));
    assert!(
        line.is_some_and(|line| line.contains("admin.listen")),
        "{log}"
    );
    // An idle reload says that all is as it is on the disk, and exchanges nothing.
    world.server.signal(Signal::HUP);
    eventually("it is said", async || {
        world
            .server
            .log()
            .matches("in force as it is on the disk")
            .count()
            >= 2
    })
    .await;
    assert_eq!(generation(&world), 2);
}

/// Nobody watches the files that a handler's configuration names, so what is refused is looked at again.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_for_a_file_that_is_not_there_is_taken_up_once_it_is() {
    let world = World::start().await;
    let second = SECOND.replace("create = true\n", "");
    world.server.add_config("second.toml", &second);
    eventually("the missing file is named", async || {
        let ready = ready(&world);
        let reason = ready["configuration"]["reason"].as_str();
        reason.is_some_and(|reason| reason.contains("second.toml"))
    })
    .await;
    for (from, to) in [("ca/issuing.pem", "ca.pem"), ("ca/issuing.key", "ca.key")] {
        let folder = world.server.dir();
        fs::copy(folder.join(from), folder.join("conf.d").join(to)).unwrap();
    }
    eventually("the directory is there", async || {
        status(&world, "/acme/second/directory").await == 200
    })
    .await;
    let log = world.server.log();
    assert_eq!(log.matches("is not taken up").count(), 1, "{log}");
    eventually("nothing is refused", async || {
        ready(&world)["configuration"]["ok"] == true
    })
    .await;
}

/// A handler that was down for want of a plugin says what its plugin has to say once that is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_handler_without_a_plugin_is_down_for_what_its_plugin_says() {
    let mut world = World::prepare(|settings| settings.ca = "crate = true".to_owned()).await;
    let good = fs::read(world.server.plugins().join(LIBRARY)).unwrap();
    world.server.exchange_plugin(LIBRARY, &good[..1000]);
    world.server.restart();
    let reason = || {
        let ready = ready(&world);
        ready["handlers"]["local"]["reason"]
            .as_str()
            .map(str::to_owned)
    };
    assert!(reason().unwrap().contains("no usable plugin"));
    world.server.exchange_plugin(LIBRARY, &good);
    eventually("it says why", async || {
        reason().is_some_and(|reason| reason.contains("crate"))
    })
    .await;
    let right = world.server.settings.toml().replace("crate = true", "");
    world.server.write_config(&right);
    eventually("it serves", async || reason().is_none()).await;
}
