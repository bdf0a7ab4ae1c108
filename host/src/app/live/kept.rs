//! [`Kept`]: the plugin files that handlers ran lately, so that an operator can roll back; in the data
//! folder, by the SHA-256 of their content.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::history::History;
use crate::config;
use crate::ids::{HandlerName, PluginId};
use crate::plugins::{self, Inspection, Plugin, Trust, Trusted, signature};

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

    /// Keeps the file that a plugin came from, and its signature. If that fails, it can't be rolled back
    /// to.
    pub(super) fn keep_running(&self, plugin: &Plugin) {
        let info = plugin.info();
        let verified = matches!(info.trusted, Trusted::Signed { .. });
        let kept = self
            .keep(&info.sha256, || plugin.bytes())
            .and_then(|()| self.keep_signature(&info.file, &info.sha256, verified));
        if let Err(error) = kept {
            let folder = self.folder.display();
            tracing::warn!(%folder, %error, "a plugin's file can't be kept for a later rollback");
        }
    }

    /// Whether a signature has come since the file was kept.
    pub(super) fn lacks_signature(&self, plugin: &Plugin) -> bool {
        let info = plugin.info();
        signature::file(&info.file).exists() && !signature::file(&self.file(&info.sha256)).exists()
    }

    /// What was rolled back to, where that is to run in the stead of the file in the directory: as long
    /// as that is the one that is left aside, or there is none. Blocks.
    pub(super) fn instead_of(
        &self,
        file: Option<&Arc<Plugin>>,
        handler: &config::Handler,
        history: Option<&History>,
        trust: &Trust,
    ) -> Option<Result<Arc<Plugin>, String>> {
        let id = &handler.plugin;
        let history = history.filter(|history| history.plugin() == id)?;
        let stays = match file {
            Some(file) => history.leaves_aside(&file.info().sha256),
            None => history.is_rolled_back(),
        };
        let latest = history.latest().filter(|_| stays)?;
        Some(self.load(id, latest, trust).map(Arc::new))
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
            return Err(format!(
                "its kept copy {} has been changed; put the file that is to run into the \
                 plugins directory",
                self.file(sha256).display()
            ));
        }
        inspected
            .admit(trust)
            .map_err(|refusal| refusal.to_string())
    }

    /// Keeps a file's bytes. A copy that has been damaged is made anew.
    fn keep(&self, sha256: &str, bytes: impl Fn() -> io::Result<Vec<u8>>) -> io::Result<()> {
        let file = self.file(sha256);
        match fs::File::open(&file) {
            Ok(copy) if plugins::sha256(&copy)? == sha256 => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.make_folder()?;
        write(&file, &bytes()?)
    }

    /// Keeps the signature that lies beside a file. One that is kept gives way only to one that was
    /// `verified`: what lies there may be the next file's already.
    fn keep_signature(&self, from: &Path, sha256: &str, verified: bool) -> io::Result<()> {
        let Some(text) = signature::read(from)? else {
            return Ok(());
        };
        let file = self.file(sha256);
        match signature::read(&file) {
            Ok(Some(_)) if !verified => Ok(()),
            Ok(Some(kept)) if kept == text => Ok(()),
            _ => write(&signature::file(&file), text.as_bytes()),
        }
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
            .flat_map(|file| [signature::file(&file), file])
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

/// All of it or nothing, if the server ends in between, or the machine stops.
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
    file.sync_all()?;
    fs::rename(begun, path)?;
    match path.parent() {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
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
            kept.keep(sha256, || Ok(bytes.into())).unwrap();
            kept.keep_signature(&source, sha256, false).unwrap();
        }
        let mut history = History::new("p".parse().unwrap());
        history.serves("bb");
        history.serves("cc");
        let histories = Histories::from([("local".parse().unwrap(), history)]);
        kept.write_down(&histories);
        assert_eq!(kept.histories(), histories);
        assert!(!kept.file("aa").exists() && !signature::file(&kept.file("aa")).exists());
        assert_eq!(fs::read(kept.file("bb")).unwrap(), b"2");
        assert_eq!(
            fs::read(signature::file(&kept.file("cc"))).unwrap(),
            b"signed"
        );

        fs::write(kept.record(), "nonsense").unwrap();
        assert!(kept.histories().is_empty());
    }

    #[test]
    fn a_damaged_copy_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::in_folder(folder.path().join("kept"));
        let whole = || Ok(b"all of it".to_vec());
        fs::write(folder.path().join("whole"), whole().unwrap()).unwrap();
        let sha256 = plugins::sha256(&fs::File::open(folder.path().join("whole")).unwrap());
        let sha256 = sha256.unwrap();
        kept.keep(&sha256, whole).unwrap();
        for damaged in ["", "all of i", "all 0f it"] {
            fs::write(kept.file(&sha256), damaged).unwrap();
            kept.keep(&sha256, whole).unwrap();
            assert_eq!(fs::read(kept.file(&sha256)).unwrap(), b"all of it");
        }
        // One that is as it was is left alone.
        kept.keep(&sha256, || panic!("it is there")).unwrap();
    }

    #[test]
    fn what_is_no_signature_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::in_folder(folder.path().join("kept"));
        let source = folder.path().join("x.so");
        let pipe = |plugin: &Path| {
            let mode = rustix::fs::Mode::from_raw_mode(0o600);
            rustix::fs::mkfifoat(rustix::fs::CWD, signature::file(plugin), mode).unwrap();
        };
        pipe(&source);
        kept.keep("aa", || Ok(b"1".to_vec())).unwrap();
        let error = kept.keep_signature(&source, "aa", false).unwrap_err();
        assert!(error.to_string().contains("no regular file"), "{error}");
        assert!(!signature::file(&kept.file("aa")).exists());

        fs::remove_file(signature::file(&source)).unwrap();
        fs::write(signature::file(&source), "of the vendor").unwrap();
        pipe(&kept.file("aa"));
        kept.keep_signature(&source, "aa", false).unwrap();
        let is_kept = signature::read(&kept.file("aa")).unwrap();
        assert_eq!(is_kept.as_deref(), Some("of the vendor"));
    }

    #[test]
    fn a_signature_that_comes_later_is_kept_too() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::in_folder(folder.path().join("kept"));
        let source = folder.path().join("x.so");
        let lies_there = |text: &str| fs::write(signature::file(&source), text).unwrap();
        let is_kept = || fs::read_to_string(signature::file(&kept.file("aa"))).unwrap();
        kept.keep("aa", || Ok(b"1".to_vec())).unwrap();
        kept.keep_signature(&source, "aa", false).unwrap();
        assert!(!signature::file(&kept.file("aa")).exists());
        lies_there("of somebody");
        kept.keep_signature(&source, "aa", false).unwrap();
        assert_eq!(is_kept(), "of somebody");
        lies_there("of the vendor");
        kept.keep_signature(&source, "aa", true).unwrap();
        assert_eq!(is_kept(), "of the vendor");
        // Of a file that is not there yet, perhaps.
        lies_there("of the next");
        kept.keep_signature(&source, "aa", false).unwrap();
        assert_eq!(is_kept(), "of the vendor");
    }
}
