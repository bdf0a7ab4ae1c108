//! [`serve`]: takes calls and has the plugin answer them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use certdock_plugin_api::abi::answer::line;
use certdock_plugin_api::abi::client::{Instance, Plugin};
use certdock_plugin_api::abi::types::MAX_PRIVATE;
use certdock_plugin_api::{Fault, HostServices};
use parking_lot::RwLock;
use serde::Serialize;

use super::host::RemoteHost;
use crate::worker::frame::{self, Bad, Buffer, Frame, Kind};
use crate::worker::inbox::{Inbox, Next};
use crate::worker::link::Link;
use crate::worker::message::{Start, Task};

struct Server {
    plugin: Plugin,
    link: Arc<Link>,
    host: Arc<dyn HostServices>,
    inbox: Inbox,
    instance: RwLock<Option<Arc<Instance>>>,
    threads: usize,
    running: AtomicUsize,
}

/// Works until the server closes the connection, and then until the last call has ended.
///
/// The threads take turns at reading: whoever reads a call goes on to make it, and another one reads
/// what comes next. There is one more of them than there are calls at once, so that somebody always
/// does, for the replies too that a plugin in the midst of a call waits for.
pub(super) fn serve(plugin: Plugin, link: Arc<Link>, inbox: Inbox, start: &Start) {
    let host = Arc::new(RemoteHost {
        link: Arc::clone(&link),
        base_dir: start.base_dir.clone(),
    });
    let server = Server {
        plugin,
        link,
        host,
        inbox,
        instance: RwLock::new(None),
        threads: start.threads,
        running: AtomicUsize::new(0),
    };
    std::thread::scope(|scope| {
        for number in 0..start.threads {
            let thread = std::thread::Builder::new()
                .name(format!("call-{number}"))
                .stack_size(2 << 20)
                .spawn_scoped(scope, || server.work());
            if thread.is_err() {
                // Without threads there is no worker: the server sees the connection end.
                server.link.cut();
            }
        }
        server.work();
    });
}

impl Server {
    fn work(&self) {
        while let Ok(going_on) = self.take() {
            if !going_on {
                return self.link.close();
            }
        }
        // The server is gone, or makes no sense any more.
        self.link.cut();
        self.link.close();
    }

    /// Takes one frame and does what it says; whether there may be more.
    fn take(&self) -> Result<bool, Bad> {
        let mut reading = self.inbox.wait()?;
        match reading.next()? {
            Next::Frame(Frame {
                kind: Kind::Call,
                number,
                body,
            }) => {
                drop(reading);
                self.call(number, &body)?;
            }
            Next::Frame(Frame { number, body, .. }) => self.link.deliver(number, body),
            Next::Nothing => {}
            Next::End => return Ok(false),
        }
        Ok(true)
    }

    fn call(&self, number: u32, body: &[u8]) -> Result<(), Bad> {
        let task: Task<'static> = frame::decode(body)?;
        if self.running.fetch_add(1, Ordering::AcqRel) >= self.threads {
            self.running.fetch_sub(1, Ordering::AcqRel);
            let busy = Err::<(), _>(Fault::busy("the CA handler is busy with other calls"));
            return self.link.reply(number, &busy);
        }
        let reply = self.perform(number, &task);
        // Before the reply: the server may make its next call as soon as it has that.
        self.running.fetch_sub(1, Ordering::AcqRel);
        self.link.write(&reply?)
    }

    /// Does what is asked; the reply's frame.
    fn perform(&self, number: u32, task: &Task<'_>) -> Result<Buffer, Bad> {
        let host = || Arc::clone(&self.host);
        match task {
            Task::ValidateConfig(config) => {
                let notes = self.plugin.validate_config(config, host());
                frame::encode(Kind::Reply, number, &notes)
            }
            Task::Open(config) => {
                let opened = self.plugin.open(config, host()).map(|instance| {
                    *self.instance.write() = Some(Arc::new(instance));
                });
                answer(number, &opened)
            }
            Task::Enroll(request) => self.ask(number, |handler| handler.enroll(request)),
            Task::Poll(request) => self.ask(number, |handler| handler.poll(request)),
            Task::Recover(request) => self.ask(number, |handler| handler.recover(request)),
            Task::Push(request) => self.ask(number, |handler| handler.push(request)),
            Task::Health => self.ask(number, Instance::health),
            Task::Revoke(request) => self.ask(number, |handler| handler.revoke(request)),
            Task::CaCerts => self.ask(number, Instance::ca_certs_get),
            Task::Crl => self.ask(number, Instance::crl),
            Task::Close => {
                // Closed here, or by the last call that is still at it.
                let instance = self.instance.write().take();
                drop(instance);
                frame::encode(Kind::Reply, number, &())
            }
        }
    }

    fn ask<T: Serialize>(
        &self,
        number: u32,
        call: impl FnOnce(&Instance) -> Result<T, Fault>,
    ) -> Result<Buffer, Bad> {
        let instance = self.instance.read().clone();
        match instance {
            Some(instance) => answer(number, &call(&instance)),
            // Nothing has been begun.
            None => answer(
                number,
                &Err::<(), _>(Fault::busy("the CA handler is not open")),
            ),
        }
    }
}

fn answer<T: Serialize>(number: u32, answer: &Result<T, Fault>) -> Result<Buffer, Bad> {
    frame::encode(Kind::Reply, number, answer).or_else(|bad| {
        let fault = match bad {
            Bad::TooLarge => Fault::internal("the CA handler's answer is too large"),
            bad => Fault::internal("the CA handler gave an answer that can't be used")
                .private(line(&bad.to_string(), MAX_PRIVATE)),
        };
        frame::encode(Kind::Reply, number, &Err::<(), _>(fault))
    })
}

#[cfg(test)]
mod tests {
    use certdock_plugin_api::FaultClass;
    use serde::Serializer;
    use serde::ser::Error as _;

    use super::*;
    use crate::worker::message;

    struct Unwritable;

    impl Serialize for Unwritable {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(S::Error::custom("no such thing"))
        }
    }

    #[test]
    fn what_can_not_be_sent_is_a_fault() {
        let fault = |frame: Result<Buffer, Bad>| {
            let answer = message::answer::<Result<(), Fault>>(&frame.unwrap()[9..]);
            answer.unwrap().unwrap_err()
        };
        let large = "x".repeat(frame::LARGEST);
        let large = fault(answer(1, &Ok(large)));
        assert_eq!(large.class, FaultClass::Internal);
        assert!(large.public.contains("too large"), "{large}");
        let odd = fault(answer(1, &Ok(Unwritable)));
        assert_eq!(odd.class, FaultClass::Internal);
        assert!(odd.public.contains("can't be used"), "{odd}");
    }
}
