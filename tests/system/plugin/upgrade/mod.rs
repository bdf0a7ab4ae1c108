//! Plugins and configurations that are exchanged while the server serves.

mod configuration;
mod files;
mod load;
mod pending;
mod refused;
mod rollback;
mod signature;
mod starting;

use std::time::{Duration, Instant};

use certdock_tests::World;
use certdock_tests::server::plugin_version;
use serde_json::Value;

const LIBRARY: &str = "libcertdock_openssl_local.so";

/// The server notices a change within a second; a debug build on a busy machine takes longer.
const SOON: Duration = Duration::from_secs(30);

async fn eventually(what: &str, check: impl AsyncFn() -> bool) {
    let end = Instant::now() + SOON;
    while !check().await {
        assert!(Instant::now() < end, "not within {SOON:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn ready(world: &World) -> Value {
    let (status, text) = world.server.admin("/readyz").unwrap();
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn generation(world: &World) -> u64 {
    let ready = ready(world);
    ready["handlers"]["local"]["generation"].as_u64().unwrap()
}

/// The plugin as another version of itself: what it does is the same.
fn version(number: usize) -> Vec<u8> {
    assert!(number < 100);
    plugin_version(LIBRARY, &format!("{}.{}.0", number / 10 + 1, number % 10))
}

/// Puts another version in the plugin's place and waits until it serves and is listed.
async fn upgrade(world: &World, number: usize) {
    let before = generation(world);
    world.server.exchange_plugin(LIBRARY, &version(number));
    eventually("the next generation serves", async || {
        let now = generation(world);
        now > before
            && running(world)
                .await
                .iter()
                .any(|run| run["generation"] == now)
    })
    .await;
}

/// What `plugin list --json` says of who runs what.
async fn running(world: &World) -> Vec<Value> {
    let list = command(world, &["plugin", "list"]).await;
    let rows = list["items"].as_array().unwrap().iter();
    let generations = rows.filter_map(|row| row["generations"].as_array());
    generations.flatten().cloned().collect()
}

async fn command(world: &World, args: &[&str]) -> Value {
    let args: Vec<_> = args.iter().chain(&["--json"]).copied().collect();
    let outcome = world.server.command(&args).run().await.success();
    serde_json::from_str(&outcome.stdout).unwrap()
}
