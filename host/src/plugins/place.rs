//! Where a plugin's file lies: whether anybody but trusted users could have put it there.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::refusal::Refusal;

/// Who a file belongs to and who may do what with it, as read from the open file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    uid: u32,
    mode: u32,
    directory: bool,
}

impl From<&Metadata> for Owner {
    fn from(metadata: &Metadata) -> Self {
        Self {
            uid: metadata.uid(),
            mode: metadata.mode(),
            directory: metadata.is_dir(),
        }
    }
}

/// Checks the file and every folder above it, and where it is reached by a symbolic link, also those
/// above the link. Root and the server's own user are trusted, and so are `owners`.
pub(super) fn check(file: &Path, owner: Owner, owners: &BTreeSet<u32>) -> Result<(), Refusal> {
    let mut trusted = owners.clone();
    trusted.extend([0, rustix::process::geteuid().as_raw()]);
    check_for(file, owner, &trusted)
}

/// The same where these users are trusted and nobody else.
pub(super) fn check_for(file: &Path, owner: Owner, trusted: &BTreeSet<u32>) -> Result<(), Refusal> {
    let real = file.canonicalize().map_err(Refusal::Unreadable)?;
    let named = parent(file).canonicalize().map_err(Refusal::Unreadable)?;
    owner.check(&real, trusted)?;
    for folder in named.ancestors().chain(real.ancestors().skip(1)) {
        let metadata = std::fs::metadata(folder).map_err(Refusal::Unreadable)?;
        Owner::from(&metadata).check(folder, trusted)?;
    }
    Ok(())
}

fn parent(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

impl Owner {
    #[cfg(test)]
    pub(super) fn of(uid: u32, mode: u32) -> Self {
        Self {
            uid,
            mode,
            directory: false,
        }
    }

    fn check(self, path: &Path, trusted: &BTreeSet<u32>) -> Result<(), Refusal> {
        let path = || PathBuf::from(path);
        if !trusted.contains(&self.uid) {
            let uid = self.uid;
            return Err(Refusal::ForeignOwner { path: path(), uid });
        }
        // In a sticky folder, /tmp say, only their owners can replace the files.
        let sticky = self.directory && self.mode & STICKY != 0;
        if self.mode & WRITABLE_BY_OTHERS != 0 && !sticky {
            return Err(Refusal::WritableByOthers(path()));
        }
        Ok(())
    }
}

const STICKY: u32 = 0o1000;
const WRITABLE_BY_OTHERS: u32 = 0o022;
