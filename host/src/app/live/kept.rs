//! [`Kept`]: the plugin files that handlers ran lately, so that an operator can roll back; in the data
//! folder, by the SHA-256 of their content.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::history::History;
use crate::ids::{HandlerName, PluginId};
use crate::plugins::{Inspection, Plugin, Trust};

/// By handler.
pub(super) type Histories = BTreeMap<HandlerName, History>;

/// A folder of the server's own.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    folder: PathBuf,
}

impl Kept {
    pub(super) fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where a file of this content is, if it is kept.
    pub(super) fn file(&self, sha256: &str) -> PathBuf {
        self.folder.join(format!("{sha256}.so"))
    }

    /// Keeps the file that a plugin came from. If that fails, it can't be rolled back to.
    pub(super) fn keep_running(&self, plugin: &Plugin) {
        let info = plugin.info();
        let kept = plugin
            .bytes()
            .and_then(|bytes| self.keep(&info.file, &info.sha256, &bytes));
        if let Err(error) = kept {
            let folder = self.folder.display();
            tracing::warn!(%folder, %error, "a plugin's file can't be kept for a later rollback");
        }
    }

    /// Loads what is kept. It has to pass the rules of trust as they are now. Blocks.
    ///
    /// # Errors
    /// One sentence.
    pub(super) fn load(
        &self,
        id: &PluginId,
        sha256: &str,
        trust: &Trust,
    ) -> Result<Plugin, String> {
        let inspected =
            Inspection::of(&self.file(sha256)).map_err(|refusal| refusal.to_string())?;
        if inspected.sha256 != sha256 || inspected.note.id != *id {
            return Err("what was kept of it has been changed".to_owned());
        }
        inspected
            .admit(trust)
            .map_err(|refusal| refusal.to_string())
    }

    /// Keeps a file's bytes, and its signature, which lies beside it.
    fn keep(&self, from: &Path, sha256: &str, bytes: &[u8]) -> io::Result<()> {
        let file = self.file(sha256);
        if file.exists() {
            return Ok(());
        }
        self.make_folder()?;
        match fs::read(signature(from)) {
            Ok(text) => write(&signature(&file), &text)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        write(&file, bytes)
    }

    /// What was written down last. A record that can't be read counts as none.
    pub(super) fn histories(&self) -> Histories {
        let Ok(text) = fs::read(self.record()) else {
            return Histories::default();
        };
        serde_json::from_slice(&text).unwrap_or_else(|error| {
            tracing::warn!(%error, "which plugins ran before can't be read; nothing can be rolled back to");
            Histories::default()
        })
    }

    /// Writes down what ran, and drops the files that nobody can go back to any more.
    pub(super) fn write_down(&self, histories: &Histories) {
        if let Err(error) = self.write_record(histories) {
            let folder = self.folder.display();
            tracing::warn!(%folder, %error, "which plugins ran can't be written down");
        }
    }

    fn write_record(&self, histories: &Histories) -> io::Result<()> {
        self.make_folder()?;
        write(&self.record(), &serde_json::to_vec(histories)?)?;
        let used: BTreeSet<PathBuf> = histories
            .values()
            .flat_map(History::files)
            .map(|sha256| self.file(sha256))
            .flat_map(|file| [signature(&file), file])
            .chain([self.record()])
            .collect();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if !used.contains(&path) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn make_folder(&self) -> io::Result<()> {
        let mut folder = fs::DirBuilder::new();
        folder.recursive(true).mode(0o700).create(&self.folder)
    }

    fn record(&self) -> PathBuf {
        self.folder.join("history.json")
    }
}

fn signature(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}

/// All of it or nothing, if the server ends in between. What the machine loses when it stops is found
/// by its hash, or is no record.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut begun = path.as_os_str().to_owned();
    begun.push(".new");
    let mut file = fs::File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&begun)?;
    file.write_all(bytes)?;
    fs::rename(begun, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_stay_as_long_as_somebody_can_go_back_to_them() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::in_folder(folder.path().join("data/plugins"));
        assert!(kept.histories().is_empty());
        let source = folder.path().join("x.so");
        fs::write(folder.path().join("x.so.minisig"), "signed").unwrap();
        for (sha256, bytes) in [("aa", "1"), ("bb", "2"), ("cc", "3")] {
            kept.keep(&source, sha256, bytes.as_bytes()).unwrap();
        }
        let mut history = History::new("p".parse().unwrap());
        history.serves("bb");
        history.serves("cc");
        let histories = Histories::from([("local".parse().unwrap(), history)]);
        kept.write_down(&histories);
        assert_eq!(kept.histories(), histories);
        assert!(!kept.file("aa").exists() && !signature(&kept.file("aa")).exists());
        assert_eq!(fs::read(kept.file("bb")).unwrap(), b"2");
        assert_eq!(fs::read(signature(&kept.file("cc"))).unwrap(), b"signed");

        fs::write(kept.record(), "nonsense").unwrap();
        assert!(kept.histories().is_empty());
    }
}
