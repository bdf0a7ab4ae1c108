//! [`EstWorld`]: a server with EST labels of every kind, and what clients of theirs have.

use std::fs;
use std::path::{Path, PathBuf};

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use serde_json::Value;

use super::authority::{Authority, Credential};
use super::client::{Caller, EstClient};
use super::cms::certificates;
use super::csr::Csr;
use crate::server::Server;
use crate::settings::Settings;

/// What the CA behind most labels makes: certificates that a client can show later.
const CA: &str = r#"
default_profile = "device"

[handlers.local.config.profiles.device]
extended_key_usage = ["clientAuth", "serverAuth"]
"#;

/// A label for each way of asking. `*.est.test` is for everybody.
const LABELS: &str = r#"
[handlers.slow]
plugin = "pending"

[handlers.slow.config]
directory = "officer"
retry_after = "1s"

[est.default]
handler = "local"
names = ["*.est.test"]

[est.basic]
handler = "local"
auth = "basic"
names = ["*.est.test"]

[est.certificate]
handler = "local"
auth = "client-certificate"
names = ["*.est.test"]

[est.both]
handler = "local"
auth = "both"
names = ["*.est.test"]

[est.factory]
handler = "local"
client_ca = "factory.pem"
client_crl = "factory.crl"
names = ["*.est.test"]

[est.slow]
handler = "slow"
names = ["*.est.test"]

[est.ra]
handler = "local"
names = ["*.est.test"]
ra_certificate = "ra.pem"
ra_key = "ra.key"
"#;

/// Both TLS versions, with a name for messages.
pub const TLS_VERSIONS: [(&str, &SupportedProtocolVersion); 2] =
    [("TLS 1.2", &TLS12), ("TLS 1.3", &TLS13)];

pub struct EstWorld {
    pub server: Server,
    /// The CA of the label `factory`'s clients.
    pub factory: Authority,
    /// Whose certificates are on the factory's CRL.
    pub revoked: Credential,
    /// Who signs for the label `ra`.
    pub ra: Credential,
}

impl EstWorld {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With settings changed before the server starts; `more` holds the labels.
    #[allow(clippy::unused_async, reason = "like World::with")]
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut world = Self::prepare(change);
        world.server.restart();
        world
    }

    /// Everything but a running server.
    pub fn prepare(change: impl FnOnce(&mut Settings)) -> Self {
        Self::prepare_in(change, &std::env::temp_dir())
    }

    pub fn prepare_in(change: impl FnOnce(&mut Settings), parent: &Path) -> Self {
        let mut settings = Settings {
            ca: CA.to_owned(),
            more: LABELS.to_owned(),
            ..Settings::default()
        };
        change(&mut settings);
        let server = Server::prepare_in(settings, parent);
        server.add_plugin("libcertdock_pending.so");
        let factory = Authority::new("Factory CA");
        let revoked = factory.client("revoked.est.test");
        fs::write(server.dir().join("factory.pem"), &factory.root).unwrap();
        let crl = factory.crl(&[revoked.der()]);
        fs::write(server.dir().join("factory.crl"), crl).unwrap();
        let ra = factory.client("ra.example");
        fs::write(server.dir().join("ra.pem"), &ra.certificate).unwrap();
        fs::write(server.dir().join("ra.key"), &ra.key).unwrap();
        Self {
            server,
            factory,
            revoked,
            ra,
        }
    }

    pub fn port(&self) -> u16 {
        self.server.settings.port
    }

    /// Nobody, who trusts the server.
    pub fn anybody(&self) -> Caller {
        Caller::new(&self.server.identity.root)
    }

    /// Makes a user with a password of the server's choice.
    pub async fn user(&self, name: &str) -> Caller {
        self.user_with(name, &[]).await
    }

    /// With options of `est-user add`.
    pub async fn user_with(&self, name: &str, options: &[&str]) -> Caller {
        let command = ["est-user", "add", name, "--json"];
        let command: Vec<_> = command.iter().chain(options).copied().collect();
        let outcome = self.server.command(&command).run().await.success();
        let added: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let password = added["password"].as_str().expect("a password");
        self.anybody().knowing(name, password)
    }

    /// Someone with a certificate of our own CA.
    pub async fn holder(&self, name: &str) -> Caller {
        let user = format!("enroller of {name}");
        let user = self.user_with(&user, &["--name", name]).await;
        let (credential, _) = self.enroll(&user, name).await;
        self.anybody().showing(&credential)
    }

    /// Enrolls at the default label; the credential, and its CSR.
    pub async fn enroll(&self, caller: &Caller, name: &str) -> (Credential, Csr) {
        let csr = Csr::new(name);
        let answer = self.client(caller).enroll(&csr.der).await.unwrap();
        let answer = answer.expect(200).unwrap();
        let der = certificates(&answer.body).remove(0);
        let credential = Credential {
            certificate: pem::encode(&pem::Pem::new("CERTIFICATE", der)),
            key: csr.key.serialize_pem(),
        };
        (credential, csr)
    }

    /// A client of the default label.
    pub fn client(&self, caller: &Caller) -> EstClient {
        EstClient::new(self.base(), caller)
    }

    /// A client of another label.
    pub fn client_of(&self, label: &str, caller: &Caller) -> EstClient {
        EstClient::new(format!("{}/{label}", self.base()), caller)
    }

    pub fn base(&self) -> String {
        format!("{}/.well-known/est", self.server.settings.base_url())
    }

    /// What the officer behind the label `slow` decides about a name.
    pub fn officer(&self, decision: &str, name: &str, reason: &str) {
        fs::write(self.officer_dir().join(decision).join(name), reason).unwrap();
    }

    /// Takes a decision back.
    pub fn forget(&self, decision: &str, name: &str) {
        fs::remove_file(self.officer_dir().join(decision).join(name)).unwrap();
    }

    /// Whether every call to the officer is answered with a transient fault.
    pub fn officer_is_down(&self, down: bool) {
        self.officer_is("down", down);
    }

    /// Whether enrollments get no answer at all from the officer, for ten seconds at most.
    pub fn officer_is_absent(&self, absent: bool) {
        self.officer_is("absent", absent);
    }

    fn officer_is(&self, what: &str, so: bool) {
        let file = self.officer_dir().join(what);
        if so {
            fs::write(file, "").unwrap();
        } else {
            fs::remove_file(file).unwrap();
        }
    }

    /// The calls that the officer has had: `enroll ID`, `poll ID POLL-ID`.
    pub fn officer_calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.officer_dir().join("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// How often the officer was asked for a certificate, not for news.
    pub fn officer_enrollments(&self) -> usize {
        let calls = self.officer_calls();
        let enrolls = calls.iter().filter(|call| call.starts_with("enroll"));
        enrolls.count()
    }

    /// The certificates that the server has issued, as `cert list` has them.
    pub async fn issued(&self) -> Vec<Value> {
        let outcome = self.server.command(&["cert", "list", "--json"]).run().await;
        let listed: Value = serde_json::from_str(&outcome.success().stdout).unwrap();
        listed["items"].as_array().unwrap().clone()
    }

    fn officer_dir(&self) -> PathBuf {
        self.server.dir().join("officer")
    }
}
