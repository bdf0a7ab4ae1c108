//! [`Errands`]: what a plugin in a worker asks of the host, done on threads of the worker's own. What it
//! only tells is done at once, so that its log keeps its order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};

use certdock_plugin_api::HostServices;
use parking_lot::Mutex;

use super::frame::{self, Bad, Buffer};
use super::message::{Errand, Note, Pairs, Secret};
use super::process::Process;

/// Errands that wait. Each keeps a thread of the plugin's waiting, so that no sane one has as many.
const WAITING: usize = 1024;

/// The threads end when this is dropped, which the process does, and the last errand is done.
pub(super) struct Errands {
    queue: Sender<(u32, Buffer)>,
    waiting: Arc<AtomicUsize>,
}

impl Errands {
    /// As many threads as the worker has calls at once: writing to the store waits for the disk.
    pub(super) fn start(
        name: &str,
        threads: usize,
        process: &Arc<Process>,
        services: &Arc<dyn HostServices>,
    ) -> std::io::Result<Self> {
        let (queue, errands) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let errands = Arc::new(Mutex::new(errands));
        for number in 0..threads {
            let (errands, waiting) = (Arc::clone(&errands), Arc::clone(&waiting));
            let (process, services) = (Arc::downgrade(process), Arc::clone(services));
            std::thread::Builder::new()
                .name(format!("h{number}-{name}"))
                .spawn(move || {
                    while let Some((number, body)) = next(&errands) {
                        waiting.fetch_sub(1, Ordering::Relaxed);
                        let Some(process) = Weak::upgrade(&process) else {
                            return;
                        };
                        // Of one that is told to end, nobody may be there any more.
                        if run(&process, &*services, number, &body).is_err()
                            && !process.is_closing()
                        {
                            process.kill();
                        }
                    }
                })?;
        }
        Ok(Self { queue, waiting })
    }

    /// Never waits.
    pub(super) fn add(&self, number: u32, body: Buffer) -> Result<(), Bad> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING {
            return Err(Bad::TooMany(WAITING));
        }
        // The threads live as long as the queue.
        let _ = self.queue.send((number, body));
        Ok(())
    }
}

fn next(errands: &Mutex<Receiver<(u32, Buffer)>>) -> Option<(u32, Buffer)> {
    errands.lock().recv().ok()
}

fn run(
    process: &Process,
    services: &dyn HostServices,
    number: u32,
    body: &[u8],
) -> Result<(), Bad> {
    let link = process.link();
    match frame::decode(body)? {
        Errand::Secret(reference) => link.reply(number, &services.secret(&reference).map(Secret)),
        Errand::StateGet(key) => link.reply(number, &services.state_get(&key)),
        Errand::StatePut { key, value } => link.reply(number, &services.state_put(&key, &value)),
        Errand::StateSwap {
            key,
            expected,
            value,
        } => {
            let swapped = services.state_compare_and_swap(&key, expected, &value);
            link.reply(number, &swapped)
        }
        Errand::StateDelete(key) => link.reply(number, &services.state_delete(&key)),
        Errand::StateList {
            prefix,
            after,
            limit,
        } => {
            let list = services.state_list(&prefix, after.as_deref(), limit);
            link.reply(number, &list)
        }
    }
}

/// What a plugin tells.
pub(super) fn take_note(services: &dyn HostServices, body: &[u8]) -> Result<(), Bad> {
    match frame::decode(body)? {
        Note::Log {
            level,
            message,
            fields,
        } => services.log(level, &message, &borrowed(&fields)),
        Note::MetricAdd {
            name,
            labels,
            value,
        } => services.metric_add(&name, &borrowed(&labels), value),
        Note::MetricSet {
            name,
            labels,
            value,
        } => services.metric_set(&name, &borrowed(&labels), value),
    }
    Ok(())
}

fn borrowed<'a>(pairs: &'a Pairs<'_>) -> Vec<(&'a str, &'a str)> {
    pairs
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect()
}
