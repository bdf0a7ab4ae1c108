//! The room as a whole, on the skeleton's real library.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use certdock_plugin_api::testing::FakeHost;
use certdock_plugin_api::{EnrollRequest, Fault, FaultClass, HostServices, PollRequest};
use tempfile::TempDir;

use super::*;
use crate::handlers::HandlerInstance;
use crate::observe::captured::{Captured, subscribe};
use crate::worker::{Limits, Setup};

/// The skeleton's library, which cargo builds beside this test since it is a dev-dependency.
pub(super) fn skeleton() -> Vec<u8> {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES
        .get_or_init(|| std::fs::read(library("certdock_skeleton")).unwrap())
        .clone()
}

fn library(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let path = tests.with_file_name(format!("lib{name}.so"));
    assert!(
        path.exists(),
        "{} is not there: run `cargo build --workspace`",
        path.display()
    );
    path
}

/// Puts other bytes of the same length in the place of all of `from`.
fn patched(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut patched = bytes.to_vec();
    let mut found = 0;
    let mut at = 0;
    while at + from.len() <= patched.len() {
        if patched[at..].starts_with(from) {
            patched[at..at + to.len()].copy_from_slice(to);
            found += 1;
        }
        at += 1;
    }
    assert!(
        found > 0,
        "{:?} is not in the library",
        String::from_utf8_lossy(from)
    );
    patched
}

/// Whoever owns the checkout.
fn unchecked() -> Trust {
    Trust {
        ownership: Ownership::Unchecked,
        ..Trust::default()
    }
}

fn load(file: &Path) -> Result<Plugin, Refusal> {
    Inspection::of(file)?.admit(&unchecked())
}

/// Opens a handler in this process.
fn open(
    plugin: &Plugin,
    config: &str,
    host: &Arc<dyn HostServices>,
) -> Result<Arc<dyn HandlerInstance>, Fault> {
    let isolation = Isolation::InProcess { aborting: false };
    plugin.open(isolation, &setup(config), host)
}

fn setup(config: &str) -> Setup {
    Setup {
        name: "test".to_owned(),
        config: config.to_owned(),
        base_dir: PathBuf::from("/"),
        keep_out: Vec::new(),
        apart: Vec::new(),
        deadline: Duration::from_secs(20),
        threads: 1,
        limits: Limits::default(),
    }
}

fn id(text: &str) -> crate::ids::PluginId {
    text.parse().unwrap()
}

fn discover(directory: &Path) -> (Plugins, BTreeMap<String, String>) {
    let plugins = Plugins::discover(directory, &unchecked());
    let name = |file: &Path| file.file_name().unwrap().to_string_lossy().into_owned();
    let rejected = plugins
        .rejected()
        .iter()
        .map(|rejected| (name(&rejected.file), rejected.reason.clone()))
        .collect();
    (plugins, rejected)
}

#[test]
fn the_skeleton_loads_and_answers() {
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("skeleton.so"), skeleton()).unwrap();
    let (plugins, rejected) = discover(directory.path());
    assert_eq!(rejected, BTreeMap::new());
    let plugin = plugins.get(&id("skeleton")).unwrap();
    assert_eq!(plugin.info().note.version, "0.1.0");
    assert_eq!(plugin.info().sha256.len(), 64);

    let host = FakeHost::new();
    // The same plugin under two handlers.
    let first = open(plugin, "{}", &host.services()).unwrap();
    let second = open(plugin, "{}", &host.services()).unwrap();
    for handler in [&first, &second] {
        let fault = handler
            .enroll(&EnrollRequest::new("e1", [0x30, 0], Vec::new()))
            .unwrap_err();
        assert_eq!(fault.class, FaultClass::Unsupported);
        assert!(fault.public.contains("not implemented"), "{fault}");
    }
    assert!(!host.lines().is_empty());
    let fault = open(plugin, r#"{ "nonsense": 1 }"#, &host.services())
        .err()
        .unwrap();
    assert_eq!(fault.class, FaultClass::Misconfigured);
    assert!(fault.public.contains("nonsense"), "{fault}");
    assert!(plugin.schema().contains("additionalProperties"));
}

/// The linker knows a library by its path, which is that of a descriptor.
#[test]
fn each_library_that_is_loaded_is_the_one_that_was_asked_for() {
    for number in 0..8 {
        let id = format!("skeleto{number}");
        let bytes = patched(&skeleton(), b"skeleton", id.as_bytes());
        let code = Code::seal(&id, &bytes).unwrap();
        let (plugin, _) = loader::load(&code, &id).unwrap();
        assert_eq!(plugin.description().id.as_str(), id);
    }
}

#[test]
fn services_are_released_with_the_handler() {
    let plugin = Inspection::of(&library("certdock_skeleton"))
        .unwrap()
        .admit(&unchecked())
        .unwrap();
    let host = FakeHost::new();
    let services = host.services();
    let handler = open(&plugin, "{}", &services).unwrap();
    assert!(Arc::strong_count(&services) > 1);
    drop(handler);
    drop(open(&plugin, "{ \"nonsense\": 1 }", &services));
    let patience = Duration::from_secs(20);
    let notes = plugin.validate_config(&setup("{}"), Arc::clone(&services), patience);
    assert_eq!(notes, Ok(Vec::new()));
    let in_a_worker = plugin.open(Isolation::Process, &setup("{}"), &services);
    assert!(Arc::strong_count(&services) > 1);
    drop(in_a_worker);
    // The workers take a moment to end.
    let until = Instant::now() + patience;
    while Arc::strong_count(&services) > 1 {
        assert!(Instant::now() < until, "somebody keeps them");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_file_that_can_not_be_used_may_be_the_plugin_that_is_missing() {
    let directory = TempDir::new().unwrap();
    let file = |name: &str| directory.path().join(name);
    // Their notes say what they are, though they can't be used.
    let other_major = patched(&skeleton(), b"\napi=1.", b"\napi=9.");
    std::fs::write(file("bar.so"), &other_major).unwrap();
    let cut = &skeleton()[..other_major.len() - 1];
    let may_be = |plugins: &Plugins| {
        ["skeleton", "my-ca"].map(|plugin| plugins.may_have_rejected(&id(plugin)))
    };
    let (plugins, rejected) = discover(directory.path());
    assert_eq!(rejected.len(), 1, "{rejected:?}");
    assert_eq!(may_be(&plugins), [true, false]);
    // Of one that was cut short by a full disk nobody knows what it was, whatever it is called.
    for (name, content) in [("libvendor.so", cut), ("foo.so", b"")] {
        std::fs::write(file(name), content).unwrap();
        let (plugins, rejected) = discover(directory.path());
        assert_eq!(rejected.len(), 2, "{rejected:?}");
        assert_eq!(may_be(&plugins), [true, true], "{name}");
        std::fs::remove_file(file(name)).unwrap();
    }
}

#[test]
fn bad_files_are_refused_with_one_line_each() {
    let directory = TempDir::new().unwrap();
    let good = skeleton();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty.so", Vec::new(), "empty"),
        ("text.so", b"hello\n".repeat(1000), "not a shared library"),
        ("zeros.so", vec![0; 100_000], "not a shared library"),
        ("magic.so", b"\x7fELF".to_vec(), "header is not complete"),
        (
            "cut-50.so",
            good[..good.len() / 2].to_vec(),
            "cut off or damaged",
        ),
        (
            "cut-99.so",
            good[..good.len() / 100 * 99].to_vec(),
            "cut off or damaged",
        ),
        (
            "cut-last.so",
            good[..good.len() - 1].to_vec(),
            "cut off or damaged",
        ),
        ("arm.so", with_byte(&good, 18, 183), "another machine"),
        (
            "bits-32.so",
            with_byte(&good, 4, 1),
            "another machine (32 bits)",
        ),
        (
            "big-endian.so",
            with_byte(&good, 5, 2),
            "another machine (big-endian)",
        ),
        (
            "object.so",
            with_byte(&good, 16, 1),
            "another kind of ELF file",
        ),
        (
            "program.so",
            std::fs::read("/bin/true").unwrap(),
            "no certdock note",
        ),
        ("other-lib.so", libc(), "no certdock note"),
        (
            "major.so",
            patched(&good, b"\napi=1.", b"\napi=2."),
            "plugin-api 2.",
        ),
        (
            "carrier.so",
            patched(&good, b"abi_stable=0.11", b"abi_stable=0.12"),
            "abi_stable 0.12",
        ),
        (
            "bad-id.so",
            patched(&good, b"id=skeleton\n", b"id=Skeleton\n"),
            "its id is none",
        ),
        (
            "note-only.so",
            patched(&good, b"id=skeleton\n", b"id=skeletom\n"),
            "disagree",
        ),
        ("no-root.so", no_root(&good), "exports no root"),
        (
            "layout.so",
            patched(&good, b"api_version", b"api_versiom"),
            "laid out differently",
        ),
        (
            "magic-string.so",
            patched(
                &good,
                b"abi stable library for Rust",
                b"abi stable library for Rusk",
            ),
            "abi_stable",
        ),
    ];
    for (name, bytes, _) in &cases {
        std::fs::write(directory.path().join(name), bytes).unwrap();
    }
    std::fs::create_dir(directory.path().join("directory.so")).unwrap();
    std::os::unix::fs::symlink("nowhere", directory.path().join("dangling.so")).unwrap();
    std::os::unix::fs::symlink("loop.so", directory.path().join("loop.so")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", directory.path().join("device.so")).unwrap();
    let fifo = directory.path().join("fifo.so");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(directory.path().join("s.so")).unwrap();
    std::fs::write(directory.path().join("README.txt"), "not looked at").unwrap();
    std::fs::write(directory.path().join("target"), &good).unwrap();
    std::os::unix::fs::symlink("target", directory.path().join("zz-good.so")).unwrap();

    for (name, gibibytes) in [("huge.so", 8), ("large.so", 0)] {
        let file = std::fs::File::create(directory.path().join(name)).unwrap();
        file.set_len((gibibytes << 30) + (500 << 20)).unwrap();
    }

    let begun = Instant::now();
    let (plugins, mut rejected) = discover(directory.path());
    let each = begun.elapsed() / u32::try_from(cases.len()).unwrap();
    assert!(each < Duration::from_secs(1), "{each:?} for a file");
    assert_eq!(plugins.list().count(), 1, "the one good file, by its link");

    let others = [
        ("directory.so", "a directory"),
        ("dangling.so", "can't be read"),
        ("loop.so", "can't be read"),
        ("device.so", "a device"),
        ("fifo.so", "a named pipe"),
        ("s.so", "a socket"),
        ("huge.so", "larger than 512 MiB"),
        ("large.so", "not a shared library"),
    ];
    let cases = cases
        .iter()
        .map(|(name, _, expected)| (*name, *expected))
        .chain(others);
    for (name, expected) in cases {
        let reason = rejected
            .remove(name)
            .unwrap_or_else(|| panic!("{name} was not refused"));
        assert!(reason.contains(expected), "{name}: {reason}");
        let remedy = reason.rsplit_once("; ").map(|(_, remedy)| remedy);
        assert!(remedy.is_some_and(|r| r.len() > 8), "{name}: {reason}");
        assert!(
            !reason.contains('\n') && reason.len() < 400,
            "{name}: {reason}"
        );
    }
    assert_eq!(rejected, BTreeMap::new());
}

fn with_byte(bytes: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] = byte;
    bytes
}

/// The symbol's name differs from what the hash table was made of: it can't be found.
fn no_root(bytes: &[u8]) -> Vec<u8> {
    let symbol = certdock_plugin_api::abi::ROOT_SYMBOL.as_bytes();
    let mut other = symbol.to_vec();
    other[0] = b'X';
    patched(bytes, symbol, &other)
}

fn libc() -> Vec<u8> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let path = maps
        .lines()
        .find_map(|line| line.split_whitespace().last()?.strip_suffix("/libc.so.6"));
    std::fs::read(format!("{}/libc.so.6", path.unwrap())).unwrap()
}

#[test]
fn each_refusal_is_one_line_of_log() {
    let directory = TempDir::new().unwrap();
    let other_layout = patched(&skeleton(), b"api_version", b"api_versiom");
    std::fs::write(directory.path().join("a.so"), other_layout).unwrap();
    std::fs::write(directory.path().join("b.so"), "").unwrap();
    let log = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(log.writer())
        .finish();
    let guard = subscribe(subscriber);
    let _ = Plugins::discover(directory.path(), &unchecked());
    drop(guard);
    let log = log.text();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(lines.len(), 2, "{log}");
    for (line, expected) in lines.iter().zip(["a.so", "b.so"]) {
        assert!(line.contains(expected), "{line}");
    }
    // Who wants to know it exactly asks for more: which type, and how it differs.
    let long: Vec<&str> = log.split("DEBUG").skip(1).collect();
    let [long] = long[..] else { panic!("{log}") };
    for expected in ["a.so", "api_version", "api_versiom"] {
        assert!(long.contains(expected), "{long}");
    }
}

#[test]
fn one_that_aborts_on_panic_runs_in_a_process_of_its_own_or_if_that_is_allowed() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("skeleton.so");
    let aborting = patched(&skeleton(), b"panic=unwind", b"panic=abort ");
    std::fs::write(&file, aborting).unwrap();
    let plugin = load(&file).unwrap();
    let services = FakeHost::new().services();
    let fault = open(&plugin, "{}", &services).err().unwrap();
    assert_eq!(fault.class, FaultClass::Misconfigured);
    assert!(fault.public.contains("isolation = \"process\""), "{fault}");
    for isolation in [Isolation::Process, Isolation::InProcess { aborting: true }] {
        plugin.open(isolation, &setup("{}"), &services).unwrap();
    }
}

#[test]
fn an_extension_of_another_layout_is_lost_alone() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("skeleton.so");
    std::fs::write(&file, patched(&skeleton(), b"CrlTable", b"CrlTablf")).unwrap();
    let plugin = load(&file).unwrap();
    let abilities = plugin.info().abilities;
    assert!(!abilities.crl && abilities.poll && abilities.revoke && abilities.validate_config);
    let handler = open(&plugin, "{}", &FakeHost::new().services()).unwrap();
    assert_eq!(handler.crl().unwrap_err().class, FaultClass::Unsupported);

    std::fs::write(&file, patched(&skeleton(), b"EnrollOut", b"EnrollOur")).unwrap();
    let refusal = load(&file).err().unwrap();
    assert!(
        refusal
            .to_string()
            .contains("certdock.enroll/1 has another layout"),
        "{refusal}"
    );
    assert!(
        refusal
            .detail()
            .is_some_and(|detail| detail.contains("EnrollOur"))
    );
}

#[test]
fn a_handler_takes_calls_from_many_threads() {
    let plugin = load(&library("certdock_skeleton")).unwrap();
    let host = FakeHost::new();
    let handler = open(&plugin, "{}", &host.services()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let handler = &handler;
            scope.spawn(move || {
                for call in 0..100 {
                    let id = format!("{thread}-{call}");
                    let request = EnrollRequest::new(id, [0x30, 0], Vec::new());
                    assert!(handler.enroll(&request).is_err());
                }
            });
        }
    });
    let asked = host
        .lines()
        .iter()
        .filter(|line| line.message == "asked to enroll")
        .count();
    assert_eq!(asked, 800);
}

#[test]
fn cut_off_anywhere_never_crashes() {
    let directory = TempDir::new().unwrap();
    let good = skeleton();
    let file = directory.path().join("cut.so");
    for at in (0..good.len()).step_by(good.len() / 60) {
        std::fs::write(&file, &good[..at]).unwrap();
        assert!(load(&file).is_err(), "cut at {at}");
    }
}

#[test]
fn the_second_file_with_an_id_is_refused() {
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("a.so"), skeleton()).unwrap();
    std::fs::write(directory.path().join("b.so"), skeleton()).unwrap();
    let (plugins, rejected) = discover(directory.path());
    assert!(
        plugins
            .get(&id("skeleton"))
            .unwrap()
            .info()
            .file
            .ends_with("a.so")
    );
    assert!(
        rejected["b.so"].contains("'skeleton' is taken by"),
        "{rejected:?}"
    );
    assert!(rejected["b.so"].contains("a.so"), "{rejected:?}");
}

#[test]
fn a_missing_directory_is_no_error_but_a_line() {
    let (plugins, rejected) = discover(Path::new("/nowhere/plugins"));
    assert_eq!(plugins.list().count(), 0);
    assert_eq!(rejected.len(), 1);
}

#[test]
fn a_file_changed_after_it_was_read_changes_nothing() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("skeleton.so");
    std::fs::write(&file, skeleton()).unwrap();
    let inspected = Inspection::of(&file).unwrap();
    std::fs::write(&file, b"gone").unwrap();
    let plugin = inspected.admit(&unchecked()).unwrap();
    let handler = open(&plugin, "{}", &FakeHost::new().services()).unwrap();
    let fault = handler
        .poll(&PollRequest::new("e", "p", [0x30, 0]))
        .unwrap_err();
    assert_eq!(fault.class, FaultClass::Unsupported);
}
