//! [`CurrentCertificate`]: what the TLS listener shows, exchanged while it serves.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;

use crate::server::session::{AnyClient, ClientIdentity};
use crate::server::shutdown::Shutdown;

/// A certificate with its key, or none yet: then handshakes fail, and readiness says so.
#[derive(Debug, Default)]
pub struct CurrentCertificate {
    shown: ArcSwapOption<CertifiedKey>,
    is_ready: watch::Sender<bool>,
}

impl CurrentCertificate {
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    pub fn install(&self, key: CertifiedKey) {
        self.shown.store(Some(Arc::new(key)));
        self.is_ready.send_replace(true);
    }

    /// Waits for the first one.
    pub async fn ready(&self) {
        let mut is_ready = self.is_ready.subscribe();
        // It can't fail: the sender is here.
        let _ = is_ready.wait_for(|is_ready| *is_ready).await;
    }

    /// Is there a certificate to show?
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.shown.load().is_some()
    }

    /// The chain shown, the server's own certificate first, as DER.
    #[must_use]
    pub fn chain(&self) -> Vec<Vec<u8>> {
        let current = self.shown.load();
        let chain = current.iter().flat_map(|key| &key.cert);
        chain.map(|certificate| certificate.to_vec()).collect()
    }

    /// TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1, whatever certificate is current.
    ///
    /// # Errors
    /// The TLS library refuses its own defaults.
    pub(super) fn server_config(
        self: &Arc<Self>,
        identity: ClientIdentity,
    ) -> anyhow::Result<Arc<ServerConfig>> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let builder = match identity {
            ClientIdentity::Requested => builder.with_client_cert_verifier(AnyClient::new()),
            ClientIdentity::Ignored | ClientIdentity::Bound => builder.with_no_client_auth(),
        };
        let mut config =
            builder.with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        // Clients of HTTP/1.0 may say so, and take no other for an answer.
        config.alpn_protocols = [&b"h2"[..], b"http/1.1", b"http/1.0"]
            .map(<[u8]>::to_vec)
            .into();
        // One ticket is enough for clients that come back; each costs a write and a place in memory.
        config.send_tls13_tickets = 1;
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.shown.load_full()
    }
}

/// Reads `[server.tls] certificate` and `key`.
///
/// # Errors
/// A file can't be read, holds something else, or the two don't belong together.
pub fn load(certificate: &Path, key: &Path) -> anyhow::Result<CertifiedKey> {
    let chain_text = read(certificate)?;
    let key_text = if key == certificate {
        chain_text.clone()
    } else {
        read(key)?
    };
    let chain = CertificateDer::pem_slice_iter(&chain_text)
        .collect::<Result<Vec<_>, _>>()
        .with_context(|| format!("{} is not PEM", certificate.display()))?;
    if chain.is_empty() {
        bail!("{} holds no certificate", certificate.display());
    }
    let private = PrivateKeyDer::from_pem_slice(&key_text).with_context(|| {
        format!(
            "{} holds no private key in PEM without passphrase",
            key.display()
        )
    })?;
    certified(chain, &private).with_context(|| {
        format!(
            "{} and {} can't be used",
            certificate.display(),
            key.display()
        )
    })
}

/// Puts a chain and a key together, if they belong together.
pub(super) fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: &PrivateKeyDer<'_>,
) -> anyhow::Result<CertifiedKey> {
    let key = aws_lc_rs::sign::any_supported_type(key)?;
    let certified = CertifiedKey::new(chain, key);
    certified
        .keys_match()
        .context("the key is not the certificate's")?;
    Ok(certified)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("can't read {}", path.display()))
}

/// Loads the files again whenever they change; what can't be used is reported once and the old kept.
pub async fn keep_loaded(
    certificate: PathBuf,
    key: PathBuf,
    current: Arc<CurrentCertificate>,
    shutdown: Shutdown,
) {
    keep_loaded_every(LOOK, certificate, key, current, shutdown).await;
}

async fn keep_loaded_every(
    interval: Duration,
    certificate: PathBuf,
    key: PathBuf,
    current: Arc<CurrentCertificate>,
    shutdown: Shutdown,
) {
    let look = || (stamp(&certificate), stamp(&key));
    let mut seen = look();
    loop {
        tokio::select! {
            () = shutdown.started() => return,
            () = tokio::time::sleep(interval) => {}
        }
        let now = look();
        if now == seen {
            continue;
        }
        // If only one of the two is replaced so far, this fails, and succeeds after the other.
        seen = now;
        match load(&certificate, &key) {
            Ok(fresh) => {
                current.install(fresh);
                tracing::info!(certificate = %certificate.display(), "TLS certificate reloaded");
            }
            Err(error) => tracing::warn!(
                error = format!("{error:#}"),
                "the changed TLS files can't be used; the old certificate stays"
            ),
        }
    }
}

/// How often the files are looked at: two `stat`s.
const LOOK: Duration = Duration::from_secs(5);

/// What changes when a file does, be it written or replaced.
fn stamp(path: &Path) -> Option<(SystemTime, u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(name: &str) -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec![name.into()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn files_that_can_not_be_used_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let (certificate, key) = make("a.example");
        let (good, good_key) = (file("a.pem", &certificate), file("a.key", &key));
        let both = file("both.pem", &(key + &certificate));
        let other_key = file("b.key", &make("b.example").1);
        let empty = file("empty.pem", "");
        let missing = directory.path().join("missing.pem");
        load(&good, &good_key).unwrap();
        load(&both, &both).unwrap();
        for (certificate, key, expect) in [
            (&good, &other_key, "not the certificate's"),
            (&good, &empty, "empty.pem holds no private key"),
            (&good, &good, "a.pem holds no private key"),
            (&empty, &good_key, "empty.pem holds no certificate"),
            (&missing, &good_key, "can't read"),
        ] {
            let error = format!("{:#}", load(certificate, key).unwrap_err());
            assert!(error.contains(expect), "{error}");
        }
    }

    #[tokio::test]
    async fn changed_files_are_taken_and_bad_ones_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) = (
            directory.path().join("c.pem"),
            directory.path().join("k.pem"),
        );
        let write = |name: &str| {
            let (certificate_text, key_text) = make(name);
            std::fs::write(&certificate, certificate_text).unwrap();
            std::fs::write(&key, key_text).unwrap();
        };
        write("a.example");
        let current = CurrentCertificate::new();
        assert!(!current.is_ready());
        current.install(load(&certificate, &key).unwrap());
        let first = current.chain();
        let shutdown = Shutdown::new();
        let interval = Duration::from_millis(10);
        shutdown.spawn(keep_loaded_every(
            interval,
            certificate.clone(),
            key.clone(),
            Arc::clone(&current),
            shutdown.clone(),
        ));
        tokio::time::sleep(interval * 3).await;
        std::fs::write(&certificate, "nonsense").unwrap();
        tokio::time::sleep(interval * 10).await;
        assert_eq!(current.chain(), first);
        write("b.example");
        let changed = async {
            while current.chain() == first {
                tokio::time::sleep(interval).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), changed)
            .await
            .unwrap();
        shutdown.finish(Duration::from_secs(1)).await;
    }
}
