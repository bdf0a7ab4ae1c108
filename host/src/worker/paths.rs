//! [`Paths`]: which files a worker may touch, as its handler's configuration names them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

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

impl Paths {
    /// What the configuration names: a folder with all below it, a file with its folder, since a new
    /// file comes into being beside the old one. Of what is not there yet, the nearest folder above it.
    #[must_use]
    pub fn of(setup: &Setup) -> Self {
        let mut write = setup.limits.write.clone();
        if let Ok(config) = serde_json::from_str(&setup.config) {
            collect(&config, "", &setup.base_dir, &mut write);
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
        Value::Object(map) => map.iter().for_each(|(k, v)| collect(v, k, base, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn named(text: &str, key: &str, base: &Path) -> Option<PathBuf> {
    if text.is_empty() || text.contains("://") || text.contains(['\0', '\n']) {
        return None;
    }
    let path = base.join(text);
    match std::fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => own(&path).then_some(path),
        Ok(_) => Some(match path.parent() {
            Some(folder) if own(folder) => folder.to_owned(),
            _ => path,
        }),
        Err(_) if text.contains('/') || ends_like_a_file(&path) || says_path(key) => path
            .ancestors()
            .skip(1)
            .find(|folder| folder.is_dir())
            .filter(|folder| own(folder))
            .map(Path::to_owned),
        Err(_) => None,
    }
}

fn says_path(key: &str) -> bool {
    key.split('_').any(|word| KEYS.contains(&word))
}

fn own(folder: &Path) -> bool {
    let real = folder.canonicalize();
    let real = real.as_deref().unwrap_or(folder);
    !SHARED.iter().any(|shared| real == Path::new(shared))
}

fn ends_like_a_file(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| ENDINGS.contains(&ending))
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
        let cases: [(&str, &[&str]); 10] = [
            (r#"{"key": "data/ca/issuing.key"}"#, &["data/ca"]),
            (r#"{"keys": [{"file": "hooks"}]}"#, &["hooks"]),
            (r#"{"key": "data/new/issuing.key"}"#, &["data"]),
            (r#"{"key": "issuing.key"}"#, &[""]),
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
