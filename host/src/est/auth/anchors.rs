//! [`Anchors`]: CAs whose certificates clients may show, with their revocation lists. Full path
//! validation (RFC 5280 §6), by rustls-webpki.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use aws_lc_rs::digest::{Context, SHA256};
use certdock_plugin_api::{CaCerts, Crl};
use parking_lot::Mutex;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList,
    RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy,
};
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use super::untrusted::Untrusted;
use crate::time::UnixTime;
use crate::x509::IssuedCertificate;

/// CAs, their revocation lists, and the chains found good with them: when these end.
pub(super) struct Anchors {
    anchors: Vec<TrustAnchor<'static>>,
    lists: Vec<CertRevocationList<'static>>,
    /// When the first of the lists expires: what was found good with them is so until then.
    lists_expire: Option<UnixTime>,
    good: Mutex<HashMap<[u8; 32], UnixTime>>,
}

/// Chains remembered, each in some forty bytes.
const REMEMBERED: usize = 16_384;

/// A chain is not looked at again for so long. Lists and files that change are looked at at once.
const FRESH: Duration = Duration::from_secs(60 * 60);

impl Anchors {
    fn new(anchors: Vec<TrustAnchor<'static>>, lists: Vec<List>) -> Self {
        Self {
            anchors,
            lists_expire: lists.iter().map(|list| list.expires).min(),
            lists: lists.into_iter().map(|list| list.list).collect(),
            good: Mutex::default(),
        }
    }

    /// A handler's issuing CA alone: what else its root has certified is not this handler's.
    ///
    /// # Errors
    /// What the handler answered can't be used.
    pub(super) fn of_handler(certificates: &CaCerts, list: Option<&Crl>) -> anyhow::Result<Self> {
        let issuing = certificates
            .certificates
            .first()
            .context("it has no certificate")?;
        let anchors = vec![anchor(&CertificateDer::from(issuing.as_slice()))?];
        let list = list.map(|list| List::read(&list.der)).transpose()?;
        Ok(Self::new(anchors, list.into_iter().collect()))
    }

    /// Those in files: PEM, and the lists in DER too.
    ///
    /// # Errors
    /// A file can't be used.
    pub(super) fn load(certificates: &[PathBuf], lists: &[PathBuf]) -> anyhow::Result<Self> {
        let mut anchors = Vec::new();
        for path in certificates {
            let name = path.display();
            let text = std::fs::read(path).with_context(|| format!("can't read {name}"))?;
            let before = anchors.len();
            for certificate in CertificateDer::pem_slice_iter(&text) {
                let certificate = certificate.with_context(|| format!("{name} is not PEM"))?;
                let anchor = anchor(&certificate);
                anchors.push(
                    anchor.with_context(|| format!("a certificate in {name} can't be used"))?,
                );
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
                read.push(List::read(&bytes).with_context(unusable)?);
                continue;
            }
            let before = read.len();
            for list in CertificateRevocationListDer::pem_slice_iter(&bytes) {
                let list = list.with_context(|| format!("{name} is neither DER nor PEM"))?;
                read.push(List::read(&list).with_context(unusable)?);
            }
            if read.len() == before {
                bail!("{name} holds no revocation list");
            }
        }
        Ok(Self::new(anchors, read))
    }

    /// Whether this chain, the client's own certificate first, is good with them.
    pub(super) fn check(
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
        // Nor does a list. Of those that are not the chain's some may have expired, and then it is
        // looked at each time.
        let until = self.lists_expire.map_or(until, |first| until.min(first));
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

/// What a chain is remembered by.
pub(super) fn chain_key(chain: &[CertificateDer<'_>]) -> [u8; 32] {
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

fn anchor(certificate: &CertificateDer<'_>) -> anyhow::Result<TrustAnchor<'static>> {
    Ok(webpki::anchor_from_trusted_cert(certificate)?.to_owned())
}

struct List {
    list: CertRevocationList<'static>,
    expires: UnixTime,
}

impl List {
    fn read(der: &[u8]) -> anyhow::Result<Self> {
        let list = OwnedCertRevocationList::from_der(der)?.into();
        let (_, parsed) = CertificateRevocationList::from_der(der)?;
        let expires = parsed.next_update().context("it has no nextUpdate")?;
        let expires = UnixTime::from_secs(expires.timestamp());
        Ok(Self { list, expires })
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams,
        ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, SerialNumber,
    };

    use super::*;

    const HOUR: i64 = 60 * 60;

    /// A CA in `ca.pem`, and a certificate of a client's.
    fn ca(directory: &std::path::Path) -> (Issuer<'static, KeyPair>, CertificateDer<'static>) {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(directory.join("ca.pem"), certificate.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        let mut params = CertificateParams::new(["device.example".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&KeyPair::generate().unwrap(), &issuer);
        (issuer, leaf.unwrap().der().clone())
    }

    fn list(issuer: &Issuer<'_, KeyPair>, now: UnixTime, expires: UnixTime) -> Vec<u8> {
        let date = |at: UnixTime| {
            let since = Duration::from_secs(u64::try_from(at.as_secs()).unwrap());
            (std::time::SystemTime::UNIX_EPOCH + since).into()
        };
        let params = CertificateRevocationListParams {
            this_update: date(now),
            next_update: date(expires),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(issuer).unwrap().der().to_vec()
    }

    #[test]
    fn what_is_remembered_ends_with_the_first_list() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        let (issuer, leaf) = ca(directory.path());
        let now = UnixTime::now();
        let later = |seconds: i64| UnixTime::from_secs(now.as_secs() + seconds);
        std::fs::write(file("own.crl"), list(&issuer, now, later(HOUR / 2))).unwrap();
        let chain = [leaf];
        let check = |anchors: &Anchors, at| anchors.check(&chain, chain_key(&chain), at);

        let anchors = Anchors::load(&[file("ca.pem")], &[file("own.crl")]).unwrap();
        for (seconds, expected) in [
            (0, Ok(())),
            (HOUR / 2 - 1, Ok(())),
            (HOUR / 2, Err(Untrusted::NoAnswer)),
        ] {
            assert_eq!(check(&anchors, later(seconds)), expected, "{seconds}");
        }

        // Without a list a chain is looked at again after a while, too.
        let anchors = Anchors::load(&[file("ca.pem")], &[]).unwrap();
        assert_eq!(check(&anchors, now), Ok(()));
        let remembered = anchors.good.lock().get(&chain_key(&chain)).copied();
        assert_eq!(remembered, Some(later(HOUR)));
    }
}
