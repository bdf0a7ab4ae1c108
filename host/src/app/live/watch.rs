//! [`Watch`]: tells when a file of the configuration or of a plugin has changed.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{Config, Event, EventKindMask, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::Source;

/// Who copies several files, or a long one, makes changes for a while: they are looked at when there
/// have been none for so long.
const QUIET: Duration = Duration::from_millis(300);

/// But not later than this after the first.
const LATEST: Duration = Duration::from_secs(5);

/// What the kernel is to tell. Each single write would be too much: the database may lie in a folder
/// that is watched, and every commit would wake up the watcher several times. So a file is looked at when
/// whoever wrote it closes it; one that is cut short by its name alone is not noticed.
const KINDS: EventKindMask = EventKindMask::CREATE
    .union(EventKindMask::REMOVE)
    .union(EventKindMask::MODIFY_NAME)
    .union(EventKindMask::MODIFY_META)
    .union(EventKindMask::ACCESS_CLOSE);

/// The folders that are watched. Nothing is read here.
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    changed: Arc<Notify>,
}

impl Watch {
    /// Where the system can't watch, that is said, and SIGHUP is left.
    pub(super) fn start(source: &Source, plugins: &Path) -> Self {
        let changed = Arc::new(Notify::new());
        let matters = Matters::new(source, plugins);
        let tell = Arc::clone(&changed);
        let on_event = move |event: notify::Result<Event>| {
            // After an error, such as a queue that ran over, anything may have changed.
            if event.map_or(true, |event| matters.event(&event)) {
                tell.notify_one();
            }
        };
        let config = Config::default().with_event_kinds(KINDS);
        let watcher = RecommendedWatcher::new(on_event, config);
        let watcher = watcher.inspect_err(complain).ok();
        let mut watch = Self {
            watcher,
            watched: BTreeSet::new(),
            changed,
        };
        watch.look_at(source, plugins);
        watch
    }

    /// Watches these from now on. Folders that were exchanged for others of the same name are found
    /// again.
    pub(super) fn look_at(&mut self, source: &Source, plugins: &Path) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        for folder in std::mem::take(&mut self.watched) {
            // It may be gone, and with it its watch.
            let _ = watcher.unwatch(&folder);
        }
        for folder in folders(source, plugins) {
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(folder);
                }
                Err(error) if matches!(error.kind, notify::ErrorKind::PathNotFound) => {}
                Err(_) if !folder.exists() => {}
                Err(error) => complain(&error),
            }
        }
    }

    pub(super) fn changes(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }
}

/// Returns when there were changes, and no more for a moment.
pub(super) async fn settled(changed: &Notify) {
    changed.notified().await;
    let latest = Instant::now() + LATEST;
    while timeout_at(latest, timeout(QUIET, changed.notified()))
        .await
        .is_ok_and(|more| more.is_ok())
    {}
}

fn complain(error: &notify::Error) {
    tracing::warn!(
        %error,
        "changes of plugins and of the configuration are not noticed; send SIGHUP after one"
    );
}

/// The configuration's folder, `conf.d` in it, the plugins' and the one above, in which it may be made
/// or exchanged.
fn folders(source: &Source, plugins: &Path) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::from([plugins.to_owned(), parent(plugins)]);
    if let Source::File(main) = source {
        let folder = parent(main);
        folders.insert(folder.join("conf.d"));
        folders.insert(folder);
    }
    folders
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Which changes matter.
struct Matters {
    names: Vec<OsString>,
}

impl Matters {
    fn new(source: &Source, plugins: &Path) -> Self {
        let mut names = vec![OsString::from("conf.d")];
        names.extend(plugins.file_name().map(OsStr::to_owned));
        if let Source::File(main) = source {
            names.extend(main.file_name().map(OsStr::to_owned));
        }
        Self { names }
    }

    fn event(&self, event: &Event) -> bool {
        event.need_rescan() || event.paths.iter().any(|path| self.path(path))
    }

    fn path(&self, path: &Path) -> bool {
        let Some(name) = path.file_name() else {
            return true;
        };
        // Kubernetes exchanges a whole volume by a link of such a name.
        let exchanged = name.as_encoded_bytes().starts_with(b"..");
        let kind = path.extension();
        let kinds = ["so", "minisig", "toml"];
        exchanged
            || self.names.iter().any(|matters| matters == name)
            || kinds
                .iter()
                .any(|matters| kind == Some(OsStr::new(matters)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    async fn is_told(watch: &Watch, of: impl FnOnce()) -> bool {
        // What came before is taken first.
        while timeout(QUIET, watch.changed.notified()).await.is_ok() {}
        of();
        timeout(Duration::from_secs(2), settled(&watch.changed))
            .await
            .is_ok()
    }

    #[tokio::test]
    async fn what_matters_is_told_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("plugins")).unwrap();
        fs::write(at("main.conf"), "").unwrap();
        let source = Source::File(at("main.conf"));
        let mut watch = Watch::start(&source, &at("plugins"));
        let write = |name: &str| fs::write(at(name), "changed").unwrap();

        assert!(is_told(&watch, || write("main.conf")).await);
        assert!(is_told(&watch, || write("plugins/a.so")).await);
        assert!(is_told(&watch, || write("plugins/a.so.minisig")).await);
        assert!(is_told(&watch, || fs::remove_file(at("plugins/a.so")).unwrap()).await);
        assert!(!is_told(&watch, || write("certdock.db-wal")).await);
        assert!(!is_told(&watch, || write("plugins/README")).await);
        assert!(!is_told(&watch, || drop(fs::read(at("main.conf")).unwrap())).await);

        // A folder that comes later, and one that is exchanged.
        assert!(is_told(&watch, || fs::create_dir(at("conf.d")).unwrap()).await);
        watch.look_at(&source, &at("plugins"));
        assert!(is_told(&watch, || write("conf.d/a.toml")).await);
        let exchange = || {
            fs::rename(at("plugins"), at("former")).unwrap();
            fs::create_dir(at("plugins")).unwrap();
        };
        assert!(is_told(&watch, exchange).await);
        watch.look_at(&source, &at("plugins"));
        assert!(is_told(&watch, || write("plugins/b.so")).await);
    }

    #[tokio::test]
    async fn a_file_is_looked_at_when_it_is_closed_not_at_each_write() {
        let folder = tempfile::tempdir().unwrap();
        let source = Source::File(folder.path().join("main.conf"));
        let watch = Watch::start(&source, &folder.path().join("plugins"));
        let mut file = fs::File::create(folder.path().join("main.conf")).unwrap();
        assert!(!is_told(&watch, || file.write_all(b"half of it").unwrap()).await);
        assert!(is_told(&watch, || drop(file)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn many_changes_are_one() {
        let changed = Arc::new(Notify::new());
        let telling = Arc::clone(&changed);
        let long = tokio::spawn(async move {
            for _ in 0..1000 {
                telling.notify_one();
                tokio::time::sleep(QUIET / 3).await;
            }
        });
        let start = Instant::now();
        settled(&changed).await;
        assert_eq!(start.elapsed(), LATEST);
        long.abort();
        changed.notify_one();
        let start = Instant::now();
        settled(&changed).await;
        assert!(start.elapsed() < LATEST);
    }
}
