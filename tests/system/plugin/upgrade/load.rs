//! Upgrades and rollbacks under load, with no request that fails, and no memory that is not given back.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use certdock_tests::World;
use certdock_tests::load::Load;

use super::{LIBRARY, command, eventually, generation, running, upgrade, version};

const CLIENTS: usize = 32;
const UPGRADES: usize = 20;
const ROLLBACKS: usize = 5;

/// Certificates that are issued, and upgrades that are made, before memory is measured.
const WARM_UP: usize = CLIENTS * 8;
const WARM_UP_UPGRADES: usize = 5;

/// KiB of memory that the server and each process below it take by themselves: what they have mapped
/// together with others, such as the program's code, is counted by its share.
fn memory(world: &World) -> BTreeMap<i32, u64> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let name = entry.unwrap().file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // It may have ended meanwhile.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // After the name, which is in brackets: state, parent.
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let parent = after_name.split_whitespace().nth(1);
        parents.extend(parent.map(|parent| (pid, parent.parse::<i32>().unwrap())));
    }
    let server = world.server.pid().as_raw_nonzero().get();
    let is_below = |mut pid: i32| loop {
        if pid == server {
            return true;
        }
        match parents.get(&pid) {
            Some(&parent) => pid = parent,
            None => return false,
        }
    };
    let own = parents.keys().copied().filter(|&pid| is_below(pid));
    own.filter_map(|pid| {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        let size = line.trim().trim_end_matches("kB").trim().parse().unwrap();
        Some((pid, size))
    })
    .collect()
}

/// Each generation is a process of its own, and nothing of it stays behind: at the end of it all, under
/// the same load, the server and its one worker take at most a fifth more memory than at the beginning.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_upgraded_and_rolled_back_under_load() {
    let world = World::start().await;
    let load = Load::start(&world, "default", CLIENTS).await;
    // What is made once and kept is there by then. That includes the room for a plugin's file, which
    // the allocator does not give back for each thread that has read one.
    load.goes_on(WARM_UP).await;
    for number in UPGRADES + 1..=UPGRADES + WARM_UP_UPGRADES {
        upgrade(&world, number).await;
    }
    load.goes_on(CLIENTS).await;
    eventually("the last worker alone is left", async || {
        memory(&world).len() == 2
    })
    .await;
    let before = memory(&world);
    let most = before.values().sum::<u64>() * 6 / 5;
    for number in 1..=UPGRADES {
        upgrade(&world, number).await;
        load.goes_on(CLIENTS / 4).await;
        if number % (UPGRADES / ROLLBACKS) == 0 {
            let now = command(&world, &["plugin", "rollback", "local"]).await;
            assert_eq!(now["rolled_back"], true, "{now}");
            load.goes_on(CLIENTS / 4).await;
        }
    }
    let generations = 1 + WARM_UP_UPGRADES + UPGRADES + ROLLBACKS;
    assert_eq!(generation(&world), generations as u64);
    // The last one to be replaced may be closing yet.
    let patience = Instant::now() + Duration::from_secs(30);
    let after = loop {
        let now = memory(&world);
        if now.len() == 2 && now.values().sum::<u64>() <= most {
            break now;
        }
        assert!(
            Instant::now() < patience,
            "KiB of memory before {before:?}, after {now:?}: more than {most}"
        );
        load.goes_on(1).await;
    };
    let issued = load.finish().await;
    assert!(issued > WARM_UP + CLIENTS * 4, "{issued}");
    eprintln!("{issued} certificates; KiB of memory before {before:?}, after {after:?}");

    // What has been replaced is closed, and the last rollback holds.
    let running = running(&world).await;
    assert_eq!(running.len(), 1, "{running:?}");
    assert_eq!(running[0]["version"], "2.9.0", "{running:?}");
    let log = world.server.log();
    assert!(!log.contains("handler is down"), "{log}");
}

/// Whatever happens to the file changes nothing for what runs, in a process of its own or in the server.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugins_file_may_be_damaged_under_load() {
    use std::fs::{self, File};
    use std::os::unix::fs::FileExt as _;

    let world = World::with(|settings| {
        settings.more =
            "[handlers.inside]\nplugin = \"openssl-local\"\nisolation = \"in-process\"\n\
             [handlers.inside.config]\ncreate = true\nca_certificate = \"inside/ca.pem\"\n\
             ca_key = \"inside/ca.key\"\n[acme.inside]\nhandler = \"inside\"\n"
                .to_owned();
    })
    .await;
    let load = Load::start(&world, "default", CLIENTS / 2).await;
    let inside = Load::start(&world, "inside", CLIENTS / 2).await;
    let goes_on = async |more: usize| {
        tokio::join!(load.goes_on(more / 2), inside.goes_on(more / 2));
    };
    let generations = || {
        let ready = super::ready(&world);
        let of = |name| ready["handlers"][name]["generation"].as_u64().unwrap();
        [of("local"), of("inside")]
    };
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
        let before = generations();
        damage();
        goes_on(CLIENTS * 2).await;
        eventually(name, async || {
            let ready = super::ready(&world);
            let refused = ready["refused_plugins"].as_array().unwrap();
            refused.len() == usize::from(*name != "removed")
        })
        .await;
        goes_on(CLIENTS).await;
        assert_eq!(generations(), before, "{name}");
        let ready = super::ready(&world);
        for handler in ["local", "inside"] {
            let refused = &ready["handlers"][handler]["replacement_refused"];
            assert_eq!(refused.is_string(), *name != "removed", "{name}: {ready}");
        }
        // And the next good one is taken.
        world.server.exchange_plugin(LIBRARY, &version(50 + number));
        eventually(name, async || {
            let now = generations();
            now[0] > before[0] && now[1] > before[1]
        })
        .await;
        goes_on(CLIENTS).await;
    }
    load.finish().await;
    inside.finish().await;
    // A worker that died of it would have been replaced without anybody's noticing.
    let (_, metrics) = world.server.admin("/metrics").unwrap();
    assert!(
        !metrics.contains("certdock_worker_deaths_total{"),
        "{metrics}"
    );
}
