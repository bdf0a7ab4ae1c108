//! [`Plugin`]: a loaded plugin, from which handlers are opened.

use std::fmt::Write as _;
use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest;
use certdock_plugin_api::abi::client::{self, Provided};
use certdock_plugin_api::{ConfigNote, Fault, HostServices};
use rustix::fs::OFlags;
use serde::Serialize;
use tracing::{debug, warn};

use super::elf::{HEADER_SIZE, Image, check_header};
use super::instance::Instance;
use super::loader;
use super::note::Note;
use super::place::Owner;
use super::refusal::Refusal;
use super::trust::{Trust, Trusted};
use crate::handlers::{Abilities, HandlerInstance};

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

/// A plugin that has been loaded and checked. The same one may be opened under many handlers.
pub struct Plugin {
    info: PluginInfo,
    bytes: Vec<u8>,
    client: client::Plugin,
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
        let (bytes, owner) = read(file)?;
        let image = Image::check(&bytes)?;
        let note = Note::read(&image)?;
        note.check()?;
        let sha256 = hex(digest::digest(&digest::SHA256, &bytes).as_ref());
        Ok(Self {
            note,
            file: file.to_owned(),
            sha256,
            owner,
            bytes,
        })
    }

    /// Loads the very bytes that were inspected, if they are trusted.
    ///
    /// # Errors
    /// Says why it is no plugin for this server.
    pub fn load(self, trust: &Trust) -> Result<Plugin, Refusal> {
        let trusted = trust.check(&self)?;
        let Self {
            note,
            file,
            sha256,
            bytes,
            ..
        } = self;
        let (client, unusable) = loader::load(note.id.as_str(), &bytes)?;
        let code = client.description().id;
        if code.as_str() != note.id.as_str() {
            let code = super::refusal::first_line(code.as_str());
            return Err(Refusal::OtherId {
                note: note.id,
                code,
            });
        }
        for extension in unusable {
            let (file, id) = (file.display(), extension.id);
            warn!(%file, extension = id, "the plugin's extension has another layout, not used");
            debug!(
                extension = id,
                detail = extension.detail,
                "layout of the extension"
            );
        }
        let abilities = abilities(client.provided());
        Ok(Plugin {
            info: PluginInfo {
                note,
                file,
                sha256,
                trusted,
                abilities,
            },
            bytes,
            client,
        })
    }
}

impl Plugin {
    #[must_use]
    pub fn info(&self) -> &PluginInfo {
        &self.info
    }

    /// The file's bytes, as they were checked.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The JSON Schema of its configuration; empty if it has none. Blocks.
    #[must_use]
    pub fn schema(&self) -> String {
        self.client.schema()
    }

    /// Looks for mistakes in a handler's configuration (JSON). A plugin that can't is asked nothing;
    /// opening will tell. Blocks.
    #[must_use]
    pub fn validate_config(&self, config: &str, host: Arc<dyn HostServices>) -> Vec<ConfigNote> {
        self.client.validate_config(config, host)
    }

    /// Opens a handler with its configuration (JSON). Blocks.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn open(
        &self,
        config: &str,
        host: Arc<dyn HostServices>,
    ) -> Result<Arc<dyn HandlerInstance>, Fault> {
        let inner = self.client.open(config, host)?;
        Ok(Arc::new(Instance {
            inner,
            abilities: self.info.abilities,
        }))
    }
}

fn abilities(provided: Provided) -> Abilities {
    let Provided {
        poll,
        recover,
        idempotent,
        push,
        health,
        revoke,
        crl,
        validate_config,
    } = provided;
    Abilities {
        poll,
        recover,
        idempotent,
        push,
        health,
        revoke,
        crl,
        validate_config,
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
