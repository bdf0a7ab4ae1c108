//! Files in the plugins directory that are no plugins, or no longer.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use certdock_tests::World;
use certdock_tests::acme::{AccountKey, Client, b64};
use certdock_tests::faults::{built, replaced};
use certdock_tests::issue::{authorize_http01, csr, issue, new_order};
use certdock_tests::server::binary;
use rcgen::KeyPair;
use rustix::process::Signal;
use serde_json::json;

/// Puts one bad file at a path; given is a good plugin to spoil.
struct Bad {
    name: &'static str,
    /// What is said of it.
    reason: &'static str,
    make: fn(&Path, &[u8]),
}

const fn bad(name: &'static str, reason: &'static str, make: fn(&Path, &[u8])) -> Bad {
    Bad { name, reason, make }
}

const FILES: &[Bad] = &[
    bad("empty", "the file is empty", |path, _| {
        fs::write(path, "").unwrap()
    }),
    bad(
        "text",
        "it does not begin as an ELF file does",
        |path, _| fs::write(path, "#!/bin/sh\nexit 0\n").unwrap(),
    ),
    bad(
        "garbage",
        "it does not begin as an ELF file does",
        |path, _| fs::write(path, noise(100_000)).unwrap(),
    ),
    bad("magic-only", "its header is not complete", |path, _| {
        fs::write(path, b"\x7fELF").unwrap()
    }),
    bad(
        "half-a-header",
        "its header is not complete",
        |path, good| fs::write(path, &good[..32]).unwrap(),
    ),
    bad(
        "header-only",
        "its table of segments lies outside the file",
        |path, good| fs::write(path, &good[..64]).unwrap(),
    ),
    bad(
        "truncated-early",
        "a loaded segment ends after the file does",
        |path, good| fs::write(path, &good[..4096]).unwrap(),
    ),
    bad(
        "truncated-half",
        "the file is cut off or damaged",
        |path, good| fs::write(path, &good[..good.len() / 2]).unwrap(),
    ),
    bad("truncated-late", "its table of sections", |path, good| {
        fs::write(path, &good[..good.len() - 1]).unwrap()
    }),
    bad(
        "header-then-garbage",
        "nothing in it is to be loaded",
        |path, good| {
            fs::write(path, [&good[..64], &noise(100_000)].concat()).unwrap();
        },
    ),
    bad(
        "wrong-machine",
        "another machine (ELF machine 183)",
        |path, good| patch(path, good, 18, &[183, 0]),
    ),
    bad("32-bit", "another machine (32 bits)", |path, good| {
        patch(path, good, 4, &[1])
    }),
    bad(
        "big-endian",
        "another machine (big-endian)",
        |path, good| patch(path, good, 5, &[2]),
    ),
    bad(
        "an-object-file",
        "another kind of ELF file",
        |path, good| patch(path, good, 16, &[1, 0]),
    ),
    bad(
        "program-headers-far-away",
        "its table of segments lies outside the file",
        |path, good| patch(path, good, 32, &[0xff; 8]),
    ),
    bad(
        "section-headers-far-away",
        "its table of sections",
        |path, good| patch(path, good, 40, &[0xff; 8]),
    ),
    bad(
        "too-many-program-headers",
        "nothing in it is to be loaded",
        |path, good| patch(path, good, 56, &[0xff; 2]),
    ),
    bad("a-fifo", "it is a named pipe", |path, _| {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    }),
    bad("a-socket", "it is a socket", |path, _| {
        drop(UnixListener::bind(path).unwrap())
    }),
    bad("a-directory", "it is a directory", |path, _| {
        fs::create_dir(path).unwrap()
    }),
    bad(
        "a-dangling-link",
        "it can't be read: No such file",
        |path, _| symlink("/nowhere/at/all.so", path).unwrap(),
    ),
    bad(
        "a-link-to-itself",
        "it can't be read: Too many levels of symbolic links",
        |path, _| symlink(path.file_name().unwrap(), path).unwrap(),
    ),
    bad("a-device", "it is a device", |path, _| {
        symlink("/dev/zero", path).unwrap()
    }),
    bad("a-program", "it has no certdock note", |path, _| {
        fs::copy(binary(), path).unwrap();
    }),
    bad("no-note", "it has no certdock note", |path, good| {
        replace(path, good, b"certdock\0", b"certdocx\0")
    }),
    bad(
        "another-major",
        "it was built with plugin-api 9.",
        |path, good| replace(path, good, b"\napi=1.", b"\napi=9."),
    ),
    bad(
        "a-note-without-id",
        "its certdock note can't be read: it lacks a line",
        |path, good| replace(path, good, b"id=openssl-local", b"ix=openssl-local"),
    ),
    bad(
        "a-second-of-its-id",
        "the plugin id 'openssl-local' is taken by",
        |path, good| fs::write(path, good).unwrap(),
    ),
];

/// Bytes without meaning, the same in each run.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        })
        .collect()
}

fn patch(path: &Path, good: &[u8], at: usize, bytes: &[u8]) {
    let mut spoilt = good.to_vec();
    spoilt[at..at + bytes.len()].copy_from_slice(bytes);
    fs::write(path, spoilt).unwrap();
}

fn replace(path: &Path, good: &[u8], from: &[u8], to: &[u8]) {
    fs::write(path, replaced(good, from, to)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_files_change_nothing_but_the_log() {
    let mut world = World::prepare(|_| {}).await;
    let plugins = world.server.plugins();
    let good = fs::read(plugins.join("libcertdock_openssl_local.so")).unwrap();
    for file in FILES {
        // After the good ones, so that of two with one id the good one comes first.
        (file.make)(&plugins.join(format!("z-{}.so", file.name)), &good);
    }
    let started = Instant::now();
    world.server.restart();
    // A second for each is the promise; together they take far less.
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
    let log = world.server.log();
    let wrong: Vec<_> = FILES
        .iter()
        .filter_map(|file| mistold(file, &log))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let (mut client, account) = world.account().await;
    issue(&mut client, &account, &["still.test"], &world.http01)
        .await
        .unwrap();
    let list = world.server.command(&["plugin", "list"]).run().await;
    assert!(
        list.stdout.contains("openssl-local") && list.stdout.contains("skeleton"),
        "{list:?}"
    );
}

/// What the log says of a bad file, unless that is one line with the file, what is wrong with it, and
/// what to do.
fn mistold(bad: &Bad, log: &str) -> Option<String> {
    let file = format!("/z-{}.so", bad.name);
    let lines: Vec<_> = log.lines().filter(|line| line.contains(&file)).collect();
    let right = |line: &&str| {
        let (_, said) = line.split_once(bad.reason)?;
        let (_, remedy) = said.split_once("; ")?;
        (remedy.len() > "remove it".len()).then_some(())
    };
    match lines.as_slice() {
        [line] if right(line).is_some() => None,
        _ => Some(format!("{file}, {}: {lines:#?}", bad.reason)),
    }
}

/// Cut short at each fortieth of its length.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_truncated_at_any_point_is_refused() {
    let mut world = World::prepare(|_| {}).await;
    let plugins = world.server.plugins();
    let good = fs::read(plugins.join("libcertdock_skeleton.so")).unwrap();
    for step in 1..40 {
        let length = good.len() * step / 40;
        fs::write(plugins.join(format!("z-cut-{step:02}.so")), &good[..length]).unwrap();
    }
    world.server.restart();
    let log = world.server.log();
    for step in 1..40 {
        let name = format!("z-cut-{step:02}.so");
        assert_eq!(
            log.lines().filter(|line| line.contains(&name)).count(),
            1,
            "{name}\n{log}"
        );
    }
}

/// A plugin that is cut short takes its own endpoints down and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_whose_plugin_is_cut_short_answers_503() {
    let mut world = World::prepare(|settings| {
        settings.more =
            "[handlers.gone]\nplugin = \"skeleton\"\n\n[acme.gone]\nhandler = \"gone\"\n"
                .to_owned();
    })
    .await;
    // As a full disk leaves it, and not under the plugin's own name: nobody can tell whose file it is.
    let mut cut = built("libcertdock_skeleton.so");
    cut.truncate(cut.len() / 2);
    fs::remove_file(world.server.plugins().join("libcertdock_skeleton.so")).unwrap();
    fs::write(world.server.plugins().join("libvendor.so"), cut).unwrap();
    world.server.restart();
    let (mut client, account) = world.account().await;
    issue(&mut client, &account, &["works.test"], &world.http01)
        .await
        .unwrap();
    let directory = world.server.directory_of("gone");
    let mut client = Client::new(&directory, world.tls.clone()).await.unwrap();
    let account = client.new_account(AccountKey::es256()).await.unwrap();
    let order = new_order(&mut client, &account, &["down.test"])
        .await
        .unwrap()
        .json();
    let url = order["authorizations"][0].as_str().unwrap();
    authorize_http01(&mut client, &account, url, &world.http01)
        .await
        .unwrap();
    let request = json!({ "csr": b64(csr(&KeyPair::generate().unwrap(), &["down.test"])) });
    let url = order["finalize"].as_str().unwrap();
    let answer = client.post(&account, url, &request).await.unwrap();
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    let (_, health) = world.server.admin("/readyz").unwrap();
    assert!(health.contains("gone"), "{health}");
}

/// What ends its process as soon as it is loaded, and takes its time over it, is tried once, and with
/// others of its kind at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_crashes_when_it_is_loaded_is_tried_once() {
    const RUNS: &str = "printed: the constructor runs";
    let mut world = World::prepare(|_| {}).await;
    let plugins = world.server.plugins();
    let slow = built("libcertdock_faulty_constructor.so");
    let slow = replaced(&slow, b"constructor=quick", b"constructor=slow.");
    for name in ["faulta", "faultb", "faultc"] {
        let id = format!("id={name}\n");
        let file = replaced(&slow, b"id=faulty\n", id.as_bytes());
        // Between the others of the folder in the order of names, and not by fours with them.
        fs::write(plugins.join(format!("a-{name}.so")), file).unwrap();
    }
    let count = |log: &str, of: &str| log.lines().filter(|line| line.contains(of)).count();
    world.server.restart();
    let log = world.server.log();
    let (before, _) = log.split_once("not usable as a plugin").unwrap();
    assert_eq!(count(before, RUNS), 3, "{log}");
    assert_eq!(count(&log, "not usable as a plugin"), 3, "{log}");

    // The folder is read again, and they are not run again.
    fs::write(plugins.join("z.so"), "").unwrap();
    wait_for(&world, "/z.so").await;
    assert_eq!(count(&world.server.log(), RUNS), 3);
    // Unless the operator asks.
    world.server.signal(Signal::HUP);
    wait_for(&world, "is in force as it is on the disk").await;
    assert_eq!(count(&world.server.log(), RUNS), 6);
}

async fn wait_for(world: &World, text: &str) {
    let end = Instant::now() + Duration::from_secs(60);
    while !world.server.log().contains(text) {
        assert!(Instant::now() < end, "no {text}: {}", world.server.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
