//! [`Code`]: a library's checked bytes, in a memory file that nobody can change any more.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use rustix::io::Errno;

/// The dynamic linker gets this file, and so do worker processes, so what has been checked is what
/// runs, and all share one copy of it.
#[derive(Debug)]
pub struct Code(OwnedFd);

impl Code {
    /// A memory file with these bytes.
    ///
    /// # Errors
    /// There is no memory for it.
    pub(super) fn seal(name: &str, bytes: &[u8]) -> std::io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // Linux before 6.3 does not know the flag; some later ones are set up to demand it. It forbids
        // execve, not mapping as code.
        let fd = match memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
            Err(Errno::INVAL) => memfd_create(name, flags)?,
            other => other?,
        };
        let mut file = File::from(fd);
        file.write_all(bytes)?;
        fcntl_add_seals(&file, seals() | SealFlags::SEAL)?;
        Ok(Self(file.into()))
    }

    /// One that another process sealed.
    ///
    /// # Errors
    /// It is not sealed.
    pub(crate) fn received(file: OwnedFd) -> std::io::Result<Self> {
        if !fcntl_get_seals(&file)?.contains(seals()) {
            return Err(std::io::Error::other("the plugin's code is not sealed"));
        }
        Ok(Self(file))
    }

    pub(super) fn bytes(&self) -> std::io::Result<Vec<u8>> {
        let file = File::from(self.try_clone()?);
        let mut bytes = vec![0; usize::try_from(file.metadata()?.len()).unwrap_or_default()];
        // Not from where the file stands: processes share that.
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    pub(super) fn try_clone(&self) -> std::io::Result<OwnedFd> {
        self.0.try_clone()
    }
}

fn seals() -> SealFlags {
    SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW
}

impl AsFd for Code {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
