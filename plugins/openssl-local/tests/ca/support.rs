//! A host in memory, CSRs, and what OpenSSL's command line says.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use certdock_openssl_local::{Config, OpensslLocal};
use certdock_plugin_api::testing::FakeHost;
use certdock_plugin_api::{CaHandler, Chain, EnrollRequest, Enrollment, Fault, Host, Identifier};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use openssl::rsa::Rsa;
use openssl::stack::Stack;
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder, X509ReqBuilder};
use tempfile::TempDir;

/// Midnight of 2026-06-01, in the middle of all validities used here.
pub(crate) const NOW: u64 = 1_780_272_000;
pub(crate) const DAY: u64 = 86_400;

/// A host with its state in memory and its files in a folder of its own.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) fake: FakeHost,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fake = FakeHost::new().base_dir(folder.path()).at(at(NOW));
        Self { folder, fake }
    }

    pub(crate) fn host(&self) -> Host {
        self.fake.host()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn now(&self) -> u64 {
        self.host()
            .now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs()
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.fake.set_now(at(self.now() + seconds));
    }

    pub(crate) fn secret(&self, name: &str, value: &str) {
        let _ = self.fake.clone().secret_env(name, value);
    }

    pub(crate) fn logs(&self) -> String {
        format!("{:?}", self.fake.lines())
    }

    /// A handler that made its own CA, with more configuration.
    pub(crate) fn create(&self, more: &str) -> OpensslLocal {
        self.open(&format!("create = true\n{more}")).unwrap()
    }

    pub(crate) fn open(&self, more: &str) -> Result<OpensslLocal, Fault> {
        OpensslLocal::open(config(more), self.host())
    }

    /// `openssl verify` says nothing against the certificate two days from now, from the root down.
    pub(crate) fn verify(&self, certificate: &[u8], more: &[&str]) {
        self.write(
            "leaf.pem",
            X509::from_der(certificate).unwrap().to_pem().unwrap(),
        );
        let at = (NOW + 2 * DAY).to_string();
        let standard = [
            "verify",
            "-x509_strict",
            "-CAfile",
            "root.pem",
            "-untrusted",
            "ca.pem",
            "-attime",
        ];
        let args = [&standard, [at.as_str()].as_slice(), more, &["leaf.pem"]].concat();
        self.openssl(&args);
    }

    /// Runs OpenSSL's command line in the folder; it must succeed.
    pub(crate) fn openssl(&self, args: &[&str]) -> String {
        let output = Command::new("openssl")
            .args(args)
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(output.status.success(), "openssl {args:?}: {text}");
        text
    }
}

pub(crate) fn config(more: &str) -> Config {
    toml::from_str(&format!(
        "ca_certificate = 'ca.pem'\nca_key = 'ca.key'\n{more}"
    ))
    .unwrap()
}

pub(crate) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(crate) fn dns(name: &str) -> Identifier {
    Identifier::Dns(name.into())
}

pub(crate) fn key(kind: &str) -> PKey<Private> {
    match kind {
        "rsa-2048" => PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap(),
        "rsa-3072" => PKey::from_rsa(Rsa::generate(3072).unwrap()).unwrap(),
        "rsa-4096" => PKey::from_rsa(Rsa::generate(4096).unwrap()).unwrap(),
        "rsa-1024" => PKey::from_rsa(Rsa::generate(1024).unwrap()).unwrap(),
        "ec-p256" => PKey::ec_gen("P-256").unwrap(),
        "ec-p384" => PKey::ec_gen("P-384").unwrap(),
        "ec-p521" => PKey::ec_gen("P-521").unwrap(),
        "secp256k1" => PKey::ec_gen("secp256k1").unwrap(),
        "ed25519" => PKey::generate_ed25519().unwrap(),
        _ => panic!("no key kind {kind}"),
    }
}

/// A CSR for this key that asks for more than anybody should get: an organization, another name,
/// and to be a CA.
pub(crate) fn csr(key: &PKey<Private>, common_name: Option<&str>) -> Vec<u8> {
    let mut subject = X509NameBuilder::new().unwrap();
    subject
        .append_entry_by_nid(Nid::ORGANIZATIONNAME, "Mallory Inc")
        .unwrap();
    if let Some(name) = common_name {
        subject.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
    }
    let mut request = X509ReqBuilder::new().unwrap();
    request.set_version(0).unwrap();
    request.set_subject_name(&subject.build()).unwrap();
    request.set_pubkey(key).unwrap();
    let mut extensions = Stack::new().unwrap();
    let names = SubjectAlternativeName::new()
        .dns("mallory.example")
        .build(&request.x509v3_context(None))
        .unwrap();
    extensions.push(names).unwrap();
    extensions
        .push(BasicConstraints::new().critical().ca().build().unwrap())
        .unwrap();
    request.add_extensions(&extensions).unwrap();
    let digest = match key.id() {
        Id::ED25519 => MessageDigest::null(),
        _ => MessageDigest::sha256(),
    };
    request.sign(key, digest).unwrap();
    request.build().to_der().unwrap()
}

/// A request of `NOW` for these names, with a P-256 key.
pub(crate) fn request(id: &str, names: &[&str]) -> EnrollRequest {
    request_for(id, &csr(&key("ec-p256"), None), names)
}

pub(crate) fn request_for(id: &str, csr: &[u8], names: &[&str]) -> EnrollRequest {
    let identifiers = names
        .iter()
        .map(|name| name.parse().map_or_else(|_| dns(name), Identifier::Ip))
        .collect();
    let mut request = EnrollRequest::new(id, csr, identifiers);
    request.requested_at = at(NOW);
    request
}

pub(crate) fn enroll(ca: &OpensslLocal, request: &EnrollRequest) -> Chain {
    match ca.enroll(request).unwrap() {
        Enrollment::Issued(chain) => chain,
        other => panic!("{other:?}"),
    }
}

/// The end-entity certificate, DER.
pub(crate) fn leaf(ca: &OpensslLocal, request: &EnrollRequest) -> Vec<u8> {
    enroll(ca, request).certificates.remove(0)
}
