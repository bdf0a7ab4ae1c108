//! [`keep_issued`]: a TLS certificate from one of our own handlers, kept in a file and renewed by
//! itself.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::server::shutdown::Shutdown;
use crate::server::tls::{CurrentCertificate, certified};
use crate::time::UnixTime;

/// Where it is kept, and for whom it is.
#[derive(Clone, Debug)]
pub struct OwnCertificate {
    /// Key and chain in one file, so that they are always of one piece; mode 0600.
    pub file: PathBuf,
    /// The names and addresses under which clients reach the server.
    pub names: Vec<String>,
}

/// Has a certificate issued when there is none, and again after two thirds of its life. Never gives
/// up: the handler may be back later.
///
/// `enroll` takes a CSR (DER) and its names, and gives the chain (DER), the server's own first.
pub async fn keep_issued<E, F>(
    own: OwnCertificate,
    enroll: E,
    current: Arc<CurrentCertificate>,
    shutdown: Shutdown,
) where
    E: Fn(Vec<u8>, Vec<String>) -> F + Send,
    F: Future<Output = anyhow::Result<Vec<Vec<u8>>>> + Send,
{
    let mut renewal = match own.load() {
        Ok(Some(kept)) => {
            current.install(kept.certified);
            kept.renewal
        }
        Ok(None) => UnixTime::from_secs(0),
        Err(error) => {
            tracing::warn!(
                error = format!("{error:#}"),
                "the kept TLS certificate can't be used; a new one is asked for"
            );
            UnixTime::from_secs(0)
        }
    };
    let mut pause = RETRY.0;
    loop {
        let wait = if renewal > UnixTime::now() {
            renewal.since(UnixTime::now()).min(LOOK)
        } else {
            match own.renew(&enroll).await {
                Ok(fresh) => {
                    tracing::info!(renewal = %fresh.renewal, "TLS certificate issued");
                    current.install(fresh.certified);
                    renewal = fresh.renewal;
                    if renewal > UnixTime::now() {
                        pause = RETRY.0;
                    }
                }
                Err(error) => tracing::warn!(
                    error = format!("{error:#}"),
                    again_in = ?pause,
                    "no TLS certificate from our own handler"
                ),
            }
            let wait = pause;
            pause = (pause * 2).min(RETRY.1);
            wait
        };
        tokio::select! {
            () = shutdown.started() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// The first wait after a failure, and the longest. It also lies between two calls of a CA whose
/// certificates are due for renewal from the start.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(300));
/// The longest sleep: the clock may be set meanwhile.
const LOOK: Duration = Duration::from_secs(600);

struct Kept {
    certified: rustls::sign::CertifiedKey,
    renewal: UnixTime,
}

impl OwnCertificate {
    async fn renew<E, F>(&self, enroll: &E) -> anyhow::Result<Kept>
    where
        E: Fn(Vec<u8>, Vec<String>) -> F,
        F: Future<Output = anyhow::Result<Vec<Vec<u8>>>>,
    {
        let key = KeyPair::generate().context("can't make a key")?;
        let mut params = CertificateParams::new(self.names.clone())
            .context("base_url holds a name that a certificate can't carry")?;
        params.distinguished_name = DistinguishedName::new();
        let csr = params.serialize_request(&key).context("can't make a CSR")?;
        let chain = enroll(csr.der().to_vec(), self.names.clone()).await?;
        let kept = self.check(chain, key.serialize_der())?;
        self.store(&key, &kept).with_context(|| {
            format!("can't keep the TLS certificate in {}", self.file.display())
        })?;
        Ok(kept)
    }

    /// The kept certificate, if it is there and still of use.
    fn load(&self) -> anyhow::Result<Option<Kept>> {
        let text = match std::fs::read(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("can't read {}", self.file.display()));
            }
        };
        let chain = CertificateDer::pem_slice_iter(&text)
            .map(|certificate| certificate.map(|der| der.to_vec()))
            .collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(&text)?;
        self.check(chain, key.secret_der().to_vec()).map(Some)
    }

    fn check(&self, chain: Vec<Vec<u8>>, key: Vec<u8>) -> anyhow::Result<Kept> {
        let leaf = chain.first().context("the chain is empty")?;
        let (_, leaf) = X509Certificate::from_der(leaf).context("the certificate can't be read")?;
        for name in &self.names {
            if !carries(&leaf, name) {
                bail!("the certificate is not for {name}");
            }
        }
        let not_before = UnixTime::from_secs(leaf.validity().not_before.timestamp());
        let not_after = UnixTime::from_secs(leaf.validity().not_after.timestamp());
        if not_after <= UnixTime::now() {
            bail!("the certificate has expired");
        }
        let renewal = not_before.plus(not_after.since(not_before) * 2 / 3);
        let key = PrivateKeyDer::try_from(key).map_err(|error| anyhow::anyhow!(error))?;
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        Ok(Kept {
            certified: certified(chain, &key)?,
            renewal,
        })
    }

    /// Beside the old file first, then in its place: after a crash there is one or the other.
    fn store(&self, key: &KeyPair, kept: &Kept) -> anyhow::Result<()> {
        let blocks: Vec<_> = kept
            .certified
            .cert
            .iter()
            .map(|der| pem::Pem::new("CERTIFICATE", der.to_vec()))
            .collect();
        let text = zeroize::Zeroizing::new(key.serialize_pem() + &pem::encode_many(&blocks));
        let parent = self.file.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent)?;
        let fresh = self.file.with_extension("new");
        let _ = std::fs::remove_file(&fresh);
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, &self.file)?;
        std::fs::File::open(parent)?.sync_all()?;
        Ok(())
    }
}

fn carries(certificate: &X509Certificate<'_>, name: &str) -> bool {
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return false;
    };
    let address = name.parse::<std::net::IpAddr>().ok();
    names
        .value
        .general_names
        .iter()
        .any(|carried| match (carried, address) {
            (GeneralName::DNSName(carried), None) => carried.eq_ignore_ascii_case(name),
            (GeneralName::IPAddress(octets), Some(std::net::IpAddr::V4(v4))) => {
                *octets == v4.octets()
            }
            (GeneralName::IPAddress(octets), Some(std::net::IpAddr::V6(v6))) => {
                *octets == v6.octets()
            }
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rcgen::{CertificateSigningRequestParams, Issuer};

    use super::*;

    /// A CA that issues for `lifetime`, begun a while ago, and fails the first `failures` times.
    struct Ca {
        issuer: Issuer<'static, KeyPair>,
        lifetime: time::Duration,
        begun: time::Duration,
        failures: AtomicUsize,
        calls: AtomicUsize,
    }

    impl Ca {
        fn new(lifetime: time::Duration, begun: time::Duration, failures: usize) -> Arc<Self> {
            let key = KeyPair::generate().unwrap();
            Arc::new(Self {
                issuer: Issuer::new(CertificateParams::default(), key),
                lifetime,
                begun,
                failures: failures.into(),
                calls: 0.into(),
            })
        }

        fn enroll(&self, csr: Vec<u8>) -> anyhow::Result<Vec<Vec<u8>>> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            if self.failures.load(Ordering::SeqCst) > 0 {
                self.failures.fetch_sub(1, Ordering::SeqCst);
                bail!("not yet");
            }
            let mut request = CertificateSigningRequestParams::from_der(&csr.into())?;
            request.params.not_before = time::OffsetDateTime::now_utc() - self.begun;
            request.params.not_after = request.params.not_before + self.lifetime;
            Ok(vec![request.signed_by(&self.issuer)?.der().to_vec()])
        }
    }

    fn start(own: &OwnCertificate, ca: &Arc<Ca>) -> (Arc<CurrentCertificate>, Shutdown) {
        let (current, shutdown) = (CurrentCertificate::new(), Shutdown::new());
        let ca = Arc::clone(ca);
        let enroll = move |csr, _| {
            let result = ca.enroll(csr);
            async move { result }
        };
        let task = keep_issued(own.clone(), enroll, Arc::clone(&current), shutdown.clone());
        shutdown.spawn(task);
        (current, shutdown)
    }

    async fn until(condition: impl Fn() -> bool) {
        let wait = async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait)
            .await
            .unwrap();
    }

    fn own(directory: &tempfile::TempDir) -> OwnCertificate {
        OwnCertificate {
            file: directory.path().join("data/tls.pem"),
            names: vec!["a.example".into(), "127.0.0.1".into(), "::1".into()],
        }
    }

    #[tokio::test]
    async fn issued_after_failures_kept_and_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let own = own(&directory);
        let ca = Ca::new(time::Duration::days(90), time::Duration::ZERO, 1);
        let (current, shutdown) = start(&own, &ca);
        until(|| current.is_ready()).await;
        assert_eq!(ca.calls.load(Ordering::SeqCst), 2);
        assert_eq!(
            std::fs::metadata(&own.file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        shutdown.finish(Duration::from_secs(1)).await;

        let (again, shutdown) = start(&own, &ca);
        until(|| again.is_ready()).await;
        assert_eq!(again.chain(), current.chain());
        assert_eq!(ca.calls.load(Ordering::SeqCst), 2);
        shutdown.finish(Duration::from_secs(1)).await;

        // Another name than before: the kept certificate is of no use.
        let mut renamed = own;
        renamed.names.push("b.example".into());
        let (renamed, shutdown) = start(&renamed, &ca);
        until(|| renamed.is_ready()).await;
        assert_ne!(renamed.chain(), current.chain());
        shutdown.finish(Duration::from_secs(1)).await;
    }

    #[tokio::test]
    async fn renewed_after_two_thirds() {
        let directory = tempfile::tempdir().unwrap();
        let own = own(&directory);
        // 59 of 90 days are over: two thirds will be in a day, so nothing is due.
        let ca = Ca::new(time::Duration::days(90), time::Duration::days(59), 0);
        let (current, shutdown) = start(&own, &ca);
        until(|| current.is_ready()).await;
        let kept = own.load().unwrap().unwrap();
        let left = kept.renewal.since(UnixTime::now());
        assert!(
            left.abs_diff(Duration::from_secs(86_400)) < Duration::from_secs(60),
            "{left:?}"
        );
        shutdown.finish(Duration::from_secs(1)).await;

        // 61 of 90 days are over: due at once, and again with each answer, but not without pause.
        let late = Ca::new(time::Duration::days(90), time::Duration::days(61), 0);
        std::fs::remove_file(&own.file).unwrap();
        let (_, shutdown) = start(&own, &late);
        until(|| late.calls.load(Ordering::SeqCst) >= 2).await;
        assert!(late.calls.load(Ordering::SeqCst) < 4);
        shutdown.finish(Duration::from_secs(1)).await;
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let own = own(&directory);
        let names = own.names.clone();
        let key = KeyPair::generate().unwrap();
        let make = |names: Vec<String>, year: i32| {
            let mut params = CertificateParams::new(names).unwrap();
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            params.self_signed(&key).unwrap().der().to_vec()
        };
        let key_der = || key.serialize_der();
        own.check(vec![make(names.clone(), 2090)], key_der())
            .unwrap();
        for (chain, key, expect) in [
            (vec![], key_der(), "empty"),
            (vec![vec![1, 2]], key_der(), "can't be read"),
            (vec![make(names.clone(), 2001)], key_der(), "expired"),
            (
                vec![make(vec!["b.example".into()], 2090)],
                key_der(),
                "not for a.example",
            ),
            (
                vec![make(names, 2090)],
                KeyPair::generate().unwrap().serialize_der(),
                "not the certificate's",
            ),
        ] {
            let error = format!("{:#}", own.check(chain, key).err().unwrap());
            assert!(error.contains(expect), "{error}");
        }
    }
}
