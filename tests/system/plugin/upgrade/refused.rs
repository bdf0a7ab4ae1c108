//! Replacements whose files are in order, and that can't be used all the same.

use std::fs;

use certdock_tests::World;
use certdock_tests::acme::{AccountKey, Client};
use certdock_tests::faults::{FaultPlugin, Harm, Library, built, replaced};
use certdock_tests::issue::issue;
use certdock_tests::server::plugin_version;
use serde_json::Value;

use super::{command, eventually, ready};

const FAULTY: &str = "libcertdock_faulty.so";

/// The same plugin in a process of its own and inside the server, with nothing wrong with it.
const HANDLERS: [(&str, &str); 2] = [
    ("apart", "isolation = \"process\""),
    ("inside", "isolation = \"in-process\""),
];

/// What dies as it is loaded, or says that it can't be opened, takes nobody's place.
#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_that_does_not_open_leaves_the_former_one() {
    let world = serve().await;
    let good = built(FAULTY);
    let serving = running(&world).await;
    assert_eq!(serving.len(), HANDLERS.len(), "{serving:?}");
    // Its CA's file has a name that no file has.
    let closed = replaced(&good, b"ca.der", b"\0a.der");
    for (number, (bytes, says)) in [
        (built("libcertdock_faulty_constructor.so"), "SIGABRT"),
        (closed, "the CA's files can't be read or written"),
    ]
    .iter()
    .enumerate()
    {
        world.server.exchange_plugin(FAULTY, bytes);
        eventually(says, async || {
            let ready = ready(&world);
            HANDLERS.iter().all(|(name, _)| {
                let refused = &ready["handlers"][name]["replacement_refused"];
                refused.as_str().is_some_and(|reason| reason.contains(says))
            })
        })
        .await;
        let ready = ready(&world);
        for (name, _) in HANDLERS {
            let status = &ready["handlers"][name];
            assert_eq!(status["state"], "serving", "{says}: {status}");
            assert_eq!(status["generation"], 1, "{says}: {status}");
            get_certificate(&world, name, number).await;
        }
        // Once the list tells of the new file, it tells what became of it.
        eventually("the list shows the new file", async || {
            in_folder(&world).await != serving[0][3]
        })
        .await;
        assert_eq!(running(&world).await, serving, "{says}");
    }
    // And the next good one is taken.
    let next = plugin_version(FAULTY, "0.2.0");
    world.server.exchange_plugin(FAULTY, &next);
    eventually("the next one serves", async || {
        let ready = ready(&world);
        HANDLERS.iter().all(|(name, _)| {
            let status = &ready["handlers"][name];
            status["generation"] == 2 && status["replacement_refused"].is_null()
        })
    })
    .await;
    for (name, _) in HANDLERS {
        get_certificate(&world, name, 9).await;
    }
}

async fn serve() -> World {
    let handlers = HANDLERS.map(|(name, isolation)| {
        let plugin = FaultPlugin {
            name,
            library: Library::Built(FAULTY),
            fault: "none",
            at: "enroll",
            harm: Harm::Contained,
        };
        plugin.tables(isolation)
    });
    let mut world = World::prepare(|settings| settings.more = handlers.concat()).await;
    for (name, _) in HANDLERS {
        fs::create_dir(world.server.dir().join(format!("ca-{name}"))).unwrap();
    }
    world.server.add_plugin(FAULTY);
    world.server.restart();
    world
}

/// What `plugin list` says of who runs which file: handler, generation, state and SHA-256.
async fn running(world: &World) -> Vec<[Value; 4]> {
    let list = command(world, &["plugin", "list"]).await;
    let rows = list["items"].as_array().unwrap().iter();
    let rows = rows.filter(|row| row["id"] == "faulty");
    let generations = rows.filter_map(|row| row["generations"].as_array());
    let mut running: Vec<_> = generations
        .flatten()
        .map(|run| ["handler", "generation", "state", "sha256"].map(|key| run[key].clone()))
        .collect();
    running.sort_by_key(|run| run[0].to_string());
    running
}

/// The SHA-256 of what lies in the plugins directory, if that can be used.
async fn in_folder(world: &World) -> Value {
    let list = command(world, &["plugin", "list"]).await;
    let mut rows = list["items"].as_array().unwrap().iter();
    let row = rows.find(|row| {
        let file = row["file"].as_str().unwrap();
        file.ends_with(FAULTY) && row["former"] != true
    });
    row.unwrap_or_else(|| panic!("{list}"))["sha256"].clone()
}

async fn get_certificate(world: &World, endpoint: &str, number: usize) {
    let directory = world.server.directory_of(endpoint);
    let mut client = Client::new(&directory, world.tls.clone()).await.unwrap();
    let account = client.new_account(AccountKey::es256()).await.unwrap();
    let name = format!("{endpoint}-{number}.test");
    issue(&mut client, &account, &[&name], &world.http01)
        .await
        .unwrap();
}
