//! [`Listener`]: the admin socket. Whoever may open it may do everything, so only the server's own
//! user may.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use axum::Router;
use tokio::net::UnixListener;

/// An open admin socket.
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
}

/// Opens the socket. One that a server left behind when it died is replaced.
///
/// # Errors
/// If another server listens there, or the file can't be made.
pub fn listen(path: &Path) -> io::Result<Listener> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    remove_stale(path)?;
    // Bound under another name and renamed, so that it is never there with a wider mode.
    let half = path.with_extension("new");
    remove_if_there(&half)?;
    let socket = UnixListener::bind(&half)?;
    fs::set_permissions(&half, fs::Permissions::from_mode(0o600))?;
    fs::rename(&half, path)?;
    Ok(Listener {
        socket,
        path: path.to_owned(),
    })
}

fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if !found.file_type().is_socket() => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "a file that is no socket has this name; remove it or choose another name",
        )),
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another certdock listens here; stop it first",
            )),
            Err(_) => remove_if_there(path),
        },
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Listener {
    /// Serves until `stop` ends; then finishes the commands under way.
    ///
    /// # Errors
    /// If the socket fails.
    pub async fn serve(
        self,
        router: Router,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let Self { socket, path } = self;
        let served = axum::serve(socket, router)
            .with_graceful_shutdown(stop)
            .await;
        // Best effort: a socket nobody listens on is replaced at the next start.
        let _ = fs::remove_file(path);
        served
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_owner_may_open_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/admin.sock");
        let listener = listen(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let error = listen(&path).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        // What a killed server leaves behind.
        assert!(path.exists());
        listen(&path).unwrap();
    }

    #[tokio::test]
    async fn a_file_of_somebody_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        fs::write(&path, "precious").unwrap();
        assert!(listen(&path).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }
}
