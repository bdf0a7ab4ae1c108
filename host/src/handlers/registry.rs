//! [`Handlers`]: every configured handler by name.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use certdock_plugin_api::Fault;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use crate::handlers::{Handler, HandlerInstance, HandlerSettings};
use crate::ids::HandlerName;

/// How long after a handler could not be opened, or panicked too often, it is opened again.
const REOPEN: Duration = match cfg!(test) {
    true => Duration::from_millis(50),
    false => Duration::from_secs(30),
};

/// A handler that ends in quarantine again and again is opened ever more seldom.
const LONGEST_QUARANTINE: Duration = Duration::from_secs(15 * 60);

/// Makes a handler's instance. It may block, take long or never return, so it runs on a thread of its
/// own.
pub type Opener = Arc<dyn Fn() -> Result<Arc<dyn HandlerInstance>, Fault> + Send + Sync>;

/// The handlers of this server. One that can't be opened is down, with its reason, and is tried again
/// every half minute; so is one whose plugin panics all the time. The others serve.
///
/// A handler is exchanged as a whole: who has got it from here ends with it what he has begun.
#[derive(Default)]
pub struct Handlers {
    by_name: ArcSwap<BTreeMap<HandlerName, Arc<Handler>>>,
    changed: Notify,
    /// Those that were replaced or removed, and may still have calls under way.
    former: Mutex<Vec<Weak<Handler>>>,
    /// The instances that are open, or about to be closed.
    open: TaskTracker,
}

/// What became of a handler's next generation.
#[derive(Debug)]
pub enum Replaced {
    Serving {
        generation: u64,
    },
    /// It is in place, and down: it is tried again. There was none that served.
    Down(Fault),
    /// It could not be opened, and the former one goes on serving.
    Refused(Fault),
}

impl Handlers {
    /// Opens all handlers, side by side, and waits until each has been tried once.
    pub async fn open(
        handlers: impl IntoIterator<Item = (HandlerName, HandlerSettings, Opener)>,
    ) -> Self {
        let all = TaskTracker::new();
        let mut by_name = BTreeMap::new();
        let mut first_tries = Vec::new();
        for (name, settings, opener) in handlers {
            let handler = Arc::new(Handler::new(name.clone(), 1, settings, all.clone()));
            by_name.insert(name, Arc::clone(&handler));
            first_tries.push(tokio::spawn(async move {
                let open = try_open(&handler, &opener).await;
                tokio::spawn(keep_open(handler, opener, open));
            }));
        }
        for first_try in first_tries {
            // A task that panicked leaves its handler down.
            let _ = first_try.await;
        }
        Self {
            by_name: ArcSwap::from_pointee(by_name),
            open: all,
            ..Self::default()
        }
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Handler>> {
        self.by_name.load().get(name).cloned()
    }

    /// In the order of their names.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Handler>> {
        self.by_name.load().values().cloned().collect()
    }

    /// Opens a handler's next generation, and if that works, or none serves anyhow, puts it in the
    /// former one's place. A handler of a new name is put in place whatever comes.
    pub async fn replace(
        &self,
        name: &HandlerName,
        settings: HandlerSettings,
        opener: Opener,
    ) -> Replaced {
        let former = self.get(name.as_str());
        let generation = former.as_ref().map_or(1, |former| former.generation() + 1);
        let all = self.open.clone();
        let handler = Arc::new(Handler::new(name.clone(), generation, settings, all));
        let opened = instance(&handler, &opener).await;
        if let (Err(fault), Some(former)) = (&opened, &former)
            && former.is_serving()
        {
            former.note_refused(Some(fault.to_string()));
            return Replaced::Refused(fault.clone());
        }
        let replaced = match &opened {
            Ok(_) => Replaced::Serving { generation },
            Err(fault) => Replaced::Down(fault.clone()),
        };
        let open = put_in_service(&handler, opened);
        self.change(|by_name| {
            by_name.insert(name.clone(), Arc::clone(&handler));
        });
        if let Some(former) = &former {
            self.retire(former);
        }
        tokio::spawn(keep_open(handler, opener, open));
        replaced
    }

    /// Takes a handler out. Calls under way end.
    pub fn remove(&self, name: &HandlerName) {
        if let Some(former) = self.get(name.as_str()) {
            self.change(|by_name| {
                by_name.remove(name);
            });
            self.retire(&former);
        }
    }

    /// Closes all handlers, for good, and waits so long for those that are called no more to have done so;
    /// whether they have.
    pub async fn close(&self, patience: Duration) -> bool {
        for handler in self.list() {
            handler.retire();
            handler.take_down("the server is stopping".to_owned());
        }
        self.open.close();
        tokio::time::timeout(patience, self.open.wait())
            .await
            .is_ok()
    }

    /// Returns once a handler has been replaced or removed since the last time. For one waiter.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Former generations with calls under way.
    #[must_use]
    pub fn draining(&self) -> Vec<Arc<Handler>> {
        let former = self.former.lock().clone();
        let draining = former.iter().filter_map(Weak::upgrade);
        draining.filter(|handler| handler.has_calls()).collect()
    }

    fn change(&self, change: impl Fn(&mut BTreeMap<HandlerName, Arc<Handler>>)) {
        self.by_name.rcu(|by_name| {
            let mut by_name = BTreeMap::clone(by_name);
            change(&mut by_name);
            by_name
        });
        self.changed.notify_one();
    }

    fn retire(&self, former: &Arc<Handler>) {
        let mut all = self.former.lock();
        all.retain(|handler| handler.strong_count() > 0);
        all.push(Arc::downgrade(former));
        drop(all);
        former.retire();
    }
}

/// Opens it until that works, and again after each quarantine, until it is replaced.
async fn keep_open(handler: Arc<Handler>, opener: Opener, open: bool) {
    tokio::select! {
        () = handler.retired() => {}
        () = reopen(&handler, &opener, open) => {}
    }
}

async fn reopen(handler: &Handler, opener: &Opener, mut open: bool) {
    let mut quarantine = REOPEN;
    loop {
        if open {
            let served_since = Instant::now();
            handler.quarantined().await;
            if served_since.elapsed() > LONGEST_QUARANTINE {
                quarantine = REOPEN;
            }
            tokio::time::sleep(quarantine).await;
            quarantine = (quarantine * 2).min(LONGEST_QUARANTINE);
        } else {
            tokio::time::sleep(REOPEN).await;
        }
        open = try_open(handler, opener).await;
    }
}

async fn try_open(handler: &Handler, opener: &Opener) -> bool {
    let opened = instance(handler, opener).await;
    put_in_service(handler, opened)
}

/// Runs the opener within the handler's deadline.
async fn instance(handler: &Handler, opener: &Opener) -> Result<Arc<dyn HandlerInstance>, Fault> {
    let (answer, answered) = tokio::sync::oneshot::channel();
    let opener = Arc::clone(opener);
    let thread = std::thread::Builder::new()
        .name("open-handler".to_owned())
        .spawn(move || drop(answer.send(opener())));
    match thread {
        Err(error) => Err(Fault::internal("no thread could be started").private(error.to_string())),
        Ok(_) => match tokio::time::timeout(handler.deadline(), answered).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(_)) => Err(Fault::internal("opening it panicked")),
            Err(_) => Err(Fault::internal("opening it took longer than its deadline")),
        },
    }
}

/// Whether it serves.
fn put_in_service(handler: &Handler, opened: Result<Arc<dyn HandlerInstance>, Fault>) -> bool {
    let generation = handler.generation();
    match opened {
        Ok(instance) => {
            handler.serve(instance);
            tracing::info!(handler = %handler.name(), generation, "handler in service");
            true
        }
        Err(fault) => {
            tracing::error!(
                handler = %handler.name(),
                generation,
                %fault,
                "handler is down: its endpoints answer 503 until it can be opened"
            );
            handler.take_down(fault.to_string());
            false
        }
    }
}
