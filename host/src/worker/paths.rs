//! [`Paths`]: which files a worker may touch, as its handler's configuration names them.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Setup, system};

/// Files and folders beside those that every program needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paths {
    pub read: Vec<PathBuf>,
    /// Read too.
    pub write: Vec<PathBuf>,
    /// Folders among these that are not there yet.
    #[serde(skip)]
    to_make: Vec<PathBuf>,
    /// What the configuration names and no right is given to, for it would be one to the server's own
    /// files, or the system's.
    #[serde(skip)]
    pub withheld: Vec<PathBuf>,
}

/// Folders that many programs share: naming a file in one of them gives no right to the others there.
const SHARED: [&str; 14] = [
    "/", "/dev", "/etc", "/home", "/media", "/mnt", "/opt", "/proc", "/root", "/run", "/srv",
    "/sys", "/tmp", "/var",
];

/// A word in the key of a folder, or of a file, that is yet to be made; and what such a file ends in.
/// `path` is not among them: as many of these are parts of URLs.
const FOLDER_KEYS: [&str; 3] = ["dir", "directory", "folder"];
const FILE_KEYS: [&str; 2] = ["file", "socket"];
const ENDINGS: [&str; 12] = [
    "pem", "key", "crt", "cer", "der", "crl", "csr", "p12", "pfx", "json", "txt", "db",
];

/// What a certificate, a key or a list ends in.
const BESIDE: [&str; 7] = ["pem", "key", "crt", "cer", "der", "crl", "csr"];

impl Paths {
    /// What the configuration names: a folder with all below it, a file with its folder, since a new
    /// file comes into being beside the old one, unless the server's own files are there too: then the
    /// file and those beside it that are certificates or keys, without the server's. Of a file that is
    /// yet to be made, its folder. A folder that holds the server's own files is withheld. What is there
    /// among the system's files may be read anyway. Secrets (`{ file = "PATH" }`) are not among them, for
    /// it is the host that reads those.
    #[must_use]
    pub fn of(setup: &Setup) -> Self {
        let mut paths = Self {
            read: setup.limits.read.clone(),
            write: setup.limits.write.clone(),
            ..Self::default()
        };
        if let Ok(config) = serde_json::from_str(&setup.config) {
            let mut named = Vec::new();
            collect(&config, "", &setup.base_dir, &mut named);
            let both = |paths: &[PathBuf]| paths.iter().flat_map(|path| places(path)).collect();
            let server = Servers {
                keep_out: both(&setup.keep_out),
                apart: both(&setup.apart),
            };
            for named in &named {
                paths.add(named, &server);
            }
        }
        // What the operator has allowed is not withheld.
        let allowed = &setup.limits.write;
        let is_allowed = |path: &PathBuf| allowed.iter().any(|folder| path.starts_with(folder));
        paths.withheld.retain(|path| !is_allowed(path));
        for list in [&mut paths.write, &mut paths.to_make, &mut paths.withheld] {
            list.sort();
            list.dedup();
        }
        paths
    }

    /// Makes the folders that are not there: to make them a worker would need the rights to all that lies
    /// beside them. For its own user only, as a worker would.
    pub(super) fn make_folders(&self, handler: &str) {
        for folder in &self.to_make {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            if let Err(error) = made {
                let folder = folder.display();
                tracing::warn!(handler, %folder, %error, "a folder that it names can't be made");
            }
        }
    }

    fn add(&mut self, named: &Named, server: &Servers) {
        let path = &named.path;
        match std::fs::metadata(path) {
            Ok(_) if is_systems(path) => {}
            Ok(metadata) if metadata.is_dir() => self.add_folder(path, path, server),
            Ok(_) => match path.parent().filter(|folder| own(folder)) {
                Some(folder) if server.are_in(folder) => {
                    self.write.extend(beside(path, folder, server));
                }
                folder => self.write.push(folder.unwrap_or(path).to_owned()),
            },
            Err(_) if named.is_folder => self.add_folder(path, path, server),
            Err(_) => {
                if let Some(folder) = path.parent() {
                    self.add_folder(folder, path, server);
                }
            }
        }
    }

    /// `folder` is what one must have the right to, to use `path`.
    fn add_folder(&mut self, folder: &Path, path: &Path, server: &Servers) {
        let known = folder.ancestors().find(|known| known.is_dir());
        let Some(known) = known.filter(|known| own(known)) else {
            return;
        };
        if server.are_in(folder) || is_systems(folder) {
            self.withheld.push(path.to_owned());
            return;
        }
        if known != folder {
            self.to_make.push(folder.to_owned());
        }
        self.write.push(folder.to_owned());
    }
}

/// The server's own files, at all their places.
struct Servers {
    keep_out: Vec<PathBuf>,
    apart: Vec<PathBuf>,
}

impl Servers {
    /// Whether some are in this folder, or below it.
    fn are_in(&self, folder: &Path) -> bool {
        let folder = real(folder);
        self.keep_out.iter().any(|kept| kept.starts_with(&folder))
    }

    /// Whether it is one that lies beside others'.
    fn is_one(&self, path: &Path) -> bool {
        let path = real(path);
        self.keep_out.contains(&path) || self.apart.contains(&path)
    }
}

/// Where a file is, and where a link to it is that it is known by: another could take the link's place.
fn places(path: &Path) -> Vec<PathBuf> {
    let known_by = path
        .file_name()
        .and_then(|name| Some(real(path.parent()?).join(name)));
    known_by.into_iter().chain([real(path)]).collect()
}

/// What a value names.
struct Named {
    path: PathBuf,
    /// Of one that is not there: whether it says that it is to be a folder.
    is_folder: bool,
}

/// `key` is the name of what holds the value.
fn collect(value: &Value, key: &str, base: &Path, found: &mut Vec<Named>) {
    match value {
        Value::String(text) => found.extend(named(text, key, base)),
        Value::Array(values) => values.iter().for_each(|v| collect(v, key, base, found)),
        Value::Object(map) if is_secret(map, base) => {}
        Value::Object(map) => map.iter().for_each(|(k, v)| collect(v, k, base, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether this is how a configuration names a secret. A folder is none.
fn is_secret(map: &Map<String, Value>, base: &Path) -> bool {
    let file = map.get("file").and_then(Value::as_str);
    map.len() == 1 && file.is_some_and(|file| !base.join(file).is_dir())
}

/// What a value names, if that is a path: one to what is there, or one that says that it is a path. A
/// slash in it is not enough, for content types and parts of URLs have one too.
fn named(text: &str, key: &str, base: &Path) -> Option<Named> {
    if text.is_empty() || text.contains("://") || text.contains(['\0', '\n']) {
        return None;
    }
    let path = base.join(text);
    let begins = ["/", "./", "../"].iter().any(|it| text.starts_with(it));
    let is_folder = says(key, &FOLDER_KEYS) || begins && text.ends_with('/');
    let is_path = is_folder || begins || says(key, &FILE_KEYS) || ends_in(&path, &ENDINGS);
    (is_path || path.exists()).then_some(Named { path, is_folder })
}

/// A file, and the certificates and keys in its folder that are not the server's.
fn beside(path: &Path, folder: &Path, server: &Servers) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|other| ends_in(other, &BESIDE) && other.is_file())
        .filter(|other| !server.is_one(other))
        .collect();
    if !found.iter().any(|other| other == path) {
        found.push(path.to_owned());
    }
    found
}

/// Without links, as far as it is there.
fn real(path: &Path) -> PathBuf {
    let found = path.ancestors().find_map(|known| {
        let rest = path.strip_prefix(known).ok()?;
        Some(known.canonicalize().ok()?.join(rest))
    });
    found.unwrap_or_else(|| path.to_owned())
}

fn says(key: &str, words: &[&str]) -> bool {
    key.split('_').any(|word| words.contains(&word))
}

/// Whether it is among the files that every program uses, or what it leads to is.
fn is_systems(path: &Path) -> bool {
    let real = real(path);
    system::READ.iter().any(|shared| real.starts_with(shared))
}

fn own(folder: &Path) -> bool {
    let real = real(folder);
    !SHARED.iter().any(|shared| real == Path::new(shared))
}

fn ends_in(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| endings.contains(&ending))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::time::Duration;

    use super::*;
    use crate::worker::Limits;

    fn paths(base: &Path, config: &str) -> Paths {
        Paths::of(&setup(base, config))
    }

    fn setup(base: &Path, config: &str) -> Setup {
        Setup {
            name: "test".to_owned(),
            config: config.to_owned(),
            base_dir: base.to_owned(),
            keep_out: ["server.toml", "tls.key", "data/server.db", "allowed/kept"]
                .map(|file| base.join(file))
                .into(),
            apart: vec![base.join("anchor.pem")],
            deadline: Duration::from_secs(1),
            threads: 1,
            limits: Limits {
                write: vec![base.join("allowed")],
                ..Limits::default()
            },
        }
    }

    /// A configuration: what may be touched, which of it is made first, and what is withheld.
    type Case<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a [&'a str]);

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        fs::create_dir_all(base.join("data/ca")).unwrap();
        fs::write(base.join("data/ca/issuing.key"), "").unwrap();
        fs::create_dir(base.join("hooks")).unwrap();
        symlink("/usr/bin", base.join("hooks/bin")).unwrap();
        let files = [
            "server.toml",
            "tls.key",
            "password",
            "ca.pem",
            "root.pem",
            "anchor.pem",
        ];
        for file in files {
            fs::write(base.join(file), "").unwrap();
        }
        folder
    }

    #[test]
    fn what_the_configuration_names_may_be_touched() {
        let folder = folder();
        let base = folder.path();
        let cases: [Case<'_>; 40] = [
            (r#"{"key": "data/ca/issuing.key"}"#, &["data/ca"], &[], &[]),
            (r#"{"keys": [{"file": "hooks"}]}"#, &["hooks"], &[], &[]),
            (r#"{"x": "hooks"}"#, &["hooks"], &[], &[]),
            // The server's own configuration is in that folder.
            (r#"{"chain": "ca.pem"}"#, &["ca.pem", "root.pem"], &[], &[]),
            (r#"{"password": {"file": "ca.pem"}}"#, &[], &[], &[]),
            (r#"{"password": {"file": "none.pem"}}"#, &[], &[], &[]),
            // Yet to be made.
            (r#"{"key": "data/ca/new.key"}"#, &["data/ca"], &[], &[]),
            (r#"{"key": "hooks/one.txt"}"#, &["hooks"], &[], &[]),
            (
                r#"{"key": "data/new/ca.key"}"#,
                &["data/new"],
                &["data/new"],
                &[],
            ),
            (r#"{"key": "./new/issuing"}"#, &["new"], &["new"], &[]),
            (r#"{"x": "./new/"}"#, &["new"], &["new"], &[]),
            (r#"{"directory": "new"}"#, &["new"], &["new"], &[]),
            (r#"{"state_dir": "a/b"}"#, &["a/b"], &["a/b"], &[]),
            (r#"{"pin_file": "new/pin"}"#, &["new"], &["new"], &[]),
            (
                r#"{"x": "./hooks/../new/x"}"#,
                &["hooks/../new"],
                &["hooks/../new"],
                &[],
            ),
            // There are the server's own files.
            (r#"{"key": "issuing.key"}"#, &[], &[], &["issuing.key"]),
            (r#"{"key": "./issuing"}"#, &[], &[], &["issuing"]),
            (r#"{"key": "data/ca.key"}"#, &[], &[], &["data/ca.key"]),
            (r#"{"pin_file": "pin"}"#, &[], &[], &["pin"]),
            (r#"{"directory": "data"}"#, &[], &[], &["data"]),
            (r#"{"directory": "."}"#, &[], &[], &["."]),
            (r#"{"x": "hooks/../data/new"}"#, &[], &[], &[]),
            (
                r#"{"x": "./hooks/../data/new"}"#,
                &[],
                &[],
                &["hooks/../data/new"],
            ),
            // The operator has allowed it.
            (r#"{"key": "allowed/ca.key"}"#, &[], &[], &[]),
            // No paths.
            (r#"{"content_type": "application/pkcs10"}"#, &[], &[], &[]),
            (r#"{"profile": "tls/server"}"#, &[], &[], &[]),
            (r#"{"base_path": "api/v1"}"#, &[], &[], &[]),
            (r#"{"base_path": "/api/v1"}"#, &[], &[], &[]),
            (r#"{"profile": "server", "days": 7}"#, &[], &[], &[]),
            (r#"{"name": "ca.example.com"}"#, &[], &[], &[]),
            (r#"{"url": "https://ca.example.com/enroll"}"#, &[], &[], &[]),
            (r#"{"subject": "/CN=ca/O=Example"}"#, &[], &[], &[]),
            // Others' folders.
            (r#"{"socket": "/nowhere/at/all"}"#, &[], &[], &[]),
            (r#"{"hosts": "/etc"}"#, &[], &[], &[]),
            (r#"{"key": "/etc/new.key"}"#, &[], &[], &[]),
            // What is the system's may be read anyway.
            (r#"{"hosts": "/etc/hosts"}"#, &[], &[], &[]),
            (r#"{"program": "/usr/bin/env"}"#, &[], &[], &[]),
            (r#"{"folder": "/usr/bin"}"#, &[], &[], &[]),
            (r#"{"run": "hooks/bin/env"}"#, &[], &[], &[]),
            (
                r#"{"key": "/usr/new/ca.key"}"#,
                &[],
                &[],
                &["/usr/new/ca.key"],
            ),
        ];
        for (config, write, made, withheld) in cases {
            let found = paths(base, config);
            let all = |paths: &[&str]| paths.iter().map(|path| base.join(path)).collect::<Vec<_>>();
            let mut write = all(write);
            write.push(base.join("allowed"));
            write.sort();
            assert_eq!(found.write, write, "{config}");
            assert_eq!(found.to_make, all(made), "{config}");
            assert_eq!(found.withheld, all(withheld), "{config}");
        }
    }

    /// Were it given to the worker, another link could take its place.
    #[test]
    fn a_link_of_the_servers_keeps_its_folder_too() {
        let folder = folder();
        let base = folder.path();
        let elsewhere = tempfile::tempdir().unwrap();
        let key = elsewhere.path().join("real.key");
        fs::write(&key, "").unwrap();
        let link = base.join("tls.key");
        fs::remove_file(&link).unwrap();
        symlink(&key, &link).unwrap();
        let found = |config: &str| {
            let setup = Setup {
                keep_out: vec![link.clone()],
                apart: Vec::new(),
                ..setup(base, config)
            };
            Paths::of(&setup).write
        };
        let beside = ["allowed", "anchor.pem", "ca.pem", "root.pem"];
        assert_eq!(
            found(r#"{"chain": "ca.pem"}"#),
            beside.map(|name| base.join(name))
        );
        let where_it_leads = elsewhere.path().join("ca.pem");
        fs::write(&where_it_leads, "").unwrap();
        let config = serde_json::json!({ "chain": where_it_leads }).to_string();
        let mut expected = [base.join("allowed"), where_it_leads];
        expected.sort();
        assert_eq!(found(&config), expected);
    }

    #[test]
    fn the_folder_of_a_new_file_is_made() {
        let folder = folder();
        let new = paths(folder.path(), r#"{"key": "data/new/deep/ca.key"}"#);
        new.make_folders("test");
        let made = fs::metadata(folder.path().join("data/new/deep")).unwrap();
        assert_eq!(made.permissions().mode() & 0o777, 0o700);
        // The right stays the same once it is there, and once the file is.
        let then = paths(folder.path(), r#"{"key": "data/new/deep/ca.key"}"#);
        assert_eq!(then.to_make, Vec::<PathBuf>::new());
        assert_eq!(then.write, new.write);
        fs::write(folder.path().join("data/new/deep/ca.key"), "").unwrap();
        assert_eq!(
            paths(folder.path(), r#"{"key": "data/new/deep/ca.key"}"#),
            then
        );
    }

    #[test]
    fn a_link_to_the_servers_folder_is_no_way_in() {
        let folder = folder();
        let (base, elsewhere) = (folder.path(), tempfile::tempdir().unwrap());
        symlink(base.join("data"), elsewhere.path().join("link")).unwrap();
        let file = elsewhere.path().join("link/new.key");
        let config = serde_json::json!({ "key": file }).to_string();
        assert_eq!(paths(base, &config).withheld, [file]);
    }
}
