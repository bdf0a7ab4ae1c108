//! [`Paths`]: which files a worker may touch, as its handler's configuration names them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Setup;

/// Files and folders beside those that every program needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paths {
    pub read: Vec<PathBuf>,
    /// Read too.
    pub write: Vec<PathBuf>,
}

/// Folders that many programs share: naming a file in one of them gives no right to the others there.
const SHARED: [&str; 14] = [
    "/", "/dev", "/etc", "/home", "/media", "/mnt", "/opt", "/proc", "/root", "/run", "/srv",
    "/sys", "/tmp", "/var",
];

/// A word in the key of a name without a folder, or what that name ends in, if it is that of a file or
/// folder that is yet to be made.
const KEYS: [&str; 6] = ["dir", "directory", "file", "folder", "path", "socket"];
const ENDINGS: [&str; 12] = [
    "pem", "key", "crt", "cer", "der", "crl", "csr", "p12", "pfx", "json", "txt", "db",
];

/// What a certificate, a key or a list ends in.
const BESIDE: [&str; 7] = ["pem", "key", "crt", "cer", "der", "crl", "csr"];

impl Paths {
    /// What the configuration names: a folder with all below it, a file with its folder, since a new
    /// file comes into being beside the old one, unless the server's own files are there too: then the
    /// file and those beside it that are certificates or keys, without the server's. Of what is not there yet, the nearest folder above it, whatever that holds; once it
    /// is there, less will do. Secrets (`{ file = "PATH" }`) are not among them, for it is the host that
    /// reads those.
    #[must_use]
    pub fn of(setup: &Setup) -> Self {
        let mut write = setup.limits.write.clone();
        if let Ok(config) = serde_json::from_str(&setup.config) {
            let mut named = Vec::new();
            collect(&config, "", &setup.base_dir, &mut named);
            let keep_out: Vec<_> = setup.keep_out.iter().map(|path| real(path)).collect();
            write.extend(named.iter().flat_map(|path| rights(path, &keep_out)));
        }
        write.sort();
        write.dedup();
        Self {
            read: setup.limits.read.clone(),
            write,
        }
    }
}

/// `key` is the name of what holds the value.
fn collect(value: &Value, key: &str, base: &Path, found: &mut Vec<PathBuf>) {
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

/// What a value names, if that is a path.
fn named(text: &str, key: &str, base: &Path) -> Option<PathBuf> {
    if text.is_empty() || text.contains("://") || text.contains(['\0', '\n']) {
        return None;
    }
    let path = base.join(text);
    let is_path = path.exists() || text.contains('/') || ends_in(&path, &ENDINGS) || says_path(key);
    is_path.then_some(path)
}

/// What one must have rights to, to use this path.
fn rights(path: &Path, keep_out: &[PathBuf]) -> Vec<PathBuf> {
    let one = |folder: Option<&Path>| folder.map(Path::to_owned).into_iter().collect();
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => one(Some(path).filter(|folder| own(folder))),
        Ok(_) => match path.parent().filter(|folder| own(folder)) {
            Some(folder) if holds(folder, keep_out) => beside(path, folder, keep_out),
            folder => one(folder.or(Some(path))),
        },
        Err(_) => {
            let folder = path.ancestors().skip(1).find(|folder| folder.is_dir());
            one(folder.filter(|folder| own(folder)))
        }
    }
}

/// A file, and the certificates and keys in its folder that are not the server's.
fn beside(path: &Path, folder: &Path, keep_out: &[PathBuf]) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|other| ends_in(other, &BESIDE) && other.is_file())
        .filter(|other| !keep_out.contains(&real(other)))
        .collect();
    if !found.iter().any(|other| other == path) {
        found.push(path.to_owned());
    }
    found
}

fn holds(folder: &Path, keep_out: &[PathBuf]) -> bool {
    let folder = real(folder);
    keep_out.iter().any(|kept| kept.starts_with(&folder))
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn says_path(key: &str) -> bool {
    key.split('_').any(|word| KEYS.contains(&word))
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
    use std::time::Duration;

    use super::*;
    use crate::worker::Limits;

    fn paths(base: &Path, config: &str) -> Vec<PathBuf> {
        let setup = Setup {
            name: "test".to_owned(),
            config: config.to_owned(),
            base_dir: base.to_owned(),
            keep_out: vec![base.join("server.toml"), base.join("tls.key")],
            deadline: Duration::from_secs(1),
            threads: 1,
            limits: Limits::default(),
        };
        Paths::of(&setup).write
    }

    #[test]
    fn what_the_configuration_names_may_be_touched() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        fs::create_dir_all(base.join("data/ca")).unwrap();
        fs::write(base.join("data/ca/issuing.key"), "").unwrap();
        fs::create_dir(base.join("hooks")).unwrap();
        for file in ["server.toml", "tls.key", "password", "ca.pem", "root.pem"] {
            fs::write(base.join(file), "").unwrap();
        }
        let cases: [(&str, &[&str]); 13] = [
            (r#"{"key": "data/ca/issuing.key"}"#, &["data/ca"]),
            (r#"{"keys": [{"file": "hooks"}]}"#, &["hooks"]),
            (r#"{"key": "data/new/issuing.key"}"#, &["data"]),
            (r#"{"key": "issuing.key"}"#, &[""]),
            // The server's own configuration is in that folder.
            (r#"{"chain": "ca.pem"}"#, &["ca.pem", "root.pem"]),
            (r#"{"password": {"file": "ca.pem"}}"#, &[]),
            (r#"{"password": {"file": "none.pem"}}"#, &[]),
            (r#"{"directory": "new"}"#, &[""]),
            (r#"{"profile": "server", "days": 7}"#, &[]),
            (r#"{"name": "ca.example.com"}"#, &[]),
            (r#"{"url": "https://ca.example.com/enroll"}"#, &[]),
            (r#"{"socket": "/nowhere/at/all"}"#, &[]),
            (r#"{"hosts": "/etc"}"#, &[]),
        ];
        for (config, expected) in cases {
            let expected: Vec<_> = expected
                .iter()
                .map(|path| base.join(path).components().collect::<PathBuf>())
                .collect();
            assert_eq!(paths(base, config), expected, "{config}");
        }
        let hosts = paths(base, r#"{"hosts": "/etc/hosts"}"#);
        assert_eq!(hosts, [Path::new("/etc/hosts")]);
    }
}
