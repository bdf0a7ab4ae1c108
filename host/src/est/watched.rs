//! [`Watched`]: what was read from files, and is read again whenever they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::server::Shutdown;

/// How often the files are looked at: a few `stat`s.
const LOOK: Duration = Duration::from_secs(5);

pub(super) struct Watched<T> {
    /// For the log.
    what: &'static str,
    paths: Vec<PathBuf>,
    read: Box<dyn Fn() -> anyhow::Result<T> + Send + Sync>,
    /// The files when they were read last.
    seen: Mutex<Vec<Stamp>>,
    current: ArcSwap<T>,
}

/// What changes when a file does, be it written or replaced.
type Stamp = Option<(SystemTime, u64, u64)>;

fn stamp(path: &Path) -> Stamp {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

impl<T> Watched<T> {
    /// Reads for the first time. `read` makes it of these files.
    ///
    /// # Errors
    /// The files can't be used.
    pub(super) fn new(
        what: &'static str,
        paths: Vec<PathBuf>,
        read: impl Fn() -> anyhow::Result<T> + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        // Before they are read: what changes meanwhile is read again.
        let seen = paths.iter().map(|path| stamp(path)).collect();
        Ok(Self {
            what,
            seen: Mutex::new(seen),
            current: ArcSwap::from_pointee(read()?),
            paths,
            read: Box::new(read),
        })
    }

    pub(super) fn current(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// Reads the files again if they have changed. What can't be used is reported once, and what was
    /// read last is kept; of two files that belong together one may come before the other.
    pub(super) fn look(&self) {
        let mut seen = self.seen.lock();
        let now = self.paths.iter().map(|path| stamp(path)).collect();
        if *seen == now {
            return;
        }
        *seen = now;
        match (self.read)() {
            Ok(fresh) => {
                self.current.store(Arc::new(fresh));
                tracing::info!("{} were read again", self.what);
            }
            Err(error) => tracing::warn!(
                error = format!("{error:#}"),
                "{} have changed and can't be used; the old ones stay",
                self.what
            ),
        }
    }
}

impl<T: Send + Sync + 'static> Watched<T> {
    /// Looks now and then until `shutdown` starts or nobody has it any more.
    pub(super) fn keep_looking(watched: &Arc<Self>, shutdown: &Shutdown) {
        let (watched, stopped) = (Arc::downgrade(watched), shutdown.clone());
        shutdown.spawn(async move {
            loop {
                tokio::select! {
                    () = stopped.started() => return,
                    () = tokio::time::sleep(LOOK) => {}
                }
                let Some(watched) = watched.upgrade() else {
                    return;
                };
                watched.look();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn what_changes_is_read_again_and_what_is_useless_is_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("number");
        let write = |text: &str| {
            // Another file each time, so that the clock's steps don't matter.
            let fresh = directory.path().join("fresh");
            std::fs::write(&fresh, text).unwrap();
            std::fs::rename(fresh, &path).unwrap();
        };
        let from = path.clone();
        let read = move || {
            let text = std::fs::read_to_string(&from)?;
            text.parse::<u32>().context("no number")
        };
        assert!(Watched::new("numbers", vec![path.clone()], read.clone()).is_err());
        write("1");
        let watched = Watched::new("numbers", vec![path.clone()], read).unwrap();
        for (text, expected) in [("1", 1), ("2", 2), ("none", 2), ("3", 3)] {
            write(text);
            watched.look();
            assert_eq!(*watched.current(), expected, "{text}");
        }
        std::fs::remove_file(&path).unwrap();
        watched.look();
        assert_eq!(*watched.current(), 3);
        write("4");
        watched.look();
        assert_eq!(*watched.current(), 4);
    }
}
