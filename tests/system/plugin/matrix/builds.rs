//! Plugins that other compilers, or other options, have made.

use std::collections::BTreeSet;
use std::fs;

use certdock_tests::acme::{AccountKey, Client};
use certdock_tests::certificate::check_chain;
use certdock_tests::issue::issue;
use certdock_tests::officer::Officer;
use certdock_tests::program::Program;
use certdock_tests::versions::{Build, Built, Versions, installed};
use certdock_tests::{World, skip};
use serde_json::Value;

use super::transcript::{Transcript, load, load_in};
use super::versions::{APIS, as_they_are, serve};

const OPTIONS: &[Build] = &[
    build(
        "level-1",
        &["opt-level=1", "lto=\"thin\"", "debug-assertions=true"],
    ),
    build(
        "level-3",
        &["opt-level=3", "lto=\"fat\"", "codegen-units=1"],
    ),
    build(
        "level-s",
        &["opt-level=\"s\"", "lto=\"off\"", "debug-assertions=false"],
    ),
    build(
        "level-z",
        &["opt-level=\"z\"", "lto=\"fat\"", "overflow-checks=false"],
    ),
];

const fn build(name: &'static str, profile: &'static [&'static str]) -> Build {
    Build {
        name,
        toolchain: "",
        profile,
        layout_seed: None,
        own_allocator: false,
    }
}

/// Today's plugin.
async fn plugin(build: Build) -> Built {
    let versions = Versions::write("versions", APIS);
    versions.build(build, &["today"], &[]).await
}

/// What today's host, as it is, makes of it.
async fn transcript(plugin: &Built) -> Transcript {
    let host = as_they_are().await.host("today");
    load(&host, &[plugin.plugin("today")]).await.remove(0)
}

/// Row 1: levels of optimisation, kinds of link-time optimisation, with checks and without.
#[tokio::test(flavor = "multi_thread")]
async fn row_01_whatever_the_options() {
    let expected = transcript(as_they_are().await).await;
    for options in OPTIONS {
        let plugin = plugin(*options).await;
        assert_eq!(transcript(&plugin).await.told, expected.told, "{options:?}");
        issues_in_the_server(&plugin, "").await;
    }
}

/// Row 1: other compilers, those that this machine has.
#[tokio::test(flavor = "multi_thread")]
async fn row_01_whatever_the_compiler_beta() {
    other_compiler("beta", "+beta").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_01_whatever_the_compiler_nightly() {
    other_compiler("nightly", "+nightly").await;
}

async fn other_compiler(toolchain: &'static str, name: &'static str) {
    if !installed(toolchain) {
        skip(&format!(
            "this machine has no {toolchain} compiler (rustup toolchain install {toolchain})"
        ));
        return;
    }
    let expected = transcript(as_they_are().await).await;
    let build = Build {
        name: toolchain,
        toolchain: name,
        profile: &["opt-level=2"],
        ..Build::default()
    };
    let other = transcript(&plugin(build).await).await;
    assert_eq!(other.told, expected.told, "{toolchain}");
}

const SEEDS: [&str; 8] = [
    "seed-1", "seed-2", "seed-3", "seed-4", "seed-5", "seed-6", "seed-7", "seed-8",
];

/// Row 2: a compiler is free to lay out types anew, and here it does so on purpose, in plugins, in
/// hosts, and in both. Row 3: types that are left to the compiler do differ here, so that this proves
/// something.
#[tokio::test(flavor = "multi_thread")]
async fn row_02_and_03_whatever_the_layout_of_other_types() {
    let mut builds = Vec::new();
    for (seed, name) in (1..).zip(SEEDS) {
        let build = Build {
            name,
            layout_seed: Some(seed),
            ..Build::default()
        };
        let versions = Versions::write("versions", APIS);
        builds.push(versions.build(build, &["today"], &["today"]).await);
    }
    let plain = as_they_are().await;
    let expected = transcript(plain).await.told;
    let plugins: Vec<_> = builds
        .iter()
        .chain([plain])
        .map(|b| b.plugin("today"))
        .collect();
    let mut layouts = BTreeSet::new();
    let mut disagreed = 0;
    for host in builds.iter().chain([plain]) {
        for transcript in load(&host.host("today"), &plugins).await {
            assert_eq!(transcript.told, expected);
            let own = transcript.own("host-layout").to_owned();
            // As the plugin says it, in a note about its configuration.
            disagreed += usize::from(!transcript.own("note").contains(&own));
            layouts.insert(own);
        }
    }
    assert!(layouts.len() > 3, "layouts are not random: {layouts:?}");
    assert!(disagreed > 20, "{disagreed} pairs disagreed on a Rust type");
    issues_in_the_server(&builds[0], "").await;
}

/// Row 14: what one side allocates and the other lets go of goes back to where it came from, and
/// nobody touches it afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn row_14_whatever_the_allocator() {
    let build = Build {
        name: "own-allocator",
        own_allocator: true,
        ..Build::default()
    };
    let other = Versions::write("versions", APIS);
    let other = other.build(build, &["today"], &["today"]).await;
    let plain = as_they_are().await;
    let expected = transcript(plain).await.told;
    for (host, plugin) in [(plain, &other), (&other, plain), (&other, &other)] {
        let watched = Program::new("valgrind").args(["--quiet", "--error-exitcode=9"]);
        let host = watched.arg(host.host("today"));
        let transcripts = load_in(host, &[plugin.plugin("today")]).await;
        assert_eq!(transcripts[0].told, expected);
    }
}

/// Row 9: a plugin whose panics end its process may not run inside the server, but in a process of its
/// own.
#[tokio::test(flavor = "multi_thread")]
async fn row_09_one_that_is_built_to_abort_on_panic() {
    let built = plugin(build("panic-abort", &["panic=\"abort\""])).await;
    let inside = "[handlers.inside]\nplugin = \"variant-today\"\nisolation = \"in-process\"\n\
                  [handlers.inside.config]\ndirectory = \"./today\"\n\
                  [acme.inside]\nhandler = \"inside\"\n";
    let world = issues_in_the_server(&built, inside).await;
    let (_, ready) = world.server.admin("/readyz").unwrap();
    let ready: Value = serde_json::from_str(&ready).unwrap();
    let reason = ready["handlers"]["inside"]["reason"].as_str().unwrap();
    assert!(reason.contains("panic = \"abort\""), "{ready}");
}

/// Today's plugin gives a client of the real server a certificate.
async fn issues_in_the_server(built: &Built, more: &str) -> World {
    let more = serve("today") + more;
    let mut world = World::prepare(|settings| settings.more = more).await;
    let file = world.server.plugins().join("today.so");
    fs::copy(built.plugin("today"), file).unwrap();
    let _officer = Officer::start(&world.server.dir().join("today"));
    world.server.restart();
    let directory = world.server.directory_of("today");
    let mut client = Client::new(&directory, world.tls.clone()).await.unwrap();
    let account = client.new_account(AccountKey::es256()).await.unwrap();
    let issued = issue(&mut client, &account, &["a.test"], &world.http01).await;
    check_chain(&issued.unwrap().chain, &["a.test"]);
    world
}
