//! [`Trust`]: whose certificates a label's clients may show. Full path validation (RFC 5280 §6), by
//! rustls-webpki, with revocation lists.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use arc_swap::{ArcSwap, ArcSwapOption};
use aws_lc_rs::digest::{Context, SHA256, digest};
use certdock_plugin_api::{CaCerts, Crl};
use parking_lot::Mutex;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList,
    RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy,
};

use super::Denied;
use crate::config::EstLabel;
use crate::est::Label;
use crate::est::status::Refusal;
use crate::handlers::Handler;
use crate::ids::HandlerName;
use crate::server::Shutdown;
use crate::time::UnixTime;
use crate::x509::IssuedCertificate;

/// What a label trusts: the CAs in files, and those of our own handlers.
pub struct Trust {
    files: Option<Files>,
    handlers: Vec<OfHandler>,
}

/// A certificate that is good.
#[derive(Debug)]
pub(super) struct Good {
    pub(super) der: Vec<u8>,
    /// The handler of ours that issued it.
    pub(super) issuer: Option<HandlerName>,
}

/// CAs, their revocation lists, and the chains found good with them: when these end.
struct Anchors {
    anchors: Vec<TrustAnchor<'static>>,
    lists: Vec<CertRevocationList<'static>>,
    good: Mutex<HashMap<[u8; 32], UnixTime>>,
}

/// Chains remembered, each in some forty bytes.
const REMEMBERED: usize = 16_384;

/// A chain is not looked at again for so long. Lists and files that change are looked at at once.
const FRESH: Duration = Duration::from_secs(60 * 60);

struct Files {
    certificates: Vec<PathBuf>,
    lists: Vec<PathBuf>,
    anchors: ArcSwap<Anchors>,
}

struct OfHandler {
    name: HandlerName,
    /// With the answers of the handler that they were made of.
    anchors: ArcSwapOption<(Arc<CaCerts>, Option<Arc<Crl>>, Anchors)>,
}

impl Trust {
    /// # Errors
    /// A file can't be used.
    pub fn new(config: &EstLabel) -> anyhow::Result<Self> {
        let files = if config.client_ca.is_empty() {
            None
        } else {
            let (certificates, lists) = (config.client_ca.clone(), config.client_crl.clone());
            let anchors = ArcSwap::from_pointee(load(&certificates, &lists)?);
            Some(Files {
                certificates,
                lists,
                anchors,
            })
        };
        let handlers = if config.auth.uses_certificates() {
            config.client_ca_handlers.iter().cloned()
        } else {
            [].iter().cloned()
        };
        Ok(Self {
            files,
            handlers: handlers
                .map(|name| OfHandler {
                    name,
                    anchors: ArcSwapOption::empty(),
                })
                .collect(),
        })
    }

    /// Validates what the client showed, its own certificate first, against each of what is trusted.
    pub(super) async fn check(
        &self,
        label: &Label,
        chain: &[CertificateDer<'static>],
        now: UnixTime,
    ) -> Result<Good, Denied> {
        let Some(leaf) = chain.first() else {
            return Err(Untrusted::Unknown.denied());
        };
        let mut fingerprint = [0; 32];
        for (to, from) in fingerprint.iter_mut().zip(digest(&SHA256, leaf).as_ref()) {
            *to = *from;
        }
        // What was revoked here is revoked, whether or not a list says so yet.
        let record = label.store.certificate_by_fingerprint(&fingerprint).await?;
        if record
            .as_ref()
            .is_some_and(|record| record.revocation.is_some() || record.withheld)
        {
            return Err(Untrusted::Revoked.denied());
        }
        let key = chain_key(chain);
        let mut worst = Untrusted::Unknown;
        for handler in &self.handlers {
            match handler.check(label, chain, key, now).await {
                Ok(()) => {
                    return Ok(Good {
                        der: leaf.to_vec(),
                        issuer: Some(record.map_or(handler.name.clone(), |record| record.handler)),
                    });
                }
                Err(why) => worst = worst.max(why),
            }
        }
        if let Some(files) = &self.files {
            match files.anchors.load().check(chain, key, now) {
                Ok(()) => {
                    return Ok(Good {
                        der: leaf.to_vec(),
                        issuer: record.map(|record| record.handler),
                    });
                }
                Err(why) => worst = worst.max(why),
            }
        }
        Err(worst.denied())
    }

    /// Loads the files again whenever they change; what can't be used is reported once, and what was
    /// loaded last is kept.
    pub async fn keep_loaded(trust: Weak<Self>, shutdown: Shutdown) {
        let stamp = || Some(trust.upgrade()?.files.as_ref()?.stamp());
        let Some(mut seen) = stamp() else { return };
        loop {
            tokio::select! {
                () = shutdown.started() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let Some(trust) = trust.upgrade() else { return };
            let Some(files) = &trust.files else { return };
            let now = files.stamp();
            if now == seen {
                continue;
            }
            seen = now;
            match load(&files.certificates, &files.lists) {
                Ok(anchors) => {
                    files.anchors.store(Arc::new(anchors));
                    tracing::info!("the CAs and lists of EST clients were read again");
                }
                Err(error) => tracing::warn!(
                    error = format!("{error:#}"),
                    "the changed files of EST clients' CAs can't be used; the old ones stay"
                ),
            }
        }
    }
}

/// How often the files are looked at: a few `stat`s.
const LOOK: Duration = Duration::from_secs(5);

/// What changes when a file does.
type Stamp = Option<(SystemTime, u64, u64)>;

impl Files {
    fn stamp(&self) -> Vec<Stamp> {
        use std::os::unix::fs::MetadataExt as _;
        let files = self.certificates.iter().chain(&self.lists);
        files
            .map(|path| {
                let metadata = std::fs::metadata(path).ok()?;
                Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
            })
            .collect()
    }
}

impl OfHandler {
    async fn check(
        &self,
        label: &Label,
        chain: &[CertificateDer<'static>],
        key: [u8; 32],
        now: UnixTime,
    ) -> Result<(), Untrusted> {
        let Some(handler) = label.handlers.get(self.name.as_str()) else {
            return Err(Untrusted::NoAnswer);
        };
        let current = self.current(&handler).await?;
        current.2.check(chain, key, now)
    }

    async fn current(
        &self,
        handler: &Arc<Handler>,
    ) -> Result<Arc<(Arc<CaCerts>, Option<Arc<Crl>>, Anchors)>, Untrusted> {
        let unanswered = |fault: certdock_plugin_api::Fault| {
            tracing::warn!(handler = %self.name, %fault, "EST clients' certificates can't be validated");
            Untrusted::NoAnswer
        };
        let certificates = handler.ca_certs().await.map_err(unanswered)?;
        let list = if handler.abilities().is_none_or(|able| able.crl) {
            Some(handler.crl().await.map_err(unanswered)?)
        } else {
            None
        };
        if let Some(known) = self.anchors.load_full() {
            let same_list = match (&known.1, &list) {
                (Some(known), Some(list)) => Arc::ptr_eq(known, list),
                (None, None) => true,
                _ => false,
            };
            if same_list && Arc::ptr_eq(&known.0, &certificates) {
                return Ok(known);
            }
        }
        let made = anchors_of(&certificates, list.as_deref()).map_err(|error| {
            tracing::warn!(handler = %self.name, %error, "the handler's CA can't be used for EST clients");
            Untrusted::NoAnswer
        })?;
        let current = Arc::new((certificates, list, made));
        self.anchors.store(Some(Arc::clone(&current)));
        Ok(current)
    }
}

/// The issuing CA alone: what else its root has certified is not this handler's.
fn anchors_of(certificates: &CaCerts, list: Option<&Crl>) -> anyhow::Result<Anchors> {
    let issuing = certificates
        .certificates
        .first()
        .context("it has no certificate")?;
    let anchors = vec![anchor(&CertificateDer::from(issuing.as_slice()))?];
    let lists = list.map(|list| revocation_list(&list.der)).transpose()?;
    Ok(Anchors {
        anchors,
        lists: lists.into_iter().collect(),
        good: Mutex::default(),
    })
}

fn load(certificates: &[PathBuf], lists: &[PathBuf]) -> anyhow::Result<Anchors> {
    let mut anchors = Vec::new();
    for path in certificates {
        let name = path.display();
        let text = std::fs::read(path).with_context(|| format!("can't read {name}"))?;
        let before = anchors.len();
        for certificate in CertificateDer::pem_slice_iter(&text) {
            let certificate = certificate.with_context(|| format!("{name} is not PEM"))?;
            let anchor = anchor(&certificate);
            anchors.push(anchor.with_context(|| format!("a certificate in {name} can't be used"))?);
        }
        if anchors.len() == before {
            bail!("{name} holds no certificate in PEM");
        }
    }
    let mut read = Vec::new();
    for path in lists {
        let name = path.display();
        let bytes = std::fs::read(path).with_context(|| format!("can't read {name}"))?;
        let unusable = || format!("a revocation list in {name} can't be used");
        if bytes.starts_with(b"\x30") {
            read.push(revocation_list(&bytes).with_context(unusable)?);
            continue;
        }
        let before = read.len();
        for list in CertificateRevocationListDer::pem_slice_iter(&bytes) {
            let list = list.with_context(|| format!("{name} is neither DER nor PEM"))?;
            read.push(revocation_list(&list).with_context(unusable)?);
        }
        if read.len() == before {
            bail!("{name} holds no revocation list");
        }
    }
    Ok(Anchors {
        anchors,
        lists: read,
        good: Mutex::default(),
    })
}

fn anchor(certificate: &CertificateDer<'_>) -> anyhow::Result<TrustAnchor<'static>> {
    Ok(webpki::anchor_from_trusted_cert(certificate)?.to_owned())
}

fn revocation_list(der: &[u8]) -> anyhow::Result<CertRevocationList<'static>> {
    Ok(OwnedCertRevocationList::from_der(der)?.into())
}

impl Anchors {
    fn check(
        &self,
        chain: &[CertificateDer<'static>],
        key: [u8; 32],
        now: UnixTime,
    ) -> Result<(), Untrusted> {
        if self.good.lock().get(&key).is_some_and(|until| now < *until) {
            return Ok(());
        }
        self.validate(chain, now)?;
        // No certificate of the chain ends before then, wherever it stands.
        let ends = chain
            .iter()
            .filter_map(|der| IssuedCertificate::read(der))
            .map(|certificate| certificate.not_after);
        let until = ends.min().unwrap_or(now).min(now.plus(FRESH));
        let mut good = self.good.lock();
        if good.len() >= REMEMBERED {
            good.clear();
        }
        good.insert(key, until);
        Ok(())
    }

    fn validate(&self, chain: &[CertificateDer<'static>], now: UnixTime) -> Result<(), Untrusted> {
        let (leaf, others) = chain.split_first().ok_or(Untrusted::Unknown)?;
        let leaf = EndEntityCert::try_from(leaf)?;
        let lists: Vec<_> = self.lists.iter().collect();
        let revocation = match RevocationOptionsBuilder::new(&lists) {
            Ok(options) => Some(
                options
                    .with_depth(RevocationCheckDepth::Chain)
                    .with_status_policy(UnknownStatusPolicy::Deny)
                    .with_expiration_policy(ExpirationPolicy::Enforce)
                    .build(),
            ),
            // There are no lists.
            Err(_) => None,
        };
        let seconds = u64::try_from(now.as_secs()).unwrap_or(0);
        leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &self.anchors,
            others,
            rustls_pki_types::UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
            KeyUsage::required_if_present(CLIENT_AUTH),
            revocation,
            None,
        )?;
        Ok(())
    }
}

/// id-kp-clientAuth (RFC 5280 §4.2.1.12), the OID's content.
const CLIENT_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];

fn chain_key(chain: &[CertificateDer<'_>]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for der in chain {
        context.update(&(der.len() as u64).to_be_bytes());
        context.update(der);
    }
    let mut key = [0; 32];
    for (to, from) in key.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    key
}

/// Why a certificate is refused; of several reasons the last here tells most.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Untrusted {
    /// From no CA that is trusted.
    Unknown,
    Unusable(String),
    IsCa,
    WrongUse,
    NotYet,
    Expired,
    /// A handler or a list that is needed is not there.
    NoAnswer,
    Revoked,
}

impl From<webpki::Error> for Untrusted {
    fn from(error: webpki::Error) -> Self {
        use webpki::Error as E;
        match error {
            E::UnknownIssuer => Self::Unknown,
            E::CertExpired { .. } => Self::Expired,
            E::CertNotValidYet { .. } => Self::NotYet,
            E::CertRevoked => Self::Revoked,
            E::CaUsedAsEndEntity => Self::IsCa,
            E::RequiredEkuNotFoundContext(_) => Self::WrongUse,
            E::CrlExpired { .. } | E::UnknownRevocationStatus => Self::NoAnswer,
            other => Self::Unusable(other.to_string()),
        }
    }
}

impl Untrusted {
    fn denied(self) -> Denied {
        let (reason, text) = match self {
            Self::Unknown => (
                "unknown-ca",
                "your TLS client certificate is from no CA that this label trusts".to_owned(),
            ),
            Self::Unusable(why) => (
                "bad-certificate",
                format!("your TLS client certificate can't be validated: {why}"),
            ),
            Self::IsCa => (
                "ca-certificate",
                "your TLS client certificate is a CA's, not a client's".to_owned(),
            ),
            Self::WrongUse => (
                "wrong-use",
                "your TLS client certificate is not meant for TLS clients (extended key usage)"
                    .to_owned(),
            ),
            Self::NotYet => (
                "not-yet-valid",
                "your TLS client certificate is not valid yet".to_owned(),
            ),
            Self::Expired => (
                "expired-certificate",
                "your TLS client certificate has expired".to_owned(),
            ),
            Self::Revoked => (
                "revoked-certificate",
                "your TLS client certificate is revoked".to_owned(),
            ),
            Self::NoAnswer => {
                let mut refusal = Refusal::unavailable(Duration::from_secs(30));
                refusal.reason =
                    "your TLS client certificate can't be validated at the moment: its \
                    CA's certificate or revocation list is not at hand"
                        .to_owned();
                return Denied::new("no-revocation-list", refusal);
            }
        };
        Denied::new(reason, Refusal::forbidden(text))
    }
}
