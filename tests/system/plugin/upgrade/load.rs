//! Upgrades and rollbacks under load, with no request that fails.

use certdock_tests::World;
use certdock_tests::load::Load;

use super::{LIBRARY, command, generation, running, upgrade, version};

const CLIENTS: usize = 32;
const UPGRADES: usize = 20;
const ROLLBACKS: usize = 5;

/// Bytes of memory that the server and its workers take.
fn memory(world: &World) -> f64 {
    let (_, text) = world.server.admin("/metrics").unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("certdock_process_resident_bytes "));
    line.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_upgraded_and_rolled_back_under_load() {
    let world = World::start().await;
    let load = Load::start(&world, "default", CLIENTS).await;
    load.goes_on(CLIENTS * 2).await;
    let before = memory(&world);
    for number in 1..=UPGRADES {
        upgrade(&world, number).await;
        load.goes_on(CLIENTS / 4).await;
        if number % (UPGRADES / ROLLBACKS) == 0 {
            let now = command(&world, &["plugin", "rollback", "local"]).await;
            assert_eq!(now["rolled_back"], true, "{now}");
            load.goes_on(CLIENTS / 4).await;
        }
    }
    let generations = 1 + UPGRADES + ROLLBACKS;
    assert_eq!(generation(&world), generations as u64);
    let issued = load.finish().await;
    assert!(issued > CLIENTS * 4, "{issued}");
    let after = memory(&world);
    eprintln!("{issued} certificates; memory before {before}, after {after}");

    // What has been replaced is closed, and the last rollback holds.
    let running = running(&world).await;
    assert_eq!(running.len(), 1, "{running:?}");
    assert_eq!(running[0]["version"], "2.9.0", "{running:?}");
    let log = world.server.log();
    assert!(!log.contains("handler is down"), "{log}");
}

/// Whatever happens to the file changes nothing for what runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugins_file_may_be_damaged_under_load() {
    use std::fs::{self, File};
    use std::os::unix::fs::FileExt as _;

    let world = World::start().await;
    let load = Load::start(&world, "default", CLIENTS).await;
    let path = world.server.plugins().join(LIBRARY);
    let good = fs::read(&path).unwrap();
    let garbage = vec![0xcc; good.len()];
    type Damage<'a> = (&'a str, &'a (dyn Fn() + Sync));
    let damages: [Damage<'_>; 5] = [
        ("written over in place", &|| {
            let file = File::options().write(true).open(&path).unwrap();
            file.write_all_at(&garbage, 0).unwrap();
        }),
        ("cut in place", &|| {
            let file = File::options().write(true).open(&path).unwrap();
            file.set_len(good.len() as u64 / 2).unwrap();
        }),
        ("emptied", &|| drop(File::create(&path).unwrap())),
        ("another in its place", &|| {
            world.server.exchange_plugin(LIBRARY, b"no library");
        }),
        ("removed", &|| fs::remove_file(&path).unwrap()),
    ];
    for (number, (name, damage)) in damages.iter().enumerate() {
        let before = generation(&world);
        damage();
        load.goes_on(CLIENTS * 2).await;
        super::eventually(name, async || {
            let ready = super::ready(&world);
            let refused = ready["refused_plugins"].as_array().unwrap();
            refused.len() == usize::from(*name != "removed")
        })
        .await;
        load.goes_on(CLIENTS).await;
        assert_eq!(generation(&world), before, "{name}");
        let ready = super::ready(&world);
        let refused = &ready["handlers"]["local"]["replacement_refused"];
        assert_eq!(refused.is_string(), *name != "removed", "{name}: {ready}");
        // And the next good one is taken.
        world.server.exchange_plugin(LIBRARY, &version(50 + number));
        super::eventually(name, async || generation(&world) > before).await;
        load.goes_on(CLIENTS).await;
    }
    load.finish().await;
}
