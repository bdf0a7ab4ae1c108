//! The generations of a handler.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc;

use super::*;

/// Tells its number, and of its end.
struct Numbered {
    number: u8,
    /// An enroll waits for it.
    gate: Option<Arc<AtomicBool>>,
    closed: mpsc::Sender<(u8, Option<String>)>,
}

impl HandlerInstance for Numbered {
    fn abilities(&self) -> Abilities {
        Abilities::default()
    }

    fn enroll(&self, _: &EnrollRequest) -> Result<Enrollment, Fault> {
        while self
            .gate
            .as_ref()
            .is_some_and(|gate| !gate.load(Ordering::SeqCst))
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Enrollment::Pending {
            poll_id: self.number.to_string(),
            retry_after: None,
        })
    }

    fn poll(&self, _: &PollRequest) -> Result<Poll, Fault> {
        Err(Fault::unsupported("no"))
    }

    fn revoke(&self, _: &RevokeRequest) -> Result<(), Fault> {
        Ok(())
    }

    fn ca_certs_get(&self) -> Result<CaCerts, Fault> {
        Ok(CaCerts {
            certificates: vec![vec![self.number]],
        })
    }

    fn crl(&self) -> Result<Crl, Fault> {
        Err(Fault::unsupported("no"))
    }
}

impl Drop for Numbered {
    fn drop(&mut self) {
        let thread = std::thread::current().name().map(str::to_owned);
        let _ = self.closed.send((self.number, thread));
    }
}

struct Setup {
    handlers: Handlers,
    name: HandlerName,
    settings: HandlerSettings,
    sender: mpsc::Sender<(u8, Option<String>)>,
    closed: mpsc::Receiver<(u8, Option<String>)>,
}

impl Setup {
    fn new() -> Self {
        let (sender, closed) = mpsc::channel();
        Self {
            handlers: Handlers::default(),
            name: "numbered".parse().unwrap(),
            settings: HandlerSettings {
                deadline: Duration::from_secs(20),
                ..settings(2, 8)
            },
            sender,
            closed,
        }
    }

    async fn replace(&self, opener: Opener) -> Replaced {
        self.handlers
            .replace(&self.name, self.settings, opener)
            .await
    }

    fn numbered(&self, number: u8, gate: Option<Arc<AtomicBool>>) -> Opener {
        let closed = self.sender.clone();
        Arc::new(move || {
            Ok(Arc::new(Numbered {
                number,
                gate: gate.clone(),
                closed: closed.clone(),
            }))
        })
    }

    fn get(&self) -> Arc<Handler> {
        self.handlers.get("numbered").unwrap()
    }

    async fn answer(&self) -> String {
        answer(&self.get()).await
    }

    async fn closed(&self) -> (u8, Option<String>) {
        for _ in 0..1000 {
            if let Ok(closed) = self.closed.try_recv() {
                return closed;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("none was closed");
    }
}

async fn answer(handler: &Handler) -> String {
    match handler.enroll(request("x")).await.0 {
        Ok(Enrollment::Pending { poll_id, .. }) => poll_id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn calls_end_where_they_began_and_then_the_former_one_is_closed() {
    let setup = Setup::new();
    let gate = Arc::new(AtomicBool::new(false));
    let first = setup.replace(setup.numbered(1, Some(Arc::clone(&gate))));
    assert!(matches!(first.await, Replaced::Serving { generation: 1 }));
    let former = setup.get();
    // One more than there are threads: the last waits in the queue.
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let handler = Arc::clone(&former);
            tokio::spawn(async move { answer(&handler).await })
        })
        .collect();
    until("the calls are under way", || {
        matches!(
            former.status(),
            HandlerStatus::Serving {
                running: 2,
                waiting: 1,
                ..
            }
        )
    })
    .await;
    drop(former);

    let second = setup.replace(setup.numbered(2, None)).await;
    assert!(matches!(second, Replaced::Serving { generation: 2 }));
    assert_eq!(setup.answer().await, "2");
    assert_eq!(setup.get().ca_certs().await.unwrap().certificates, [[2]]);
    let draining = setup.handlers.draining();
    assert_eq!(draining.len(), 1);
    assert_eq!(draining[0].generation(), 1);
    drop(draining);
    assert!(setup.closed.try_recv().is_err());

    gate.store(true, Ordering::SeqCst);
    for call in calls {
        assert_eq!(call.await.unwrap(), "1");
    }
    // Closing may block, so no thread that serves does it.
    let (number, thread) = setup.closed().await;
    assert_eq!(number, 1);
    let thread = thread.unwrap();
    assert!(
        thread == "close-handler" || thread.starts_with("numbered"),
        "{thread}"
    );
    assert!(setup.handlers.draining().is_empty());
}

#[tokio::test]
async fn what_cannot_be_opened_replaces_nothing_that_serves() {
    let setup = Setup::new();
    setup.replace(setup.numbered(1, None)).await;
    let refused = setup
        .replace(Arc::new(|| Err(Fault::misconfigured("no key"))))
        .await;
    assert!(matches!(refused, Replaced::Refused(_)), "{refused:?}");
    assert_eq!(setup.answer().await, "1");
    assert!(setup.get().refused().unwrap().contains("no key"));

    setup.replace(setup.numbered(2, None)).await;
    assert_eq!(setup.answer().await, "2");
    assert_eq!((setup.get().generation(), setup.get().refused()), (2, None));
    assert_eq!(setup.closed().await.0, 1);
}

#[tokio::test]
async fn one_that_is_down_is_replaced_and_not_opened_again() {
    let setup = Setup::new();
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    let down = setup.replace(Arc::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
        Err(Fault::misconfigured("no key"))
    }));
    assert!(matches!(down.await, Replaced::Down(_)));
    let still = setup
        .replace(Arc::new(|| Err(Fault::misconfigured("no door"))))
        .await;
    assert!(matches!(still, Replaced::Down(_)));
    let HandlerStatus::Down { reason } = setup.get().status() else {
        panic!("it serves");
    };
    assert!(reason.contains("no door"), "{reason}");
    setup.replace(setup.numbered(3, None)).await;
    assert_eq!(setup.answer().await, "3");
    let before = opened.load(Ordering::SeqCst);
    // Half a dozen times as long as it takes until a handler is opened again.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(opened.load(Ordering::SeqCst), before);
}

#[tokio::test]
async fn a_handler_is_removed_and_closed() {
    let setup = Setup::new();
    setup.replace(setup.numbered(1, None)).await;
    setup.handlers.changed().await;
    setup.handlers.remove(&setup.name);
    setup.handlers.changed().await;
    assert!(setup.handlers.get("numbered").is_none() && setup.handlers.list().is_empty());
    assert_eq!(setup.closed().await, (1, Some("close-handler".to_owned())));
}
