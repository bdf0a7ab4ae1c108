//! [`Errands`]: what a plugin in a worker asks of the host, done on threads of the worker's own. What it
//! only tells is done at once, so that its log keeps its order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};

use certdock_plugin_api::{Fault, HostServices, bounds};
use parking_lot::Mutex;

use super::frame::{self, Bad, Buffer};
use super::message::{Errand, Note, Pairs, Secret};
use super::process::Process;

/// Errands that wait. Each keeps a thread of the plugin's waiting, so that no sane one has as many.
const WAITING: usize = 1024;

/// Bytes of those; what is beyond is refused.
const WAITING_BYTES: usize = 64 * 1024 * 1024;

/// The largest errand writes an entry of the state; there is room for what is around it.
const LARGEST: usize = bounds::STATE_VALUE_BYTES + bounds::STATE_KEY_BYTES + 1024;

/// The threads end when this is dropped, which the process does, and the last errand is done.
pub(super) struct Errands {
    queue: Sender<(u32, Asked)>,
    waiting: Arc<Waiting>,
}

/// The errand, or why it isn't done.
type Asked = Result<Buffer, Fault>;

#[derive(Default)]
struct Waiting {
    errands: AtomicUsize,
    bytes: AtomicUsize,
}

impl Waiting {
    fn enter(&self, body: Buffer) -> Result<Asked, Bad> {
        if self.errands.fetch_add(1, Ordering::Relaxed) >= WAITING {
            return Err(Bad::TooMany(WAITING));
        }
        if body.len() > LARGEST {
            return Ok(Err(bounds::entry_too_large()));
        }
        let size = body.len();
        if self.bytes.fetch_add(size, Ordering::Relaxed) + size > WAITING_BYTES {
            self.bytes.fetch_sub(size, Ordering::Relaxed);
            return Ok(Err(Fault::busy("too much waits for the host's store")));
        }
        Ok(Ok(body))
    }

    fn leave(&self, asked: &Asked) {
        self.errands.fetch_sub(1, Ordering::Relaxed);
        let size = asked.as_ref().map_or(0, |body| body.len());
        self.bytes.fetch_sub(size, Ordering::Relaxed);
    }
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
        let waiting = Arc::<Waiting>::default();
        let errands = Arc::new(Mutex::new(errands));
        for number in 0..threads {
            let (errands, waiting) = (Arc::clone(&errands), Arc::clone(&waiting));
            let (process, services) = (Arc::downgrade(process), Arc::clone(services));
            std::thread::Builder::new()
                .name(format!("h{number}-{name}"))
                .spawn(move || {
                    while let Some((number, asked)) = next(&errands) {
                        waiting.leave(&asked);
                        let Some(process) = Weak::upgrade(&process) else {
                            return;
                        };
                        match run(&process, &*services, number, &asked) {
                            Ok(()) => {}
                            // Of one that is told to end, nobody may be there any more; of another, how
                            // it ended will show.
                            Err(Bad::Io(_)) if process.is_closing() => {}
                            Err(Bad::Io(_)) => process.kill(),
                            Err(bad) => process.fail(bad),
                        }
                    }
                })?;
        }
        Ok(Self { queue, waiting })
    }

    /// Never waits.
    pub(super) fn add(&self, number: u32, body: Buffer) -> Result<(), Bad> {
        let asked = self.waiting.enter(body)?;
        // The threads live as long as the queue.
        let _ = self.queue.send((number, asked));
        Ok(())
    }
}

fn next(errands: &Mutex<Receiver<(u32, Asked)>>) -> Option<(u32, Asked)> {
    errands.lock().recv().ok()
}

fn run(
    process: &Process,
    services: &dyn HostServices,
    number: u32,
    asked: &Asked,
) -> Result<(), Bad> {
    let link = process.link();
    let body = match asked {
        Ok(body) => body,
        // Whatever was asked: a fault looks the same in all replies.
        Err(fault) => return link.reply(number, &Err::<(), _>(fault)),
    };
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
    let note: Note<'static> = frame::decode(body)?;
    if !note.is_within_bounds() {
        return Err(Bad::Garbage("a note is not within its bounds".to_owned()));
    }
    match note {
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
        .0
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect()
}

#[cfg(test)]
mod tests {
    use certdock_plugin_api::{FaultClass, Versioned};

    use super::*;

    #[test]
    fn a_refusal_is_an_answer_to_every_errand() {
        let refusal = Err::<(), _>(&bounds::entry_too_large());
        let reply = postcard::to_extend(&refusal, Vec::new()).unwrap();
        let found = frame::decode::<Result<u64, Fault>>(&reply).unwrap();
        assert_eq!(found, Err(bounds::entry_too_large()));
        let found = frame::decode::<Result<Option<Versioned>, Fault>>(&reply).unwrap();
        assert_eq!(found, Err(bounds::entry_too_large()));
    }

    #[test]
    fn what_waits_takes_little_memory() {
        let waiting = Waiting::default();
        let body = |size| Buffer::new(vec![0; size]);
        let large = waiting.enter(body(LARGEST + 1)).unwrap();
        assert_eq!(large, Err(bounds::entry_too_large()));
        waiting.leave(&large);
        let full: Vec<_> = (0..WAITING_BYTES / LARGEST)
            .map(|_| waiting.enter(body(LARGEST)).unwrap())
            .collect();
        assert!(full.iter().all(Result::is_ok));
        let refused = waiting.enter(body(LARGEST)).unwrap();
        assert_eq!(refused.as_ref().unwrap_err().class, FaultClass::Busy);
        waiting.leave(&refused);
        full.iter().for_each(|asked| waiting.leave(asked));
        assert!(waiting.enter(body(LARGEST)).unwrap().is_ok());
        for _ in 1..WAITING {
            assert!(waiting.enter(body(1)).unwrap().is_ok());
        }
        assert!(matches!(waiting.enter(body(1)), Err(Bad::TooMany(WAITING))));
    }
}
