//! `certdock plugin rollback`

use std::collections::BTreeMap;
use std::fs;

use certdock_tests::World;
use certdock_tests::program::build_dir;
use serde_json::Value;

use super::configuration::{SECOND, status};
use super::{LIBRARY, command, eventually, generation, running, upgrade, version};

async fn only_version(world: &World) -> String {
    let running = running(world).await;
    assert_eq!(running.len(), 1, "{running:?}");
    running[0]["version"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_holds_until_the_file_changes() {
    let mut world = World::start().await;
    let nothing = world.server.command(&["plugin", "rollback", "local"]);
    let nothing = nothing.run().await;
    assert_eq!(nothing.status, Some(1), "{nothing:?}");
    assert!(
        nothing.stderr.contains("nothing to roll back to"),
        "{nothing:?}"
    );
    let unknown = world.server.command(&["plugin", "rollback", "other"]);
    let unknown = unknown.run().await;
    assert_eq!(unknown.status, Some(1), "{unknown:?}");
    assert!(
        unknown.stderr.contains("configured are: local"),
        "{unknown:?}"
    );

    upgrade(&world, 1).await;
    upgrade(&world, 2).await;
    assert_eq!(only_version(&world).await, "1.2.0");
    let now = command(&world, &["plugin", "rollback", "local"]).await;
    assert_eq!(
        (&now["version"], &now["rolled_back"]),
        (&"1.1.0".into(), &true.into())
    );
    let text = world
        .server
        .command(&["plugin", "list"])
        .run()
        .await
        .success()
        .stdout;
    assert!(text.contains("local@4 (rolled back)"), "{text}");

    // The same file once more is no change, nor is anything else in the folder, nor a restart.
    world.server.exchange_plugin(LIBRARY, &version(2));
    fs::write(world.server.plugins().join("x.so"), "nonsense").unwrap();
    eventually("the other file is refused", async || {
        !super::ready(&world)["refused_plugins"]
            .as_array()
            .unwrap()
            .is_empty()
    })
    .await;
    assert_eq!(only_version(&world).await, "1.1.0");
    fs::remove_file(world.server.plugins().join("x.so")).unwrap();
    world.server.terminate();
    world.server.restart();
    assert_eq!(only_version(&world).await, "1.1.0");

    // Back once more, to what ran at first.
    let now = command(&world, &["plugin", "rollback", "local"]).await;
    assert_eq!(now["version"], "0.1.0");
    upgrade(&world, 3).await;
    let now = running(&world).await;
    assert_eq!(
        (&now[0]["version"], &now[0]["rolled_back"]),
        (&"1.3.0".into(), &false.into())
    );
    let now = command(&world, &["plugin", "rollback", "local"]).await;
    assert_eq!(now["version"], "0.1.0");
    let now = command(&world, &["plugin", "rollback", "local", "--release"]).await;
    assert_eq!(
        (&now["version"], &now["rolled_back"]),
        (&"1.3.0".into(), &false.into())
    );
}

/// What ran before the server was stopped can be gone back to, and not all of it is kept for ever.
#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_while_the_server_is_down_can_be_rolled_back() {
    let mut world = World::start().await;
    for number in 1..=5 {
        upgrade(&world, number).await;
    }
    let kept = world.server.dir().join("former-plugins");
    let count = || {
        let names = fs::read_dir(&kept)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        names
            .filter(|path| path.extension().is_some_and(|kind| kind == "so"))
            .count()
    };
    assert_eq!(count(), 4);
    world.server.terminate();
    world.server.exchange_plugin(LIBRARY, &version(6));
    world.server.restart();
    assert_eq!(only_version(&world).await, "1.6.0");
    eventually("what runs is kept", async || count() == 4).await;
    let now = command(&world, &["plugin", "rollback", "local"]).await;
    assert_eq!(now["version"], "1.5.0");
    assert_eq!(generation(&world), 2);

    // What was kept has to be what was checked.
    let sha256 = running(&world).await[0]["sha256"]
        .as_str()
        .unwrap()
        .to_owned();
    let now = command(&world, &["plugin", "rollback", "local"]).await;
    assert_eq!(now["version"], "1.4.0");
    world.server.terminate();
    for entry in fs::read_dir(&kept).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "so") {
            fs::write(path, version(7)).unwrap();
        }
    }
    world.server.restart();
    let running = running(&world).await;
    assert_eq!(running[0]["version"], "1.6.0", "{running:?}");
    assert!(
        !running.iter().any(|run| run["sha256"] == sha256),
        "{running:?}"
    );
    assert!(
        world.server.log().contains("has been changed"),
        "{}",
        world.server.log()
    );
}

/// The version that each handler runs.
async fn versions(world: &World) -> BTreeMap<String, String> {
    let text = |run: &Value, key: &str| run[key].as_str().unwrap().to_owned();
    let running = running(world).await;
    let pairs = running
        .iter()
        .filter(|run| run["state"] == "serving")
        .map(|run| (text(run, "handler"), text(run, "version")));
    pairs.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_needs_no_file_in_the_directory() {
    let mut world = World::start().await;
    upgrade(&world, 1).await;
    let now = command(&world, &["plugin", "rollback", "local"]).await;
    assert_eq!(now["version"], "0.1.0");
    fs::remove_file(world.server.plugins().join(LIBRARY)).unwrap();
    world.server.terminate();
    world.server.command(&["check"]).run().await.success();
    world.server.restart();
    assert_eq!(only_version(&world).await, "0.1.0");

    // The file that was rolled back from stays aside when it comes back, and when it is cut.
    world.server.exchange_plugin(LIBRARY, &version(1));
    eventually("the file is back", async || {
        let list = command(&world, &["plugin", "list"]).await;
        let rows = list["items"].as_array().unwrap();
        rows.iter()
            .any(|row| row["version"] == "1.1.0" && row["generations"].is_null())
    })
    .await;
    assert_eq!(only_version(&world).await, "0.1.0");
    let cut = version(1)[..1000].to_vec();
    world.server.exchange_plugin(LIBRARY, &cut);
    world.server.terminate();
    world.server.restart();
    assert_eq!(only_version(&world).await, "0.1.0");
    assert_eq!(generation(&world), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_from_a_file_that_is_not_pinned_any_more_holds() {
    let mut world = World::prepare(|_| {}).await;
    let library = world.server.plugins().join(LIBRARY);
    let good = fs::read(&library).unwrap();
    let mut pins = Vec::new();
    for bytes in [good, version(1)] {
        world.server.exchange_plugin(LIBRARY, &bytes);
        let file = library.to_str().unwrap();
        let inspected = command(&world, &["plugin", "inspect", file]).await;
        pins.push(inspected["sha256"].as_str().unwrap().to_owned());
    }
    let config = |pins: &[String]| {
        let text = world.server.settings.toml();
        let pins = format!("[plugins.pins]\nopenssl-local = {pins:?}\n");
        text.replace("[plugins]", "[plugins]\nrequire = \"pin\"") + &pins
    };
    let (both, good) = (config(&pins), config(&pins[..1]));
    fs::copy(build_dir().join(LIBRARY), &library).unwrap();
    world.server.write_config(&both);
    world.server.restart();
    upgrade(&world, 1).await;
    let now = command(&world, &["plugin", "rollback", "local"]).await;
    assert_eq!(now["version"], "0.1.0");
    world.server.terminate();
    world.server.write_config(&good);
    world.server.restart();
    assert_eq!(only_version(&world).await, "0.1.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_is_away_for_a_moment_keeps_its_rollback() {
    let mut world = World::start().await;
    let fragment = world.server.dir().join("conf.d/second.toml");
    let is_there = async |world: &World| status(world, "/acme/second/directory").await == 200;
    world.server.add_config("second.toml", SECOND);
    eventually("the second handler is there", async || {
        is_there(&world).await
    })
    .await;
    upgrade(&world, 1).await;
    let now = command(&world, &["plugin", "rollback", "second"]).await;
    assert_eq!(now["version"], "0.1.0");
    for restarts in [false, true] {
        fs::remove_file(&fragment).unwrap();
        eventually("the handler is gone", async || !is_there(&world).await).await;
        if restarts {
            world.server.terminate();
            world.server.restart();
        }
        world.server.add_config("second.toml", SECOND);
        eventually("the handler is back", async || is_there(&world).await).await;
        eventually("it is listed", async || {
            versions(&world).await.contains_key("second")
        })
        .await;
        let versions = versions(&world).await;
        assert_eq!(versions["second"], "0.1.0");
        assert_eq!(versions["local"], "1.1.0");
    }
}

/// What can't be taken again is no success, and what was left aside stays so.
#[tokio::test(flavor = "multi_thread")]
async fn a_release_of_a_file_that_can_not_be_used_says_why() {
    let mut world = World::start().await;
    upgrade(&world, 1).await;
    command(&world, &["plugin", "rollback", "local"]).await;
    let released = async |world: &World, reason: &str| {
        let command = world
            .server
            .command(&["plugin", "rollback", "local", "--release"]);
        let outcome = command.run().await;
        assert_eq!(outcome.status, Some(1), "{outcome:?}");
        assert!(outcome.stderr.contains(reason), "{outcome:?}");
        assert_eq!(only_version(world).await, "0.1.0");
        assert!(running(world).await[0]["rolled_back"] == true);
    };
    let exchanged = |world: &World| world.server.log().matches("plugin-exchanged").count();
    let before = exchanged(&world);
    let cut = version(1)[..100_000].to_vec();
    world.server.exchange_plugin(LIBRARY, &cut);
    released(&world, "cut off or damaged").await;
    fs::remove_file(world.server.plugins().join(LIBRARY)).unwrap();
    released(&world, "there is no file of the plugin 'openssl-local'").await;
    assert_eq!(exchanged(&world), before);
    // It holds as before.
    world.server.exchange_plugin(LIBRARY, &version(1));
    world.server.terminate();
    world.server.restart();
    assert_eq!(only_version(&world).await, "0.1.0");
    let now = command(&world, &["plugin", "rollback", "local", "--release"]).await;
    assert_eq!(now["version"], "1.1.0");
    assert_eq!(exchanged(&world), before + 1);
}
