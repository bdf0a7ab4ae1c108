//! [`UnixSocket`]: the commands' way in, guarded by its file's mode and a pass.

use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::net::UnixListener;

use super::Pass;

/// A bound socket, and the pass that is asked for there; their files go when it is dropped.
pub struct UnixSocket {
    pub(super) listener: UnixListener,
    pub(super) pass: Pass,
    path: PathBuf,
}

impl UnixSocket {
    /// Binds `path`, for this user alone. A socket that a dead server left there is replaced.
    ///
    /// # Errors
    /// A server is listening there, something else than a socket is there, or the file system
    /// refuses.
    pub fn bind(path: &Path) -> anyhow::Result<Self> {
        make_way(path)?;
        // Between bind and chmod the socket would be open to others, and the umask belongs to the
        // whole process; so it is made in a directory that is ours alone, and moved.
        let nursery = path.with_extension(format!("new-{}", std::process::id()));
        let cannot = || format!("can't make the admin socket {}", path.display());
        let pass = Pass::random();
        let bound = bind_in(&nursery, path, &pass);
        let _ = std::fs::remove_dir_all(&nursery);
        let listener = bound.with_context(cannot)?;
        Ok(Self {
            listener,
            pass,
            path: path.to_owned(),
        })
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_file(Pass::beside(&self.path));
    }
}

fn bind_in(nursery: &Path, path: &Path, pass: &Pass) -> io::Result<UnixListener> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    // A server that was killed here and had our process id, as in a container.
    let _ = std::fs::remove_dir_all(nursery);
    std::fs::DirBuilder::new().mode(0o700).create(nursery)?;
    let born = nursery.join("s");
    let listener = UnixListener::bind(&born)?;
    std::fs::set_permissions(&born, std::fs::Permissions::from_mode(0o600))?;
    // Whoever finds the socket finds the pass.
    let written = nursery.join("p");
    pass.write(&written)?;
    std::fs::rename(&written, Pass::beside(path))?;
    std::fs::rename(&born, path)?;
    Ok(listener)
}

/// Removes a dead server's socket, and nothing else.
fn make_way(path: &Path) -> anyhow::Result<()> {
    let there = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(error).with_context(|| format!("can't look at {}", path.display()));
        }
    };
    if !there.file_type().is_socket() {
        anyhow::bail!(
            "{} is there and is no socket; remove it or name another path as [admin] socket",
            path.display()
        );
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => anyhow::bail!(
            "another server is listening on {}; stop it, or name another path as [admin] socket",
            path.display()
        ),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
                .with_context(|| format!("can't remove the old socket {}", path.display()))
        }
        Err(error) => Err(error).with_context(|| format!("can't look into {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path) -> String {
        UnixSocket::bind(path).err().unwrap().to_string()
    }

    #[tokio::test]
    async fn replaces_a_dead_socket_and_no_live_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data/admin.sock");
        let socket = UnixSocket::bind(&path).unwrap();
        let pass = Pass::beside(&path);
        for file in [&path, &pass] {
            let mode = std::fs::metadata(file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", file.display());
        }
        let count = || std::fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(count(), 2);
        let first = std::fs::read(&pass).unwrap();

        let error = refusal(&path);
        assert!(error.contains("another server"), "{error}");
        assert_eq!(std::fs::read(&pass).unwrap(), first);
        drop(socket);
        assert_eq!(count(), 0);

        // As a killed server leaves it: the file without a listener.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        std::fs::write(&pass, "of the dead").unwrap();
        let socket = UnixSocket::bind(&path).unwrap();
        assert_ne!(std::fs::read(&pass).unwrap(), first);
        drop(socket);

        std::fs::write(&path, "mine").unwrap();
        let error = refusal(&path);
        assert!(error.contains("no socket"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    }
}
