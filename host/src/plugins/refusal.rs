//! [`Refusal`]: why a file is not a plugin for this server. Shown as one line that says what to do.

use std::path::PathBuf;

use certdock_plugin_api::abi::API_VERSION;

use crate::ids::PluginId;

/// Why a file can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    #[error("it can't be read: {0}; check that the file is there and that certdock may read it")]
    Unreadable(std::io::Error),
    #[error("the folder can't be read: {0}; make it, let certdock read it, or name another")]
    UnreadableFolder(std::io::Error),
    #[error("it is {0}, not a regular file; put the plugin's .so itself there, or a link to it")]
    NotAFile(&'static str),
    #[error("the file is empty; copy the plugin again")]
    Empty,
    #[error(
        "it is larger than {} MiB, too large for a plugin; strip it of what is for debuggers only \
         (`strip --strip-debug`), or remove it", .0 / (1024 * 1024)
    )]
    TooLarge(u64),
    #[error("it is not a shared library: {0}; put the plugin's own file there, or remove this one")]
    NotALibrary(&'static str),
    #[error("it was built for another machine ({found}); get the build for {expected}")]
    WrongMachine {
        found: String,
        expected: &'static str,
    },
    #[error("the file is cut off or damaged ({0}); copy the plugin again")]
    Damaged(&'static str),
    #[error(
        "it brings its own library search path (RPATH or RUNPATH); build it without one, or remove \
         it with `patchelf --remove-rpath`"
    )]
    SearchPath,
    #[error(
        "it is no certdock plugin: it has no certdock note; remove it, or, if it is meant to be one, \
         build it with `export_ca_handler!` and strip no more than what is for debuggers"
    )]
    NoNote,
    #[error("its certdock note can't be read: {0}; rebuild the plugin")]
    BadNote(&'static str),
    #[error(
        "it was built with plugin-api {found}, and this certdock has {API_VERSION}; get a version of \
         the plugin for plugin-api {expected}.x"
    )]
    OtherMajor { found: String, expected: u64 },
    #[error(
        "it was built with abi_stable {found}, and this certdock takes {expected}; rebuild it with \
         a plugin-api as it was published"
    )]
    OtherCarrier {
        found: String,
        expected: &'static str,
    },
    #[error(
        "it was built with panic = \"abort\", so that a panic of it would end the server; run it in a \
         process of its own (isolation = \"process\"), or rebuild it with panic = \"unwind\""
    )]
    AbortsOnPanic,
    #[error(
        "{} belongs to user {uid}, who could change what the server runs; let root or the server's \
         own user own it", .path.display()
    )]
    ForeignOwner { path: PathBuf, uid: u32 },
    #[error(
        "others than its owner may write to {path}, and so change what the server runs; take that \
         away: chmod go-w {path}", path = .0.display()
    )]
    WritableByOthers(PathBuf),
    #[error(
        "its SHA-256 is not among those that [plugins.pins] lists for {id}; if this is the file that \
         you want, write {id} = \"{sha256}\" there"
    )]
    OtherPin { id: PluginId, sha256: String },
    #[error(
        "it is not pinned; if this is the file that you want, write {id} = \"{sha256}\" under \
         [plugins.pins]"
    )]
    NotPinned { id: PluginId, sha256: String },
    #[error("it is not signed: there is no {}; get the vendor's signature and put it there", .0.display())]
    NotSigned(PathBuf),
    #[error("its signature {} can't be read: {error}; copy it again", .file.display())]
    UnreadableSignature {
        file: PathBuf,
        error: std::io::Error,
    },
    #[error(
        "its signature {} is refused: {reason}; get the file and its signature from the vendor again",
        .file.display()
    )]
    BadSignature { file: PathBuf, reason: &'static str },
    #[error("the plugin id '{id}' is taken by {first}; remove one of the two files")]
    Duplicate { id: PluginId, first: PathBuf },
    #[error(
        "no memory file could be made for it: {0}; see that the system has memory and open files left, \
         and that memfd_create is allowed"
    )]
    NoMemoryFile(std::io::Error),
    #[error(
        "the dynamic linker refuses it: {0}; install what it needs on this machine, or build it for this \
         system"
    )]
    Linker(String),
    #[error("it has a certdock note but exports no root; rebuild it with `export_ca_handler!`")]
    NoRoot,
    #[error(
        "its types are laid out differently from this certdock's; rebuild it with a plugin-api as \
         it was published"
    )]
    OtherLayout {
        /// What the layout checker found, many lines.
        detail: String,
    },
    #[error("its extension {id} {}; rebuild it with a plugin-api as it was published", .detail.as_ref().map_or("is missing", |_| "has another layout"))]
    BadExtension {
        id: &'static str,
        detail: Option<String>,
    },
    #[error(
        "its root could not be made: {0}; rebuild it with a plugin-api as it was published, or ask its \
         vendor"
    )]
    RootFailed(String),
    #[error("its note and its code disagree about its id ('{note}' and '{code}'); rebuild it")]
    OtherId { note: String, code: String },
    /// What a worker that tried to load it found.
    #[error("{reason}")]
    NotLoadable {
        reason: String,
        detail: Option<String>,
    },
    #[error(
        "the process that tried to load it {0}; the file may be damaged, or a fault of it runs as soon \
         as it is loaded; exchange it, or let SIGHUP have it tried once more"
    )]
    Untried(String),
    #[error("the process to try it in {0}; look at the machine's memory and limits of processes")]
    NoProcess(String),
}

impl Refusal {
    /// The long form for the debug log, where there is one.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::OtherLayout { detail } => Some(detail),
            Self::BadExtension { detail, .. } | Self::NotLoadable { detail, .. } => {
                detail.as_deref()
            }
            _ => None,
        }
    }
}

/// The first line of a text that may have many, without control characters and not too long.
pub(super) fn first_line(text: &str) -> String {
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("no reason given");
    line.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each. A new kind of refusal is to be put here; the match below sees to that.
    fn each() -> Vec<Refusal> {
        let error = || std::io::Error::from_raw_os_error(2);
        let (file, text) = (PathBuf::from("/plugins/a.so"), || "some text".to_owned());
        let id = || "a".parse::<PluginId>().unwrap();
        let all = vec![
            Refusal::Unreadable(error()),
            Refusal::UnreadableFolder(error()),
            Refusal::NotAFile("a folder"),
            Refusal::Empty,
            Refusal::TooLarge(1 << 30),
            Refusal::NotALibrary("it is a text"),
            Refusal::WrongMachine {
                found: text(),
                expected: "x86_64",
            },
            Refusal::Damaged("it ends too early"),
            Refusal::SearchPath,
            Refusal::NoNote,
            Refusal::BadNote("it is empty"),
            Refusal::OtherMajor {
                found: text(),
                expected: 1,
            },
            Refusal::OtherCarrier {
                found: text(),
                expected: "0.11",
            },
            Refusal::AbortsOnPanic,
            Refusal::ForeignOwner {
                path: file.clone(),
                uid: 7,
            },
            Refusal::WritableByOthers(file.clone()),
            Refusal::OtherPin {
                id: id(),
                sha256: text(),
            },
            Refusal::NotPinned {
                id: id(),
                sha256: text(),
            },
            Refusal::NotSigned(file.clone()),
            Refusal::UnreadableSignature {
                file: file.clone(),
                error: error(),
            },
            Refusal::BadSignature {
                file: file.clone(),
                reason: "it is another's",
            },
            Refusal::Duplicate {
                id: id(),
                first: file,
            },
            Refusal::NoMemoryFile(error()),
            Refusal::Linker(text()),
            Refusal::NoRoot,
            Refusal::OtherLayout { detail: text() },
            Refusal::BadExtension {
                id: "certdock.poll/1",
                detail: None,
            },
            Refusal::RootFailed(text()),
            Refusal::OtherId {
                note: text(),
                code: text(),
            },
            Refusal::Untried(text()),
            Refusal::NoProcess(text()),
        ];
        all.into_iter().filter(is_own).collect()
    }

    /// Whether its words are this server's, rather than those of a worker, which has these too.
    fn is_own(refusal: &Refusal) -> bool {
        match refusal {
            Refusal::NotLoadable { .. } => false,
            Refusal::Unreadable(_)
            | Refusal::UnreadableFolder(_)
            | Refusal::NotAFile(_)
            | Refusal::Empty
            | Refusal::TooLarge(_)
            | Refusal::NotALibrary(_)
            | Refusal::WrongMachine { .. }
            | Refusal::Damaged(_)
            | Refusal::SearchPath
            | Refusal::NoNote
            | Refusal::BadNote(_)
            | Refusal::OtherMajor { .. }
            | Refusal::OtherCarrier { .. }
            | Refusal::AbortsOnPanic
            | Refusal::ForeignOwner { .. }
            | Refusal::WritableByOthers(_)
            | Refusal::OtherPin { .. }
            | Refusal::NotPinned { .. }
            | Refusal::NotSigned(_)
            | Refusal::UnreadableSignature { .. }
            | Refusal::BadSignature { .. }
            | Refusal::Duplicate { .. }
            | Refusal::NoMemoryFile(_)
            | Refusal::Linker(_)
            | Refusal::NoRoot
            | Refusal::OtherLayout { .. }
            | Refusal::BadExtension { .. }
            | Refusal::RootFailed(_)
            | Refusal::OtherId { .. }
            | Refusal::Untried(_)
            | Refusal::NoProcess(_) => true,
        }
    }

    #[test]
    fn each_says_what_to_do_in_one_line() {
        for refusal in each() {
            let text = refusal.to_string();
            let remedy = text.rsplit_once("; ").map(|(_, remedy)| remedy);
            assert!(remedy.is_some_and(|remedy| remedy.len() > 8), "{text}");
            assert!(!text.contains('\n') && text.len() < 400, "{text}");
        }
    }
}
