//! `certdock plugin rollback`

use std::fs;

use certdock_tests::World;

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
