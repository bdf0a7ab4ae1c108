//! [`UnixSocket`]: the commands' way in, guarded by its file's mode.

use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::net::UnixListener;

/// A bound socket; its file goes when it is dropped.
#[derive(Debug)]
pub struct UnixSocket {
    pub(super) listener: UnixListener,
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
        let bound = bind_in(&nursery, path);
        let _ = std::fs::remove_dir_all(&nursery);
        let listener = bound.with_context(cannot)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn bind_in(nursery: &Path, path: &Path) -> io::Result<UnixListener> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    // A server that was killed here and had our process id, as in a container.
    let _ = std::fs::remove_dir_all(nursery);
    std::fs::DirBuilder::new().mode(0o700).create(nursery)?;
    let born = nursery.join("s");
    let listener = UnixListener::bind(&born)?;
    std::fs::set_permissions(&born, std::fs::Permissions::from_mode(0o600))?;
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

    #[tokio::test]
    async fn replaces_a_dead_socket_and_no_live_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data/admin.sock");
        let socket = UnixSocket::bind(&path).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1
        );

        let error = UnixSocket::bind(&path).unwrap_err().to_string();
        assert!(error.contains("another server"), "{error}");
        drop(socket);
        assert!(!path.exists());

        // As a killed server leaves it: the file without a listener.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let socket = UnixSocket::bind(&path).unwrap();
        drop(socket);

        std::fs::write(&path, "mine").unwrap();
        let error = UnixSocket::bind(&path).unwrap_err().to_string();
        assert!(error.contains("no socket"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    }
}
