//! Certificates that take their time, CAs that do odd things, and nothing lost in any of it.

mod certifier;
mod clients;
mod operator;
mod reactions;

use std::time::{Duration, Instant};

use certdock_tests::World;
use certdock_tests::acme::{Account, AccountKey, Client};
use certdock_tests::settings::Settings;
use serde_json::Value;

/// A handler and an endpoint `wayward`, of the plugin that does what names say.
fn wayward(settings: &mut Settings) {
    settings.more.push_str(
        "[handlers.wayward]\nplugin = \"wayward\"\ndeadline = \"3s\"\nthreads = 16\n\
         [handlers.wayward.config]\ndirectory = \"wayward\"\n\
         [acme.wayward]\nhandler = \"wayward\"\nrevocation = \"queued\"\n",
    );
}

async fn start(change: impl FnOnce(&mut Settings)) -> World {
    let mut world = World::prepare(|settings| {
        wayward(settings);
        change(settings);
    })
    .await;
    world.server.add_plugin("libcertdock_wayward.so");
    world.server.restart();
    world
}

async fn account(world: &World, endpoint: &str) -> (Client, Account) {
    let directory = world.server.directory_of(endpoint);
    let mut client = Client::new(&directory, world.tls.clone()).await.unwrap();
    let account = client.new_account(AccountKey::es256()).await.unwrap();
    (client, account)
}

/// The answer of one of certdock's commands.
async fn command(world: &World, args: &[&str]) -> Value {
    let args: Vec<_> = args.iter().chain(&["--json"]).copied().collect();
    let outcome = world.server.command(&args).run().await.success();
    serde_json::from_str(&outcome.stdout).unwrap()
}

/// An order's id, as the commands take it.
fn id_of(url: &str) -> &str {
    url.rsplit('/').next().unwrap()
}

async fn eventually(what: &str, limit: Duration, check: impl AsyncFn() -> bool) {
    let end = Instant::now() + limit;
    while !check().await {
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
