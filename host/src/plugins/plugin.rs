//! [`Plugin`]: a checked plugin, from which handlers are opened.

use std::fmt::Write as _;
use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_lc_rs::digest;
use certdock_plugin_api::abi::client;
use certdock_plugin_api::{ConfigNote, Fault, HostServices};
use rustix::fs::OFlags;
use serde::Serialize;
use tracing::{debug, warn};

use super::code::Code;
use super::elf::{HEADER_SIZE, Image, check_header};
use super::instance::Instance;
use super::loader;
use super::note::Note;
use super::place::Owner;
use super::probe;
use super::refusal::Refusal;
use super::trust::{Trust, Trusted};
use crate::handlers::{Abilities, HandlerInstance};
use crate::worker::{self, Loaded, Setup};

/// Larger files are refused unread. A debug build of a large plugin has some 100 MiB.
const LARGEST_FILE: u64 = 512 * 1024 * 1024;

/// A plugin's description, for people and for `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct PluginInfo {
    #[serde(flatten)]
    pub note: Note,
    pub file: PathBuf,
    /// Of the file's bytes, in hexadecimal.
    pub sha256: String,
    pub trusted: Trusted,
    pub abilities: Abilities,
}

/// A plugin that has been checked, and loaded in a worker process to see that it can be. The same one
/// may be opened under many handlers.
pub struct Plugin {
    info: PluginInfo,
    schema: String,
    code: Arc<Code>,
    /// In this process, where a handler runs in it.
    loaded: OnceLock<Result<client::Plugin, String>>,
}

/// Where a handler's code runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// In a process of its own.
    Process,
    /// In the server.
    InProcess {
        /// Even if a panic of it ends the server.
        aborting: bool,
    },
}

/// What can be known of a file without running any of its code.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    #[serde(flatten)]
    pub note: Note,
    pub file: PathBuf,
    /// Of the file's bytes, in hexadecimal.
    pub sha256: String,
    #[serde(skip)]
    pub(super) owner: Owner,
    #[serde(skip)]
    pub(super) bytes: Vec<u8>,
}

impl Inspection {
    /// Reads a file and checks all that can be checked without running it.
    ///
    /// # Errors
    /// Says why it is no plugin for this server.
    pub fn of(file: &Path) -> Result<Self, Refusal> {
        let inspection = Self::of_any_version(file)?;
        inspection.note.check()?;
        Ok(inspection)
    }

    /// The same of a file that may be meant for another version of this server.
    pub(super) fn of_any_version(file: &Path) -> Result<Self, Refusal> {
        let (bytes, owner) = read(file)?;
        let image = Image::check(&bytes)?;
        let note = Note::read(&image)?;
        let sha256 = hex(digest::digest(&digest::SHA256, &bytes).as_ref());
        Ok(Self {
            note,
            file: file.to_owned(),
            sha256,
            owner,
            bytes,
        })
    }

    /// Makes a plugin of the very bytes that were inspected, if they are trusted and a worker process
    /// can load them. Nothing of it is loaded here. Blocks.
    ///
    /// # Errors
    /// Says why it is no plugin for this server.
    pub fn admit(self, trust: &Trust) -> Result<Plugin, Refusal> {
        let trusted = trust.check(&self)?;
        let Self {
            note,
            file,
            sha256,
            bytes,
            ..
        } = self;
        let code = Code::seal(note.id.as_str(), &bytes).map_err(Refusal::NoMemoryFile)?;
        drop(bytes);
        let code = Arc::new(code);
        let Loaded {
            abilities,
            schema,
            unusable,
        } = probe::probe(&note.id, &code, &sha256)?;
        for (extension, detail) in unusable.0 {
            let file = file.display();
            warn!(%file, extension, "the plugin's extension has another layout, not used");
            debug!(extension, detail, "layout of the extension");
        }
        Ok(Plugin {
            info: PluginInfo {
                note,
                file,
                sha256,
                trusted,
                abilities,
            },
            schema,
            code,
            loaded: OnceLock::new(),
        })
    }
}

impl Plugin {
    #[must_use]
    pub fn info(&self) -> &PluginInfo {
        &self.info
    }

    /// The file's bytes, as they were checked.
    ///
    /// # Errors
    /// There is no memory for them.
    pub fn bytes(&self) -> std::io::Result<Vec<u8>> {
        self.code.bytes()
    }

    /// The JSON Schema of its configuration; empty if it has none.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Looks for mistakes in a handler's configuration, in a worker process. A plugin that can't is
    /// asked nothing; opening will tell. Blocks as long as `patience` at most, and as long as starting
    /// a worker takes.
    ///
    /// # Errors
    /// The plugin did not answer, or its worker died.
    pub fn validate_config(
        &self,
        setup: &Setup,
        host: Arc<dyn HostServices>,
        patience: Duration,
    ) -> Result<Vec<ConfigNote>, Fault> {
        if !self.info.abilities.validate_config {
            return Ok(Vec::new());
        }
        worker::validate_config(self.id(), &self.code, setup, host, patience)
    }

    /// Opens a handler. Blocks.
    ///
    /// # Errors
    /// What the plugin says, or why it can't be run so.
    pub fn open(
        &self,
        isolation: Isolation,
        setup: &Setup,
        host: &Arc<dyn HostServices>,
    ) -> Result<Arc<dyn HandlerInstance>, Fault> {
        match isolation {
            Isolation::Process => worker::open(self.id(), &self.code, setup.clone(), host),
            Isolation::InProcess { aborting } => {
                if self.info.note.aborts() && !aborting {
                    let file = self.info.file.display();
                    let refusal = Refusal::AbortsOnPanic;
                    return Err(Fault::misconfigured(format!("{file}: {refusal}")));
                }
                probe::try_open(self.id(), &self.code, &self.info.sha256, setup, host)?;
                let inner = self.loaded()?.open(&setup.config, Arc::clone(host))?;
                Ok(Arc::new(Instance {
                    inner,
                    abilities: self.info.abilities,
                }))
            }
        }
    }

    fn id(&self) -> &str {
        self.info.note.id.as_str()
    }

    /// Loads it into this process, once.
    fn loaded(&self) -> Result<client::Plugin, Fault> {
        let loaded = self.loaded.get_or_init(|| {
            let loaded = loader::load(&self.code, self.id());
            loaded
                .map(|(client, _)| client)
                .map_err(|refusal| refusal.to_string())
        });
        loaded.clone().map_err(Fault::misconfigured)
    }
}

/// All bytes of a regular file, or of what a symbolic link to one leads to. Never waits, whatever
/// the name leads to.
fn read(path: &Path) -> Result<(Vec<u8>, Owner), Refusal> {
    // Asked before opening, since opening a device may do something.
    check_kind(&std::fs::metadata(path).map_err(Refusal::Unreadable)?)?;
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::options()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(path)
        .map_err(Refusal::Unreadable)?;
    // And again, since the name may lead elsewhere by now.
    let metadata = file.metadata().map_err(Refusal::Unreadable)?;
    check_kind(&metadata)?;
    if metadata.len() > LARGEST_FILE {
        return Err(Refusal::TooLarge(LARGEST_FILE));
    }
    // The beginning first: what is no library at all need not be read whole.
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    let mut file = file.take(LARGEST_FILE);
    file.by_ref()
        .take(HEADER_SIZE as u64)
        .read_to_end(&mut bytes)
        .map_err(Refusal::Unreadable)?;
    check_header(&bytes)?;
    file.read_to_end(&mut bytes).map_err(Refusal::Unreadable)?;
    Ok((bytes, Owner::from(&metadata)))
}

fn check_kind(metadata: &Metadata) -> Result<(), Refusal> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok(());
    }
    Err(Refusal::NotAFile(if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }))
}

/// SHA-256 of a file, in hexadecimal. It may be large, and is read in parts.
pub(crate) fn sha256(mut file: &File) -> std::io::Result<String> {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut part = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut part)?;
        match part.get(..read) {
            Some(part) if !part.is_empty() => context.update(part),
            _ => return Ok(hex(context.finish().as_ref())),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
