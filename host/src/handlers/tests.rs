mod lists;
mod replacing;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use certdock_plugin_api::{
    CaCerts, Crl, EnrollRequest, Enrollment, Fault, FaultClass, Poll, PollRequest,
    RevocationReason, RevokeRequest,
};

use super::*;
use crate::ids::HandlerName;

/// A handler whose every call does what its request's id says.
#[derive(Default)]
struct Scripted {
    enroll_calls: AtomicUsize,
    /// Closed at first.
    gate: AtomicBool,
    ca_certs_calls: AtomicUsize,
    crl_calls: AtomicUsize,
}

impl HandlerInstance for Scripted {
    fn abilities(&self) -> Abilities {
        Abilities {
            revoke: true,
            crl: true,
            ..Abilities::default()
        }
    }

    fn enroll(&self, request: &EnrollRequest) -> Result<Enrollment, Fault> {
        self.enroll_calls.fetch_add(1, Ordering::SeqCst);
        match request.enrollment_id.as_str() {
            "gated" => {
                let end = Instant::now() + Duration::from_secs(20);
                while !self.gate.load(Ordering::SeqCst) && Instant::now() < end {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            "hang" => std::thread::sleep(Duration::from_secs(5)),
            "panic" => panic!("on purpose"),
            _ => {}
        }
        Ok(Enrollment::Pending {
            poll_id: request.enrollment_id.clone(),
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
        match self.ca_certs_calls.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(CaCerts {
                certificates: vec![vec![1]],
            }),
            _ => Err(Fault::upstream("down")),
        }
    }

    fn crl(&self) -> Result<Crl, Fault> {
        self.crl_calls.fetch_add(1, Ordering::SeqCst);
        Ok(Crl {
            der: vec![1],
            next_update: SystemTime::now() + Duration::from_secs(3_600),
        })
    }
}

fn settings(threads: usize, queue: usize) -> HandlerSettings {
    HandlerSettings {
        deadline: Duration::from_millis(200),
        threads,
        queue,
        patience: Patience::default(),
    }
}

async fn open(
    settings: HandlerSettings,
    opener: impl Fn() -> Result<Arc<dyn HandlerInstance>, Fault> + Send + Sync + 'static,
) -> Arc<Handler> {
    let name = "scripted".parse().unwrap();
    let handlers = Handlers::open([(name, settings, Arc::new(opener) as Opener)]).await;
    handlers.get("scripted").unwrap()
}

fn request(id: &str) -> EnrollRequest {
    EnrollRequest::new(id, Vec::new(), Vec::new())
}

#[tokio::test]
async fn a_hang_costs_its_caller_the_deadline_and_others_nothing() {
    let handler = open(settings(2, 4), || Ok(Arc::new(Scripted::default()))).await;
    let hung = tokio::spawn({
        let handler = Arc::clone(&handler);
        async move { handler.enroll(request("hang")).await.0 }
    });
    let started = Instant::now();
    assert!(handler.enroll(request("fine")).await.0.is_ok());
    assert!(started.elapsed() < Duration::from_millis(150));
    assert_eq!(hung.await.unwrap().unwrap_err().class, FaultClass::TimedOut);
}

#[tokio::test]
async fn a_full_queue_is_busy_and_abandoned_calls_are_not_made() {
    let scripted = Arc::new(Scripted::default());
    let instance = Arc::clone(&scripted);
    let handler = open(settings(1, 1), move || Ok(Arc::clone(&instance) as _)).await;
    let call = |id: &'static str| {
        let handler = Arc::clone(&handler);
        tokio::spawn(async move { handler.enroll(request(id)).await.0 })
    };
    let begun = || scripted.enroll_calls.load(Ordering::SeqCst);
    assert!(!handler.is_full());
    let first = call("gated");
    until("begun", || begun() == 1).await;
    let waiting = call("fine");
    until("full", || handler.is_full()).await;
    let fault = handler.enroll(request("fine")).await.0.unwrap_err();
    assert_eq!(fault.class, FaultClass::Busy);
    assert!(fault.public.contains("queue is full"), "{fault}");
    // Both are given up at their deadline, and only one of them has begun.
    assert_eq!(
        first.await.unwrap().unwrap_err().class,
        FaultClass::TimedOut
    );
    assert_eq!(waiting.await.unwrap().unwrap_err().class, FaultClass::Busy);
    scripted.gate.store(true, Ordering::SeqCst);
    until("room", || !handler.has_calls()).await;
    assert!(handler.enroll(request("fine")).await.0.is_ok());
    assert_eq!(begun(), 2);
}

#[tokio::test]
async fn a_panic_is_a_fault_and_the_thread_lives() {
    let unhurried = HandlerSettings {
        deadline: Duration::from_secs(10),
        ..settings(1, 4)
    };
    let handler = open(unhurried, || Ok(Arc::new(Scripted::default()))).await;
    let fault = handler.enroll(request("panic")).await.0.unwrap_err();
    assert_eq!(fault.class, FaultClass::Panicked);
    assert!(handler.enroll(request("fine")).await.0.is_ok());
}

#[tokio::test]
async fn ca_certs_outlive_a_failing_handler() {
    let handler = open(settings(1, 4), || Ok(Arc::new(Scripted::default()))).await;
    for _ in 0..2 {
        assert_eq!(handler.ca_certs().await.unwrap().certificates, [[1]]);
    }
}

#[tokio::test]
async fn a_revocation_makes_a_new_crl_due() {
    let scripted = Arc::new(Scripted::default());
    let instance = Arc::clone(&scripted);
    let handler = open(settings(1, 4), move || Ok(Arc::clone(&instance) as _)).await;
    for _ in 0..3 {
        handler.crl().await.unwrap();
    }
    assert_eq!(scripted.crl_calls.load(Ordering::SeqCst), 1);
    handler
        .revoke(RevokeRequest::new([1], RevocationReason::Unspecified))
        .await
        .unwrap();
    handler.crl().await.unwrap();
    assert_eq!(scripted.crl_calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn one_that_cannot_be_opened_is_down_with_its_reason() {
    let handler = open(settings(1, 4), || Err(Fault::misconfigured("no key"))).await;
    assert!(!handler.is_serving());
    assert_eq!(
        handler.enroll(request("x")).await.0.unwrap_err().class,
        FaultClass::Busy
    );
    let HandlerStatus::Down { reason } = handler.status() else {
        panic!("serving")
    };
    assert!(reason.contains("no key"), "{reason}");

    let hangs = open(settings(1, 4), || {
        std::thread::sleep(Duration::from_secs(5));
        Err(Fault::internal("late"))
    })
    .await;
    assert!(!hangs.is_serving());
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..200 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn a_handler_that_keeps_panicking_is_in_quarantine_for_a_while() {
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    // The first panic's trace may take its time.
    let unhurried = HandlerSettings {
        deadline: Duration::from_secs(20),
        ..settings(2, 16)
    };
    let handler = open(unhurried, move || {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(Arc::new(Scripted::default()))
    })
    .await;
    let panic = || async { handler.enroll(request("panic")).await.0.unwrap_err().class };
    // A good call between them starts the count again.
    for _ in 0..3 {
        for _ in 0..strikes::LIMIT - 1 {
            assert_eq!(panic().await, FaultClass::Panicked);
        }
        handler.enroll(request("fine")).await.0.unwrap();
    }
    assert!(handler.is_serving());

    for _ in 0..strikes::LIMIT {
        assert_eq!(panic().await, FaultClass::Panicked);
    }
    let HandlerStatus::Down { reason } = handler.status() else {
        panic!("it still serves");
    };
    assert!(reason.contains("panicked 5 times in a row"), "{reason}");
    assert_eq!(panic().await, FaultClass::Busy);

    until("opened again", || handler.is_serving()).await;
    assert_eq!(opened.load(Ordering::SeqCst), 2);
    handler.enroll(request("fine")).await.0.unwrap();
}
