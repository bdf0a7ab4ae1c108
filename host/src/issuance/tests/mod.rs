use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use certdock_plugin_api::{
    CaCerts, Chain, Crl, EnrollRequest, Enrollment as Answer, Fault, FaultClass, Poll, PollRequest,
    Protocol, RecoverRequest, Recovery, Requester, RevocationReason, RevokeRequest,
};
use parking_lot::Mutex;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair,
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::config::RevocationPolicy;
use crate::handlers::{Abilities, HandlerInstance, HandlerSettings, OnUnknown, Opener, Patience};
use crate::ids::{AccountId, AuthorizationId};
use crate::order::{Authorization, AuthorizationState, Order, Progress};
use crate::store::sqlite::SqliteStore;
use crate::store::{
    Account, AccountKey, AccountStatus, Accounts as _, Certificates as _, Enrollments as _,
    Orders as _, Revocations as _, Thumbprint,
};

mod arrivals;
mod revoking;
mod stateless;
mod unknown;

type Script<A> = Mutex<VecDeque<Result<A, Fault>>>;

/// A CA that answers as its script says, and issues once the script has ended.
struct ScriptedCa {
    issuer: Issuer<'static, KeyPair>,
    certificate: Vec<u8>,
    enrolls: Script<Answer>,
    polls: Script<Poll>,
    recoveries: Script<Recovery>,
    revocations: Script<()>,
    revoke_calls: AtomicUsize,
    /// An enroll call takes this long.
    slow: Duration,
    /// How often CA certificates can't be had.
    ca_certs_down: AtomicUsize,
    leaf_only: bool,
    idempotent: bool,
    stateless: bool,
    poll: bool,
    recover: bool,
    /// Of every certificate; else each has its own.
    serial: Option<u64>,
    issued: AtomicU64,
    /// A call for the CA's certificates takes this long.
    slow_ca_certs: Duration,
    /// Issues for this CSR, whatever was asked.
    other_csr: Option<Vec<u8>>,
    enroll_calls: AtomicUsize,
    ids: Mutex<Vec<String>>,
}

impl ScriptedCa {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().der().to_vec();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
            enrolls: Script::default(),
            polls: Script::default(),
            recoveries: Script::default(),
            revocations: Script::default(),
            revoke_calls: AtomicUsize::new(0),
            slow: Duration::ZERO,
            ca_certs_down: AtomicUsize::new(0),
            leaf_only: false,
            idempotent: false,
            stateless: false,
            poll: true,
            recover: false,
            serial: None,
            issued: AtomicU64::new(0),
            slow_ca_certs: Duration::ZERO,
            other_csr: None,
            enroll_calls: AtomicUsize::new(0),
            ids: Mutex::default(),
        }
    }

    fn issue(&self, csr: &[u8]) -> Chain {
        let csr = self.other_csr.as_deref().unwrap_or(csr);
        let mut csr = CertificateSigningRequestParams::from_der(&csr.into()).unwrap();
        csr.params.serial_number = {
            let next = 100 + self.issued.fetch_add(1, Ordering::SeqCst);
            Some(self.serial.unwrap_or(next).into())
        };
        let leaf = csr.signed_by(&self.issuer).unwrap();
        if self.leaf_only {
            return Chain::new(vec![leaf.der().to_vec()]);
        }
        Chain::new(vec![leaf.der().to_vec(), self.certificate.clone()])
    }
}

impl HandlerInstance for ScriptedCa {
    fn abilities(&self) -> Abilities {
        Abilities {
            poll: self.poll,
            revoke: true,
            idempotent: self.idempotent,
            stateless: self.stateless,
            recover: self.recover,
            ..Abilities::default()
        }
    }

    fn enroll(&self, request: &EnrollRequest) -> Result<Answer, Fault> {
        self.enroll_calls.fetch_add(1, Ordering::SeqCst);
        self.ids.lock().push(request.enrollment_id.clone());
        let scripted = self.enrolls.lock().pop_front();
        // The first call only.
        if self.enroll_calls.load(Ordering::SeqCst) == 1 {
            std::thread::sleep(self.slow);
        }
        scripted.unwrap_or_else(|| Ok(Answer::Issued(self.issue(&request.csr))))
    }

    fn poll(&self, request: &PollRequest) -> Result<Poll, Fault> {
        let scripted = self.polls.lock().pop_front();
        scripted.unwrap_or_else(|| Ok(Poll::Issued(self.issue(&request.csr))))
    }

    fn recover(&self, _: &RecoverRequest) -> Result<Recovery, Fault> {
        let scripted = self.recoveries.lock().pop_front();
        scripted.unwrap_or(Ok(Recovery::NotFound))
    }

    fn revoke(&self, _: &RevokeRequest) -> Result<(), Fault> {
        self.revoke_calls.fetch_add(1, Ordering::SeqCst);
        let scripted = self.revocations.lock().pop_front();
        scripted.unwrap_or(Ok(()))
    }

    fn ca_certs_get(&self) -> Result<CaCerts, Fault> {
        std::thread::sleep(self.slow_ca_certs);
        let left = &self.ca_certs_down;
        let counted = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if counted.is_ok() {
            return Err(Fault::upstream("down"));
        }
        Ok(CaCerts {
            certificates: vec![self.certificate.clone()],
        })
    }

    fn crl(&self) -> Result<Crl, Fault> {
        Err(Fault::unsupported("no"))
    }
}

struct Bench {
    _folder: tempfile::TempDir,
    store: Arc<SqliteStore>,
    issuance: Arc<Issuance>,
    ca: Arc<ScriptedCa>,
    account: AccountId,
}

async fn bench(ca: ScriptedCa) -> Bench {
    bench_with(ca, Patience::default()).await
}

async fn bench_with(ca: ScriptedCa, patience: Patience) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(folder.path().join("test.db")).unwrap());
    let account = AccountId::random(UnixTime::now());
    store
        .create_account(Account {
            id: account,
            endpoint: "default".parse().unwrap(),
            key: AccountKey {
                jwk: "{}".into(),
                thumbprint: Thumbprint([7; 32]),
            },
            contacts: Vec::new(),
            terms_agreed: false,
            status: AccountStatus::Valid,
            external_key: None,
            external_binding: None,
            created: UnixTime::now(),
        })
        .await
        .unwrap();
    let ca = Arc::new(ca);
    let issuance = engine(&store, &ca, patience).await;
    Bench {
        _folder: folder,
        store,
        issuance,
        ca,
        account,
    }
}

async fn engine(
    store: &Arc<SqliteStore>,
    ca: &Arc<ScriptedCa>,
    patience: Patience,
) -> Arc<Issuance> {
    let instance = Arc::clone(ca);
    let opener: Opener = Arc::new(move || Ok(Arc::clone(&instance) as _));
    let settings = HandlerSettings {
        deadline: Duration::from_secs(2),
        threads: 2,
        queue: 8,
        patience,
    };
    let handlers = Handlers::open([("ca".parse().unwrap(), settings, opener)]).await;
    Issuance::new(Arc::clone(store) as _, Arc::new(handlers))
}

impl Bench {
    async fn order(&self) -> OrderId {
        let now = UnixTime::now();
        let later = now.plus(Duration::from_secs(3_600));
        let endpoint: EndpointName = "default".parse().unwrap();
        let authorization = Authorization {
            id: AuthorizationId::random(now),
            account: self.account,
            endpoint: endpoint.clone(),
            name: "a.example".parse().unwrap(),
            wildcard: false,
            created: now,
            expires: later,
            state: AuthorizationState::Valid,
            challenges: Vec::new(),
        };
        let order = Order {
            id: OrderId::random(now),
            account: self.account,
            endpoint,
            identifiers: vec!["a.example".parse().unwrap()],
            not_before: None,
            not_after: None,
            created: now,
            expires: later,
            authorizations: vec![authorization.id],
            progress: Progress::Open,
        };
        let id = order.id;
        self.store
            .create_order(order, vec![authorization])
            .await
            .unwrap();
        id
    }

    fn request(&self, order: OrderId) -> CertificateRequest {
        CertificateRequest {
            order: Some(order),
            repeatable: None,
            handler: "ca".parse().unwrap(),
            profile: None,
            protocol: Protocol::Acme,
            endpoint: "default".parse().unwrap(),
            requester: Requester::AcmeAccount {
                account: self.account.to_string(),
                eab_key_id: None,
            },
            csr: csr("a.example"),
            checked: None,
            identifiers: vec!["a.example".parse().unwrap()],
            not_before: None,
            not_after: None,
            request_id: "test".into(),
        }
    }

    async fn progress(&self, order: OrderId) -> Progress {
        self.store.order(order).await.unwrap().unwrap().0.progress
    }

    async fn enrollment(&self, order: OrderId) -> Enrollment {
        let id = match self.progress(order).await {
            Progress::Processing { enrollment } | Progress::Valid { enrollment, .. } => enrollment,
            other => panic!("{other:?}"),
        };
        self.store.enrollment(id).await.unwrap().unwrap()
    }

    /// Runs the poller until something is so.
    async fn until(&self, what: impl AsyncFn() -> bool) {
        let stop = CancellationToken::new();
        let poller = tokio::spawn(Arc::clone(&self.issuance).poll_until(stop.clone()));
        for _ in 0..600 {
            if what().await {
                stop.cancel();
                poller.await.unwrap();
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it never was so")
    }

    /// Polls in the background until the order has ended.
    async fn ended(&self, order: OrderId) -> Progress {
        let stop = CancellationToken::new();
        let poller = tokio::spawn(Arc::clone(&self.issuance).poll_until(stop.clone()));
        for _ in 0..600 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            match self.progress(order).await {
                Progress::Open | Progress::Processing { .. } => {}
                ended => {
                    stop.cancel();
                    poller.await.unwrap();
                    return ended;
                }
            }
        }
        panic!("the order did not end")
    }
}

fn csr(name: &str) -> Vec<u8> {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .serialize_request(&KeyPair::generate().unwrap())
        .unwrap()
        .der()
        .to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quick_ca_issues_at_once() {
    let bench = bench(ScriptedCa::new()).await;
    let order = bench.order().await;
    let outcome = bench.issuance.enroll(bench.request(order)).await.unwrap();
    let Outcome::Issued(issued) = outcome else {
        panic!("{outcome:?}")
    };
    let id = issued.id;
    assert!(matches!(
        bench.progress(order).await,
        Progress::Valid { certificate, .. } if certificate == id
    ));
    let certificate = bench.store.certificate(id).await.unwrap().unwrap();
    assert_eq!(certificate.names, ["a.example"]);
    assert_eq!(
        certificate.issuers,
        std::slice::from_ref(&bench.ca.certificate)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_finalizes_one_acts() {
    let bench = bench(ScriptedCa::new()).await;
    let order = bench.order().await;
    let (one, two) = tokio::join!(
        bench.issuance.enroll(bench.request(order)),
        bench.issuance.enroll(bench.request(order)),
    );
    let outcomes = [one.unwrap(), two.unwrap()];
    assert!(outcomes.contains(&Outcome::Superseded), "{outcomes:?}");
    assert_eq!(bench.ca.enroll_calls.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_request_stores_nothing() {
    let bench = bench(ScriptedCa::new()).await;
    let order = bench.order().await;
    for bad in [csr("b.example"), b"junk".to_vec()] {
        let request = CertificateRequest {
            csr: bad,
            ..bench.request(order)
        };
        let refusal = bench.issuance.enroll(request).await.unwrap_err();
        assert!(matches!(refusal, Refusal::BadCsr(_)), "{refusal}");
    }
    let elsewhere = CertificateRequest {
        handler: "other".parse().unwrap(),
        ..bench.request(order)
    };
    let refusal = bench.issuance.enroll(elsewhere).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Unavailable { .. }), "{refusal}");
    assert_eq!(bench.progress(order).await, Progress::Open);
    assert_eq!(bench.ca.enroll_calls.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passing_fault_is_tried_again_under_the_same_id() {
    let bench = bench(ScriptedCa::new()).await;
    bench
        .ca
        .enrolls
        .lock()
        .push_back(Err(Fault::upstream("down")));
    let order = bench.order().await;
    let outcome = bench.issuance.enroll(bench.request(order)).await.unwrap();
    assert!(matches!(outcome, Outcome::Processing { .. }), "{outcome:?}");
    assert!(matches!(bench.ended(order).await, Progress::Valid { .. }));
    let ids = bench.ca.ids.lock().clone();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_ca_ends_the_order() {
    let bench = bench(ScriptedCa::new()).await;
    bench
        .ca
        .enrolls
        .lock()
        .push_back(Err(Fault::denied("not that name")));
    let order = bench.order().await;
    let outcome = bench.issuance.enroll(bench.request(order)).await.unwrap();
    let Outcome::Failed(failure) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(failure.detail, "not that name");
    assert!(matches!(
        bench.progress(order).await,
        Progress::Invalid { .. }
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_its_time_is_polled() {
    let bench = bench(ScriptedCa::new()).await;
    let pending = |id: &str| (id.to_owned(), Some(Duration::from_secs(1)));
    let (poll_id, retry_after) = pending("one");
    bench.ca.enrolls.lock().push_back(Ok(Answer::Pending {
        poll_id,
        retry_after,
    }));
    bench
        .ca
        .polls
        .lock()
        .push_back(Err(Fault::internal("a poll that faults is repeated")));
    let (poll_id, retry_after) = pending("two");
    bench.ca.polls.lock().push_back(Ok(Poll::Pending {
        poll_id,
        retry_after,
    }));
    let order = bench.order().await;
    let outcome = bench.issuance.enroll(bench.request(order)).await.unwrap();
    let Outcome::Processing { retry_after } = outcome else {
        panic!("{outcome:?}")
    };
    // The poll, and a moment.
    assert!((2..4).contains(&retry_after.as_secs()), "{retry_after:?}");
    assert!(matches!(bench.ended(order).await, Progress::Valid { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_tells_the_reason() {
    let bench = bench(ScriptedCa::new()).await;
    bench.ca.enrolls.lock().push_back(Ok(Answer::Pending {
        poll_id: "x".into(),
        retry_after: Some(Duration::from_secs(1)),
    }));
    bench.ca.polls.lock().push_back(Ok(Poll::Rejected {
        reason: "the operator said no".into(),
    }));
    let order = bench.order().await;
    bench.issuance.enroll(bench.request(order)).await.unwrap();
    let Progress::Invalid { failure, .. } = bench.ended(order).await else {
        panic!("not invalid")
    };
    assert_eq!(failure.detail, "the operator said no");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lying_ca_is_found_out_and_its_certificate_kept() {
    let mut ca = ScriptedCa::new();
    ca.other_csr = Some(csr("a.example"));
    let bench = bench(ca).await;
    let order = bench.order().await;
    let outcome = bench.issuance.enroll(bench.request(order)).await.unwrap();
    assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    let kept = bench.store.certificates(None, 10).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert!(kept[0].withheld);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_cut_off_is_asked_again_where_that_is_safe() {
    let mut ca = ScriptedCa::new();
    ca.idempotent = true;
    let bench = bench(ca).await;
    let order = bench.order().await;
    // As a crash leaves it: in the journal, and the call never ended.
    let cut_off = new_enrollment(bench.request(order), [0; 32], Duration::from_secs(30));
    assert!(bench.store.begin_enrollment(cut_off).await.unwrap());
    assert!(matches!(bench.ended(order).await, Progress::Valid { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_revoked_once() {
    let bench = bench(ScriptedCa::new()).await;
    let order = bench.order().await;
    let Outcome::Issued(issued) = bench.issuance.enroll(bench.request(order)).await.unwrap() else {
        panic!("not issued")
    };
    let id = issued.id;
    let certificate = bench.store.certificate(id).await.unwrap().unwrap();
    let reason = RevocationReason::Superseded;
    bench
        .issuance
        .revoke(&certificate, reason, "test", RevocationPolicy::AtOnce)
        .await
        .unwrap();
    let certificate = bench.store.certificate(id).await.unwrap().unwrap();
    assert_eq!(certificate.revocation.unwrap().reason, reason);
    let again = bench
        .issuance
        .revoke(&certificate, reason, "test", RevocationPolicy::AtOnce)
        .await
        .unwrap_err();
    assert!(matches!(again, RevocationError::AlreadyRevoked), "{again}");
}
