//! [`Secrets`]: those that a handler's configuration names, which are all that its plugin may have.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use certdock_plugin_api::{Fault, SecretRef};
use rustix::fs::OFlags;
use zeroize::Zeroizing;

/// Larger files are not secrets.
const LARGEST: usize = 64 * 1024;

/// The server reads them with its own rights, which are more than a plugin's: so it is the operator who
/// says which ones, not the plugin.
#[derive(Clone)]
pub struct Secrets {
    base_dir: PathBuf,
    /// With absolute paths.
    named: HashSet<SecretRef>,
}

impl Secrets {
    /// `config` is a handler's configuration, JSON; paths in it are relative to `base_dir`.
    #[must_use]
    pub fn named_in(config: &str, base_dir: PathBuf) -> Self {
        let mut secrets = Self {
            base_dir,
            named: HashSet::new(),
        };
        secrets.add(config);
        secrets
    }

    /// Those of another configuration, too.
    pub fn add(&mut self, config: &str) {
        let named = SecretRef::all_in(config);
        let named = named.iter().map(|named| located(named, &self.base_dir));
        self.named.extend(named);
    }

    /// Those that are files, with absolute paths.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let files = self.named.iter().filter_map(|secret| match secret {
            SecretRef::File(path) => Some(path.clone()),
            SecretRef::Env(_) => None,
        });
        files.collect()
    }

    #[must_use]
    pub fn names(&self, reference: &SecretRef) -> bool {
        self.named.contains(&located(reference, &self.base_dir))
    }

    /// A secret's bytes, as they are now.
    ///
    /// # Errors
    /// It isn't named, or can't be read.
    pub fn get(&self, reference: &SecretRef) -> Result<Zeroizing<Vec<u8>>, Fault> {
        if !self.names(reference) {
            let which = match reference {
                SecretRef::Env(name) => format!("env = {name:?}"),
                SecretRef::File(path) => format!("file = {path:?}"),
            };
            return Err(Fault::misconfigured(format!(
                "the handler's configuration names no secret {{ {which} }}"
            )));
        }
        read(reference, &self.base_dir)
    }
}

/// Reads a secret that the server's configuration names.
///
/// # Errors
/// It can't be read.
pub fn read(reference: &SecretRef, base_dir: &Path) -> Result<Zeroizing<Vec<u8>>, Fault> {
    match located(reference, base_dir) {
        SecretRef::Env(name) => std::env::var_os(&name)
            .map(|value| Zeroizing::new(value.into_encoded_bytes()))
            .ok_or_else(|| {
                Fault::misconfigured(format!("the environment variable {name} is not set"))
            }),
        SecretRef::File(path) => from_file(&path).map_err(|error| {
            Fault::misconfigured(format!("the secret file {} can't be read", path.display()))
                .private(error.to_string())
        }),
    }
}

/// Two ways to write a path are one reference.
fn located(reference: &SecretRef, base_dir: &Path) -> SecretRef {
    match reference {
        SecretRef::Env(_) => reference.clone(),
        SecretRef::File(path) => {
            let path = base_dir.join(path);
            SecretRef::File(std::path::absolute(&path).unwrap_or(path))
        }
    }
}

fn from_file(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    // A pipe would have whoever opens it wait for somebody at its other end.
    let flags = OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or_default())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    // Of the full size from the start: memory that grows leaves copies behind.
    let mut read = Zeroizing::new(vec![0; LARGEST + 1]);
    let mut length = 0;
    // Some files are longer than they say.
    while let Some(space) = read.get_mut(length..).filter(|space| !space.is_empty()) {
        match file.read(space) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if length > LARGEST {
        return Err(std::io::Error::other("it is larger than 64 KiB"));
    }
    let whole = read.get(..length).unwrap_or_default();
    let line = whole.strip_suffix(b"\n").unwrap_or(whole);
    let line = line
        .strip_suffix(b"\r")
        .filter(|_| line.len() < length)
        .unwrap_or(line);
    Ok(Zeroizing::new(line.to_vec()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt as _;

    use certdock_plugin_api::FaultClass;
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn only_what_the_configuration_names_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        for file in ["password", "tls.key", "nested"] {
            fs::write(base.join(file), file).unwrap();
        }
        let config = r#"{
            "password": {"file": "./password"},
            "accounts": [{"name": "a", "login": {"secret": {"file": "nested"}}}],
            "home": {"env": "PATH"},
            "key": "tls.key",
            "pair": {"file": "tls.key", "env": "HOME"},
            "list": {"file": ["tls.key"]}
        }"#;
        let secrets = Secrets::named_in(config, base.to_owned());
        let file = |path: &Path| secrets.get(&SecretRef::File(path.to_owned()));
        assert_eq!(**file(Path::new("password")).unwrap(), *b"password");
        assert_eq!(**file(&base.join("password")).unwrap(), *b"password");
        assert_eq!(**file(Path::new("nested")).unwrap(), *b"nested");
        let path = std::env::var_os("PATH").unwrap();
        let found = secrets.get(&SecretRef::Env("PATH".to_owned())).unwrap();
        assert_eq!(**found, *path.as_bytes());
        let others = [
            SecretRef::File("tls.key".into()),
            SecretRef::File(base.join("tls.key")),
            SecretRef::File("nested/../tls.key".into()),
            SecretRef::File("/etc/passwd".into()),
            SecretRef::File("/proc/self/environ".into()),
            SecretRef::File(base.to_owned()),
            SecretRef::Env("HOME".to_owned()),
            SecretRef::Env("password".to_owned()),
        ];
        for other in others {
            let fault = secrets.get(&other).unwrap_err();
            assert_eq!(fault.class, FaultClass::Misconfigured);
            assert!(fault.public.contains("names no secret"), "{fault}");
        }
        for config in ["{}", "[]", "", "{"] {
            let none = Secrets::named_in(config, base.to_owned());
            assert!(!none.names(&SecretRef::File("password".into())));
        }
    }

    #[test]
    fn only_small_regular_files_are_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        mknodat(CWD, path("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        fs::write(path("large"), vec![b'x'; LARGEST + 1]).unwrap();
        fs::write(path("largest"), vec![b'x'; LARGEST]).unwrap();
        for bad in [
            "pipe",
            "large",
            "none",
            "/dev/zero",
            "/dev/null",
            "/proc",
            "",
        ] {
            let fault = read(&SecretRef::File(bad.into()), folder.path()).unwrap_err();
            assert_eq!(fault.class, FaultClass::Misconfigured, "{bad}");
            assert!(fault.public.contains("can't be read"), "{bad}: {fault}");
        }
        let largest = read(&SecretRef::File("largest".into()), folder.path()).unwrap();
        assert_eq!(largest.len(), LARGEST);
        // It says that it is empty.
        let odd = SecretRef::File("/proc/self/status".into());
        assert!(!read(&odd, folder.path()).unwrap().is_empty());
    }

    #[test]
    fn one_line_break_is_no_part_of_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        for (content, secret) in [
            ("hush", "hush"),
            ("hush\n", "hush"),
            ("hush\r\n", "hush"),
            ("hush\n\n", "hush\n"),
            ("hush\r", "hush\r"),
            ("\n", ""),
            ("", ""),
        ] {
            fs::write(folder.path().join("secret"), content).unwrap();
            let found = read(&SecretRef::File("secret".into()), folder.path()).unwrap();
            assert_eq!(**found, *secret.as_bytes(), "{content:?}");
        }
    }
}
