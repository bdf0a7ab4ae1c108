//! [`main`]: what a worker process does.

mod confine;
mod host;
mod serve;
mod syscalls;

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use certdock_plugin_api::abi::answer::{UpTo, beginning, line};
use certdock_plugin_api::abi::types::{MAX_PRIVATE, MAX_PUBLIC};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::Signal;

use super::frame::{self, Frame, Kind};
use super::inbox::Inbox;
use super::link::Link;
use super::message::{Loaded, NotLoaded, Start, Started};
use crate::plugins::{Code, Refusal};

/// Serves the program that started this one, until that closes the connection on standard input.
///
/// # Errors
/// It was not started by a server, or they do not understand each other.
pub fn main() -> Result<(), String> {
    let stream = connection()?;
    let broken = |error: &dyn std::fmt::Display| format!("the server can't be understood: {error}");
    let code = receive_code(&stream).map_err(|error| broken(&error))?;
    let inbox = stream.try_clone().and_then(Inbox::new);
    let inbox = inbox.map_err(|error| broken(&error))?;
    let (number, start) = match inbox.receive().map_err(|bad| broken(&bad))? {
        Some(Frame {
            kind: Kind::Call,
            number,
            body,
        }) => {
            let start = frame::decode::<Start>(&body).map_err(|bad| broken(&bad))?;
            (number, start)
        }
        Some(_) | None => return Err(broken(&"nothing came")),
    };
    // Before any of the plugin's code runs.
    let lacks = confine::confine(&start);
    let link = Arc::new(Link::new(stream, None));
    let (plugin, loaded) = match load(&start.plugin, &code) {
        Ok((plugin, loaded)) => (Some(plugin), Ok(loaded)),
        Err(refusal) => (
            None,
            Err(NotLoaded {
                reason: line(&refusal.to_string(), MAX_PUBLIC),
                detail: refusal.detail().map(|d| beginning(d, MAX_PRIVATE)),
            }),
        ),
    };
    let lacks = lacks.iter().map(|lack| line(lack, MAX_PUBLIC)).collect();
    let started = Started {
        lacks: UpTo(lacks),
        loaded,
    };
    link.reply(number, &started).map_err(|bad| broken(&bad))?;
    if let Some(plugin) = plugin {
        serve::serve(plugin, link, inbox, &start);
    }
    Ok(())
}

/// The socket that is standard input, from where a plugin must not read.
fn connection() -> Result<UnixStream, String> {
    let refused = || {
        "this command is for the server's own use: it is how a plugin gets a process of its own"
            .to_owned()
    };
    let stdin = std::io::stdin();
    rustix::net::sockopt::socket_type(&stdin).map_err(|_| refused())?;
    // Before anything that takes time: the server may end meanwhile.
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let socket = stdin.as_fd().try_clone_to_owned().map_err(|_| refused())?;
    let nothing = std::fs::File::open("/dev/null").map_err(|_| refused())?;
    rustix::stdio::dup2_stdin(&nothing).map_err(|_| refused())?;
    Ok(UnixStream::from(socket))
}

fn receive_code(stream: &UnixStream) -> std::io::Result<Code> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut buffers = [IoSliceMut::new(&mut byte)];
    recvmsg(
        stream,
        &mut buffers,
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut files = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => Some(files),
        _ => None,
    });
    let file: Option<OwnedFd> = files.next().and_then(|mut files| files.next());
    Code::received(file.ok_or_else(|| std::io::Error::other("no code came"))?)
}

fn load(
    id: &str,
    code: &Code,
) -> Result<(certdock_plugin_api::abi::client::Plugin, Loaded), Refusal> {
    let (plugin, unusable) = crate::plugins::load(code, id)?;
    let unusable = unusable.into_iter().map(|extension| {
        let detail = extension.detail;
        let detail = detail.map(|detail| beginning(&detail, MAX_PRIVATE));
        (extension.id.to_owned(), detail)
    });
    let loaded = Loaded {
        abilities: plugin.provided().into(),
        schema: plugin.schema(),
        unusable: UpTo(unusable.collect()),
    };
    Ok((plugin, loaded))
}
