//! [`FAULTS`]: every way in which a plugin can be bad, each as a library with a configuration; and
//! [`LAPSES`], which are of no account to a server, and which a vendor is to hear of all the same.

use std::fs;
use std::path::Path;

use crate::program::build_dir;

/// A bad plugin.
#[derive(Clone, Copy, Debug)]
pub struct FaultPlugin {
    /// For people, and part of file names.
    pub name: &'static str,
    /// Where its code comes from.
    pub library: Library,
    /// What it does wrong and in which call: the values of `fault` and `at` in its configuration.
    pub fault: &'static str,
    pub at: &'static str,
    pub harm: Harm,
}

/// How far it can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// It is refused before any of its code runs.
    Refused,
    /// It hurts its own handler only, wherever it runs: also if it is found out in time not to run in the
    /// server at all.
    Contained,
    /// It ends or wears out the process that it runs in.
    Process,
}

/// Where the code of a bad plugin comes from. The id is always `faulty`.
#[derive(Clone, Copy, Debug)]
pub enum Library {
    /// A library that the workspace builds, as it is.
    Built(&'static str),
    /// One with other bytes in the place of some.
    Patched(&'static str, &'static [u8], &'static [u8]),
}

const FAULTY: Library = Library::Built("libcertdock_faulty.so");

const fn fault(
    name: &'static str,
    fault: &'static str,
    at: &'static str,
    harm: Harm,
) -> FaultPlugin {
    FaultPlugin {
        name,
        library: FAULTY,
        fault,
        at,
        harm,
    }
}

const fn library(
    name: &'static str,
    library: Library,
    fault: &'static str,
    harm: Harm,
) -> FaultPlugin {
    FaultPlugin {
        name,
        library,
        fault,
        at: "enroll",
        harm,
    }
}

const fn patched(from: &'static [u8], to: &'static [u8]) -> Library {
    assert!(from.len() == to.len(), "a file's parts stay where they are");
    Library::Patched("libcertdock_faulty.so", from, to)
}

use Harm::{Contained, Process, Refused};

#[rustfmt::skip]
pub const FAULTS: &[FaultPlugin] = &[
    fault("panic-in-validate-config", "panic", "validate-config", Contained),
    fault("panic-in-open", "panic", "open", Contained),
    fault("panic-in-enroll", "panic", "enroll", Contained),
    fault("panic-in-poll", "panic", "poll", Contained),
    fault("panic-in-recover", "panic", "recover", Contained),
    fault("panic-in-revoke", "panic", "revoke", Contained),
    fault("panic-in-ca-certs-get", "panic", "ca-certs-get", Contained),
    fault("panic-in-push", "panic", "push", Contained),
    fault("panic-in-health", "panic", "health", Contained),
    fault("panic-in-crl", "panic", "crl", Contained),
    fault("panic-in-drop", "panic", "drop", Contained),
    fault("panic-payload", "panic-payload", "enroll", Contained),
    fault("panic-thread", "panic-thread", "enroll", Contained),
    fault("abort", "abort", "enroll", Process),
    fault("abort-in-open", "abort", "open", Contained),
    fault("exit", "exit", "enroll", Process),
    fault("stack-overflow", "stack-overflow", "enroll", Process),
    fault("segfault", "segfault", "enroll", Process),
    fault("out-of-memory", "out-of-memory", "enroll", Process),
    fault("hang", "hang", "enroll", Contained),
    fault("hang-in-open", "hang", "open", Contained),
    fault("hang-in-drop", "hang", "drop", Contained),
    fault("spin", "spin", "enroll", Contained),
    fault("chatter", "chatter", "enroll", Contained),
    fault("slow", "slow", "enroll", Contained),
    fault("leak-memory", "leak-memory", "enroll", Contained),
    fault("leak-descriptors", "leak-descriptors", "enroll", Process),
    fault("threads", "threads", "enroll", Contained),
    fault("stdout", "stdout", "enroll", Contained),
    fault("scribbles", "scribbles", "enroll", Process),
    fault("detail", "detail", "enroll", Contained),
    fault("own-runtime", "own-runtime", "enroll", Contained),
    fault("other-key", "other-key", "enroll", Contained),
    fault("other-names", "other-names", "enroll", Contained),
    fault("expired", "expired", "enroll", Contained),
    fault("broken-chain", "broken-chain", "enroll", Contained),
    fault("no-certificate", "no-certificate", "enroll", Contained),
    fault("garbage", "garbage", "enroll", Contained),
    fault("huge-poll-id", "huge-poll-id", "enroll", Contained),
    fault("forgetful", "forgetful", "enroll", Contained),
    fault("forgets-polls", "forgets-polls", "poll", Contained),
    fault("forgets-recoveries", "forgets-recoveries", "recover", Contained),
    library("invalid-utf8", patched(b"these are ~~~~~~~~~~~~~~~~ no letters~", b"these are \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff no letters\xf0"), "invalid-utf8", Contained),
    library("other-allocator", Library::Built("libcertdock_faulty_allocator.so"), "none", Contained),
    library("constructor-aborts", Library::Built("libcertdock_faulty_constructor.so"), "none", Contained),
    library("wrong-layout", patched(b"api_version", b"api_versiom"), "none", Refused),
    library("old-api", patched(b"\napi=1.", b"\napi=0."), "none", Refused),
    library("future-api", patched(b"\napi=1.", b"\napi=2."), "none", Refused),
    library("panic-abort", patched(b"panic=unwind", b"panic=abort "), "none", Contained),
];

const fn lapse(name: &'static str, misdeed: &'static str, at: &'static str) -> FaultPlugin {
    fault(name, misdeed, at, Contained)
}

/// One that reads its configuration, or publishes its schema, in a manner of its own.
const fn manner(name: &'static str, manner: &'static [u8]) -> FaultPlugin {
    library(
        name,
        patched(b"manner=good~~~~~~~~~~~", manner),
        "none",
        Contained,
    )
}

/// What only `certdock plugin check` sees: a server never sends what these fall over, or can't know that
/// an answer is wrong.
#[rustfmt::skip]
pub const LAPSES: &[FaultPlugin] = &[
    lapse("refuses-what-opens", "detail", "validate-config"),
    lapse("threads-in-validate-config", "threads", "validate-config"),
    lapse("threads-in-open", "threads", "open"),
    lapse("leaks-a-little", "leak-a-little", "open"),
    lapse("credulous-enroll", "credulous", "enroll"),
    lapse("credulous-poll", "credulous", "poll"),
    lapse("credulous-recover", "credulous", "recover"),
    lapse("credulous-revoke", "credulous", "revoke"),
    lapse("credulous-push", "credulous", "push"),
    lapse("evasive", "evasive", "enroll"),
    lapse("panics-at-large", "panics-at-large", "enroll"),
    lapse("panics-at-no-names", "panics-at-no-names", "enroll"),
    lapse("panics-at-odd-names", "panics-at-odd-names", "enroll"),
    lapse("after-deadline", "after-deadline", "enroll"),
    lapse("long-chain", "long-chain", "enroll"),
    lapse("other-alternate", "other-alternate", "enroll"),
    lapse("is-ca", "is-ca", "enroll"),
    lapse("short-serial", "short-serial", "enroll"),
    lapse("forgets-enrollments", "forgets-enrollments", "enroll"),
    lapse("forgets-at-restart", "forgets-at-restart", "enroll"),
    lapse("other-key-later", "other-key", "poll"),
    lapse("unreadable-ca", "garbage", "ca-certs-get"),
    lapse("unordered-ca", "broken-chain", "ca-certs-get"),
    lapse("changes-folder", "changes-folder", "open"),
    lapse("finds-nothing", "finds-nothing", "recover"),
    lapse("one-for-all", "one-for-all", "enroll"),
    lapse("denies-extras", "denies-extras", "enroll"),
    lapse("denies-requesters", "denies-requesters", "enroll"),
    lapse("denies-long-ids", "denies-long-ids", "enroll"),
    lapse("ignores-validity", "ignores-validity", "enroll"),
    lapse("denies-revocation", "detail", "revoke"),
    lapse("forgets-revocations", "forgets-revocations", "revoke"),
    lapse("other-next-update", "other-next-update", "crl"),
    lapse("bad-signature", "bad-signature", "crl"),
    lapse("revokes-again", "revokes-again", "revoke"),
    lapse("needs-state-to-open", "needs-state", "open"),
    lapse("needs-state", "needs-state", "health"),
    lapse("needs-secret", "needs-secret", "open"),
    lapse("needs-clock", "needs-clock", "health"),
    lapse("tells-secret", "tells-secret", "health"),
    lapse("chatty", "chatty", "health"),
    lapse("odd-metric", "odd-metric", "health"),
    lapse("mixes-up", "mixes-up", "enroll"),
    lapse("one-at-a-time", "one-at-a-time", "health"),
    lapse("fragile-validate-config", "fragile", "validate-config"),
    lapse("fragile-enroll", "fragile", "enroll"),
    lapse("fragile-poll", "fragile", "poll"),
    lapse("fragile-recover", "fragile", "recover"),
    lapse("fragile-revoke", "fragile", "revoke"),
    lapse("fragile-push", "fragile", "push"),
    manner("takes-anything", b"manner=takes-anything~"),
    manner("vague", b"manner=vague~~~~~~~~~~"),
    manner("silent", b"manner=silent~~~~~~~~~"),
    manner("verbose", b"manner=verbose~~~~~~~~"),
    manner("other-class", b"manner=other-class~~~~"),
    manner("no-schema", b"manner=no-schema~~~~~~"),
    manner("open-schema", b"manner=open-schema~~~~"),
    manner("bare-schema", b"manner=bare-schema~~~~"),
    manner("other-schema", b"manner=other-schema~~~"),
    library("other-extension", patched(b"certdock.health/1", b"certdock.enroll/0"), "none", Contained),
];

/// The one of a name.
pub fn named(name: &str) -> FaultPlugin {
    let found = FAULTS.iter().chain(LAPSES).find(|fault| fault.name == name);
    *found.unwrap_or_else(|| panic!("there is no fault {name}"))
}

impl FaultPlugin {
    /// Makes its file.
    pub fn write(&self, file: &Path) {
        match self.library {
            Library::Built(name) => fs::write(file, built(name)).unwrap(),
            Library::Patched(name, from, to) => {
                fs::write(file, replaced(&built(name), from, to)).unwrap();
            }
        }
    }

    /// What stands in its `config` table. In a process of its own a plugin may write only below the CA's
    /// `directory`.
    pub fn config(&self, directory: &str) -> String {
        let Self { fault, at, .. } = self;
        let secret = match *fault {
            "needs-secret" | "tells-secret" => "secret = { env = \"PATH\" }\n",
            _ => "",
        };
        format!("directory = \"{directory}\"\nfault = \"{fault}\"\nat = \"{at}\"\n{secret}")
    }

    /// A handler of the plugin `faulty`, under the fault's name, with an ACME endpoint of that name.
    pub fn tables(&self, handler: &str) -> String {
        let name = self.name;
        let config = self.config(&format!("./ca-{name}"));
        format!(
            "[handlers.{name}]\nplugin = \"faulty\"\n{handler}\n[handlers.{name}.config]\n{config}\n\
             [acme.{name}]\nhandler = \"{name}\"\nrevocation = \"queued\"\n\n"
        )
    }
}

/// A library that the workspace builds.
pub fn built(name: &str) -> Vec<u8> {
    let path = build_dir().join(name);
    fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run cargo build --workspace", path.display()))
}

/// All places of some bytes changed to others of the same length.
pub fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "a file's parts stay where they are");
    let places: Vec<_> = bytes
        .windows(from.len())
        .enumerate()
        .filter(|(_, part)| *part == from)
        .map(|(at, _)| at)
        .collect();
    let text = String::from_utf8_lossy(from);
    assert!(!places.is_empty(), "the library does not hold {text:?}");
    let mut changed = bytes.to_vec();
    for at in places {
        changed[at..at + to.len()].copy_from_slice(to);
    }
    changed
}
