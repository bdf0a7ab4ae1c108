//! [`TestCa`]: a handler that issues in memory, or does what a test tells it to.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use certdock_plugin_api::{
    CaCerts, Chain, Crl, EnrollRequest, Enrollment, Fault, Poll, PollRequest, RevokeRequest,
};
use parking_lot::Mutex;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, IsCa, Issuer, KeyPair,
};
use time::OffsetDateTime;

use crate::handlers::{Abilities, HandlerInstance};

#[derive(Clone, Copy)]
pub(super) enum Does {
    Issue,
    IssueAfter(Duration),
    /// With a second chain to another root.
    IssueWithAlternate,
    /// For another name than asked.
    IssueWrongly,
    Pend,
    Deny,
}

pub(super) struct TestCa {
    issuer: Issuer<'static, KeyPair>,
    certificate: Vec<u8>,
    /// The CA's name and key, certified by another root.
    cross: Vec<u8>,
    other_root: Vec<u8>,
    does: Mutex<Does>,
    enrolled: AtomicUsize,
    revoked: Mutex<Vec<u8>>,
}

impl TestCa {
    pub(super) fn new() -> Self {
        let (params, key) = (authority("Test CA"), KeyPair::generate().unwrap());
        let (root_params, root_key) = (authority("Other root"), KeyPair::generate().unwrap());
        let other_root = root_params.self_signed(&root_key).unwrap();
        let root = Issuer::new(root_params, root_key);
        let cross = params.signed_by(&key, &root).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            certificate: certificate.der().to_vec(),
            cross: cross.der().to_vec(),
            other_root: other_root.der().to_vec(),
            issuer: Issuer::new(params, key),
            does: Mutex::new(Does::Issue),
            enrolled: AtomicUsize::new(0),
            revoked: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn now_does(&self, does: Does) {
        *self.does.lock() = does;
    }

    /// How often it was asked to enroll.
    pub(super) fn enrolled(&self) -> usize {
        self.enrolled.load(Ordering::SeqCst)
    }

    /// The reasons of the revocations it was asked for.
    pub(super) fn revoked(&self) -> Vec<u8> {
        self.revoked.lock().clone()
    }

    fn issue(&self, request: &EnrollRequest, names: Option<Vec<String>>) -> Vec<u8> {
        let csr = request.csr.clone().into();
        let mut csr = CertificateSigningRequestParams::from_der(&csr).unwrap();
        csr.params.not_before = OffsetDateTime::now_utc() - time::Duration::MINUTE;
        csr.params.not_after = OffsetDateTime::now_utc() + time::Duration::DAY;
        csr.params.distinguished_name = DistinguishedName::new();
        if let Some(names) = names {
            csr.params.subject_alt_names = CertificateParams::new(names).unwrap().subject_alt_names;
        }
        csr.signed_by(&self.issuer).unwrap().der().to_vec()
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

impl HandlerInstance for TestCa {
    fn abilities(&self) -> Abilities {
        Abilities {
            poll: true,
            revoke: true,
            ..Abilities::default()
        }
    }

    fn enroll(&self, request: &EnrollRequest) -> Result<Enrollment, Fault> {
        self.enrolled.fetch_add(1, Ordering::SeqCst);
        let does = *self.does.lock();
        let mut chain = Chain::new(Vec::new());
        match does {
            Does::Pend => {
                return Ok(Enrollment::Pending {
                    poll_id: "later".to_owned(),
                    retry_after: Some(Duration::from_secs(7)),
                });
            }
            Does::Deny => return Err(Fault::denied("the CA does not like the name")),
            Does::IssueAfter(wait) => std::thread::sleep(wait),
            Does::Issue | Does::IssueWithAlternate | Does::IssueWrongly => {}
        }
        let names = matches!(does, Does::IssueWrongly).then(|| vec!["wrong.example".to_owned()]);
        let leaf = self.issue(request, names);
        if matches!(does, Does::IssueWithAlternate) {
            chain.alternates = vec![vec![
                leaf.clone(),
                self.cross.clone(),
                self.other_root.clone(),
            ]];
        }
        chain.certificates = vec![leaf, self.certificate.clone()];
        Ok(Enrollment::Issued(chain))
    }

    fn poll(&self, _: &PollRequest) -> Result<Poll, Fault> {
        Err(Fault::busy("not yet"))
    }

    fn revoke(&self, request: &RevokeRequest) -> Result<(), Fault> {
        self.revoked.lock().push(request.reason.code());
        Ok(())
    }

    fn ca_certs_get(&self) -> Result<CaCerts, Fault> {
        Ok(CaCerts {
            certificates: vec![self.certificate.clone()],
        })
    }

    fn crl(&self) -> Result<Crl, Fault> {
        Err(Fault::unsupported("no CRL"))
    }
}
