//! A simulator of Insta Certifier's REST API, for tests and for playing.
//!
//! There is no public manual of that API. What is known is what an earlier client of it relies on:
//! the seven calls, the fields that it reads and writes, the error object, `/v1`, Basic
//! authentication, pages of fifty with `totalCount`, ids of 22 characters at the end of absolute
//! links, and that a pending answer to the request for a certificate has an `href` and no `status`.
//!
//! **Inferred**, since that client can't tell:
//! - every HTTP status (it looked only at the body): 200 for what went well, 400 for what is wrong
//!   with a request, 401, 404;
//! - all texts of errors, among them that one about a profile says "profile";
//! - the word `pending` as the status of an undecided request, and `message` on a rejected one;
//! - `offset` and `limit` in the query of a list, and that `name` matches a part of the name;
//! - the order of the checks: CA, profile, PKCS #10;
//! - which of `issuer` and `issuerCa` a certificate has: here `issuerCa` on CAs', `issuer` on others;
//! - that revoking twice is an error with status 400, and the empty object for success;
//! - the publishing of new certificates, which in the product is a script of the operator's.
//!
//! Everything behind the API is real: a root, an intermediate and an issuing CA with keys of their
//! own, certificates that verify, serial numbers, a CRL.
//!
//! [`Simulator::start`] runs it inside a test, on threads of its own; the program
//! `certdock-certifier-sim` runs it alone. Both are steered by the same verbs: methods of
//! [`Simulator`], or HTTP outside `/v1` (see the `operator` module).

mod api;
mod authority;
mod fault;
mod ledger;
mod mode;
mod operator;
mod publish;
mod service;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pem::Pem;

use crate::tls::Identity;
use ledger::Verdict;

pub use fault::{Call, Fault, FaultKind};
pub use ledger::Counts;
pub use mode::Mode;
pub use publish::Publish;

/// How a simulator is set up.
#[derive(Clone)]
pub struct Options {
    pub listen: SocketAddr,
    pub user: String,
    pub password: String,
    /// The issuing CA's name.
    pub ca_name: String,
    /// How many more CAs there are, so that a list has pages.
    pub other_cas: usize,
    /// The profile ids that are known; the first is taken when a request names none.
    pub profiles: Vec<String>,
    /// What becomes of requests.
    pub mode: Mode,
    /// The same by profile id, over `mode`.
    pub modes: BTreeMap<String, Mode>,
    /// Whether the policy gives a CSR without subject one.
    pub allow_empty_subject: bool,
    /// Whether the root's certificate names its own CA as issuer.
    pub self_naming_root: bool,
    /// HTTPS with this certificate; else plain HTTP.
    pub tls: Option<Identity>,
    /// PEM of the roots that clients must show a certificate of.
    pub client_roots: Option<String>,
    /// Where new certificates are pushed to.
    pub publish: Option<Publish>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            user: "certdock".to_owned(),
            password: "correct horse".to_owned(),
            ca_name: "Simulated Issuing CA".to_owned(),
            other_cas: 60,
            profiles: ["100", "101", "102"].map(str::to_owned).to_vec(),
            mode: Mode::Automatic,
            modes: BTreeMap::new(),
            allow_empty_subject: true,
            self_naming_root: false,
            tls: None,
            client_roots: None,
            publish: None,
        }
    }
}

/// A running simulator. It ends when it is dropped.
pub struct Simulator {
    shared: Arc<Shared>,
    runtime: Option<tokio::runtime::Runtime>,
}

/// What connections and the one who steers share.
struct Shared {
    options: Options,
    base: String,
    ledger: Mutex<ledger::Ledger>,
    publisher: Option<tokio::sync::mpsc::UnboundedSender<publish::Issued>>,
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, ledger::Ledger> {
        self.ledger.lock().unwrap()
    }

    fn decide(&self, request: &str, verdict: Verdict) -> Result<(), String> {
        let issued = self.ledger().decide(request, verdict)?;
        self.publish(issued.as_deref());
        Ok(())
    }

    fn publish(&self, issued: Option<&str>) {
        let der = issued.and_then(|id| {
            let ledger = self.ledger();
            ledger.certificates.get(id).map(|c| c.der.clone())
        });
        if let (Some(publisher), Some(der)) = (&self.publisher, der) {
            let _ = publisher.send((Instant::now(), der));
        }
    }
}

impl Simulator {
    /// Panics if its address is taken.
    pub fn start(options: Options) -> Self {
        let listener = TcpListener::bind(options.listen).unwrap();
        let address = listener.local_addr().unwrap();
        // A certificate is for a name, and `localhost` is one.
        let base = match options.tls {
            Some(_) => format!("https://localhost:{}", address.port()),
            None => format!("http://{address}"),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("certifier-sim")
            .enable_all()
            .build()
            .unwrap();
        let publisher = options
            .publish
            .clone()
            .map(|target| publish::start(&runtime, target));
        let shared = Arc::new(Shared {
            ledger: Mutex::new(ledger::Ledger::new(&options)),
            options,
            base,
            publisher,
        });
        listener.set_nonblocking(true).unwrap();
        runtime.spawn(service::serve(listener, Arc::clone(&shared)));
        Self {
            shared,
            runtime: Some(runtime),
        }
    }

    /// For `api_host`.
    pub fn url(&self) -> &str {
        &self.shared.base
    }

    /// The lines of a handler's `config` table that lead here; the password is to be found in the
    /// file `certifier-password`.
    pub fn config(&self) -> String {
        let Options { user, ca_name, .. } = &self.shared.options;
        format!(
            "api_host = \"{}\"\napi_user = \"{user}\"\n\
             api_password = {{ file = \"certifier-password\" }}\nca_name = \"{ca_name}\"\n",
            self.url()
        )
    }

    pub fn password(&self) -> &str {
        &self.shared.options.password
    }

    pub fn counts(&self) -> Counts {
        self.shared.ledger().counts()
    }

    pub fn set_mode(&self, mode: Mode) {
        self.shared.ledger().mode = mode;
    }

    pub fn set_profile_mode(&self, profile: &str, mode: Mode) {
        self.shared.ledger().modes.insert(profile.to_owned(), mode);
    }

    pub fn add_fault(&self, fault: Fault) {
        self.shared.ledger().faults.add(fault);
    }

    pub fn clear_faults(&self) {
        self.shared.ledger().faults.clear();
    }

    /// The ids of the undecided requests, oldest first.
    pub fn pending(&self) -> Vec<String> {
        let waiting = self.shared.ledger().waiting();
        waiting.into_iter().map(|(id, _)| id).collect()
    }

    /// The operator approves; panics if there is nothing to decide.
    pub fn approve(&self, request: &str) {
        self.shared.decide(request, Verdict::Approve).unwrap();
    }

    /// The operator rejects with a reason; panics if there is nothing to decide.
    pub fn reject(&self, request: &str, reason: &str) {
        let verdict = Verdict::Reject(reason.to_owned());
        self.shared.decide(request, verdict).unwrap();
    }

    /// All end-entity certificates, PEM, in no order.
    pub fn certificates(&self) -> Vec<String> {
        let ledger = self.shared.ledger();
        let own: Vec<_> = ledger.cas.iter().map(|ca| &ca.certificate_id).collect();
        let ended = ledger
            .certificates
            .iter()
            .filter(|(id, _)| !own.contains(id));
        ended.map(|(_, found)| to_pem(&found.der)).collect()
    }

    /// The issuing CA's revocation list, DER.
    pub fn crl(&self) -> Vec<u8> {
        let ledger = self.shared.ledger();
        ledger.crl(ledger.cas.len() - 1)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn to_pem(der: &[u8]) -> String {
    pem::encode(&Pem::new("CERTIFICATE", der))
}

/// 22 characters, as the ids of the API's objects.
fn new_id() -> String {
    URL_SAFE_NO_PAD.encode(random())
}

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    bytes
}
