//! What a handler is asked for so that anybody may have it: seldom, and never by many at once.

use std::sync::atomic::AtomicBool;

use super::*;

/// Each of its lists has the number of the call that got it.
#[derive(Default)]
struct Lister {
    calls: AtomicUsize,
    /// Calls for a list wait while it is set.
    shut: AtomicBool,
    fails: AtomicBool,
    revoked_before: AtomicBool,
}

impl Lister {
    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl HandlerInstance for Lister {
    fn abilities(&self) -> Abilities {
        Abilities::default()
    }

    fn enroll(&self, request: &EnrollRequest) -> Result<Enrollment, Fault> {
        Ok(Enrollment::Pending {
            poll_id: request.enrollment_id.clone(),
            retry_after: None,
        })
    }

    fn poll(&self, _: &PollRequest) -> Result<Poll, Fault> {
        Err(Fault::unsupported("no"))
    }

    fn revoke(&self, _: &RevokeRequest) -> Result<(), Fault> {
        if self.revoked_before.load(Ordering::SeqCst) {
            return Err(Fault::already_revoked());
        }
        Ok(())
    }

    fn ca_certs_get(&self) -> Result<CaCerts, Fault> {
        let certificates = vec![self.crl()?.der];
        Ok(CaCerts { certificates })
    }

    fn crl(&self) -> Result<Crl, Fault> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        while self.shut.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if self.fails.load(Ordering::SeqCst) {
            return Err(Fault::upstream("down"));
        }
        Ok(Crl {
            der: vec![u8::try_from(call).unwrap()],
            next_update: SystemTime::now() + Duration::from_secs(3_600),
        })
    }
}

async fn lister() -> (Arc<Lister>, Arc<Handler>) {
    let lister = Arc::new(Lister::default());
    let instance = Arc::clone(&lister);
    let unhurried = HandlerSettings {
        deadline: Duration::from_secs(20),
        ..settings(2, 4)
    };
    let handler = open(unhurried, move || Ok(Arc::clone(&instance) as _)).await;
    (lister, handler)
}

async fn revoke(handler: &Handler) -> Result<(), Fault> {
    let request = RevokeRequest::new([1], RevocationReason::Unspecified);
    handler.revoke(request).await
}

type Asked = tokio::task::JoinHandle<Result<Vec<u8>, Fault>>;

fn ask_crl(handler: &Arc<Handler>) -> Asked {
    let handler = Arc::clone(handler);
    tokio::spawn(async move { handler.crl().await.map(|list| list.der.clone()) })
}

fn ask_ca_certs(handler: &Arc<Handler>) -> Asked {
    let handler = Arc::clone(handler);
    tokio::spawn(async move {
        let answer = handler.ca_certs().await?;
        Ok(answer.certificates.concat())
    })
}

#[tokio::test]
async fn many_who_want_it_make_one_call_and_leave_room_for_others() {
    for ask in [ask_crl, ask_ca_certs] {
        let (lister, handler) = lister().await;
        lister.shut.store(true, Ordering::SeqCst);
        let asked: Vec<_> = (0..300).map(|_| ask(&handler)).collect();
        until("it is asked", || lister.calls() == 1).await;
        // The queue is for four.
        handler.enroll(request("fine")).await.0.unwrap();
        // One who goes away takes nothing from the others.
        asked[0].abort();
        tokio::time::sleep(Duration::from_millis(20)).await;
        lister.shut.store(false, Ordering::SeqCst);
        for asked in asked.into_iter().skip(1) {
            assert_eq!(asked.await.unwrap().unwrap(), [1]);
        }
        assert_eq!(lister.calls(), 1);
    }
}

#[tokio::test]
async fn a_list_that_was_begun_before_a_revocation_is_not_kept() {
    let (lister, handler) = lister().await;
    lister.shut.store(true, Ordering::SeqCst);
    let early = ask_crl(&handler);
    until("it is asked", || lister.calls() == 1).await;
    revoke(&handler).await.unwrap();
    let late = ask_crl(&handler);
    lister.shut.store(false, Ordering::SeqCst);
    assert_eq!(early.await.unwrap().unwrap(), [1]);
    assert_eq!(late.await.unwrap().unwrap(), [2]);
    assert_eq!(handler.crl().await.unwrap().der, [2]);
}

#[tokio::test]
async fn what_had_been_revoked_makes_a_new_list_due_too() {
    let (lister, handler) = lister().await;
    assert_eq!(handler.crl().await.unwrap().der, [1]);
    lister.revoked_before.store(true, Ordering::SeqCst);
    revoke(&handler).await.unwrap_err();
    assert_eq!(handler.crl().await.unwrap().der, [2]);
}

#[tokio::test]
async fn one_that_fails_is_not_asked_by_everybody() {
    let (lister, handler) = lister().await;
    lister.fails.store(true, Ordering::SeqCst);
    let asked: Vec<_> = (0..50).map(|_| ask_crl(&handler)).collect();
    for asked in asked {
        let fault = asked.await.unwrap().unwrap_err();
        assert_eq!(fault.class, FaultClass::Upstream);
    }
    assert_eq!(lister.calls(), 1);
    // But again after a while.
    lister.fails.store(false, Ordering::SeqCst);
    tokio::time::sleep(cache::AFTER_FAULT).await;
    assert_eq!(handler.crl().await.unwrap().der, [2]);
}
