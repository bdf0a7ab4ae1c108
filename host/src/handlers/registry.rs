//! [`Handlers`]: every configured handler by name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use certdock_plugin_api::Fault;

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
#[derive(Default)]
pub struct Handlers {
    by_name: BTreeMap<HandlerName, Arc<Handler>>,
}

impl Handlers {
    /// Opens all handlers, side by side, and waits until each has been tried once.
    pub async fn open(
        handlers: impl IntoIterator<Item = (HandlerName, HandlerSettings, Opener)>,
    ) -> Self {
        let mut by_name = BTreeMap::new();
        let mut first_tries = Vec::new();
        for (name, settings, opener) in handlers {
            let handler = Arc::new(Handler::new(
                name.clone(),
                settings,
                "it is being opened".to_owned(),
            ));
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
        Self { by_name }
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Handler>> {
        self.by_name.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Handler>> {
        self.by_name.values()
    }
}

/// Opens it until that works, and again after each quarantine. Never ends.
async fn keep_open(handler: Arc<Handler>, opener: Opener, mut open: bool) {
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
        open = try_open(&handler, &opener).await;
    }
}

async fn try_open(handler: &Handler, opener: &Opener) -> bool {
    let (answer, answered) = tokio::sync::oneshot::channel();
    let opener = Arc::clone(opener);
    let thread = std::thread::Builder::new()
        .name("open-handler".to_owned())
        .spawn(move || drop(answer.send(opener())));
    let opened = match thread {
        Err(error) => Err(Fault::internal("no thread could be started").private(error.to_string())),
        Ok(_) => match tokio::time::timeout(handler.deadline(), answered).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(_)) => Err(Fault::internal("opening it panicked")),
            Err(_) => Err(Fault::internal("opening it took longer than its deadline")),
        },
    };
    match opened {
        Ok(instance) => {
            handler.serve(instance);
            tracing::info!(handler = %handler.name(), "handler in service");
            true
        }
        Err(fault) => {
            tracing::error!(
                handler = %handler.name(),
                %fault,
                "handler is down: its endpoints answer 503 until it can be opened"
            );
            handler.take_down(fault.to_string());
            false
        }
    }
}
