//! [`spawn`]: this program, started again as a worker.

use std::io::{IoSlice, PipeReader};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use crate::plugins::Code;

/// The command that a worker is, for `cli`.
#[cfg(not(test))]
const COMMAND: &str = "worker";

/// What a worker sees of the server's environment: nothing that could be a secret.
const PASSED_ON: [&str; 4] = ["LANG", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR"];

pub(super) struct Spawned {
    pub(super) child: Child,
    pub(super) stream: UnixStream,
    /// What it prints.
    pub(super) output: PipeReader,
}

/// Starts a worker and hands it a plugin's code. It is killed when the thread that calls this ends.
pub(super) fn spawn(code: &Code) -> std::io::Result<Spawned> {
    let (stream, theirs) = UnixStream::pair()?;
    let (output, printed) = std::io::pipe()?;
    let mut command = program();
    command.env_clear().env("PATH", "/usr/bin:/bin");
    for name in PASSED_ON {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    #[cfg(test)]
    command.env(super::tests::IS_WORKER, "1");
    let child = command
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(printed.try_clone()?)
        .stderr(printed)
        .spawn()?;
    let spawned = Spawned {
        child,
        stream,
        output,
    };
    match hand_over(&spawned.stream, code) {
        Ok(()) => Ok(spawned),
        Err(error) => {
            let mut child = spawned.child;
            // It can't do anything without.
            let _ = child.kill();
            let _ = child.wait();
            Err(error)
        }
    }
}

/// The running program itself, whatever lies at its path by now.
fn program() -> Command {
    let mut command = Command::new("/proc/self/exe");
    #[cfg(not(test))]
    command.arg0("certdock").arg(COMMAND);
    // The tests' program has no commands, but a test that is a worker.
    #[cfg(test)]
    command
        .arg0("certdock")
        .args(["--exact", "worker::tests::is_a_worker", "--nocapture"]);
    command
}

fn hand_over(stream: &UnixStream, code: &Code) -> std::io::Result<()> {
    let files = [code.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&files));
    let byte = [IoSlice::new(&[0])];
    sendmsg(stream, &byte, &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}
