//! [`RegistrationAuthority`]: who signs what the server itself says in CMS.

use std::path::Path;

use anyhow::{Context as _, ensure};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use zeroize::Zeroizing;

use crate::config;
use crate::est::cms::SignedData;
use crate::est::signer::Signer;
use crate::x509::encode::{sequence, tlv};

/// The label's `ra_certificate` and `ra_key`.
pub(super) struct RegistrationAuthority {
    signer: Signer,
    /// The certificate and those above it, DER.
    certificates: Vec<Vec<u8>>,
    /// IssuerAndSerialNumber, DER (RFC 5652 §10.2.4).
    id: Vec<u8>,
}

/// RFC 5958 §2: id-ct-KP-aKeyPackage
const KEY_PACKAGE: &str = "2.16.840.1.101.2.1.2.78.5";

impl RegistrationAuthority {
    /// # Errors
    /// The files can't be used.
    pub(super) fn load(files: &config::RegistrationAuthority) -> anyhow::Result<Self> {
        let chain = CertificateDer::pem_slice_iter(&read(&files.certificate)?)
            .collect::<Result<Vec<_>, _>>()
            .with_context(|| format!("{} is not PEM", files.certificate.display()))?;
        let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?).with_context(|| {
            format!(
                "{} holds no private key in PEM without passphrase",
                files.key.display()
            )
        })?;
        let certificates: Vec<Vec<u8>> = chain.iter().map(|der| der.to_vec()).collect();
        Self::new(certificates, &key).with_context(|| {
            format!(
                "{} and {} can't be used",
                files.certificate.display(),
                files.key.display()
            )
        })
    }

    pub(super) fn new(certificates: Vec<Vec<u8>>, key: &PrivateKeyDer<'_>) -> anyhow::Result<Self> {
        let signer = Signer::new(key)?;
        let own = certificates.first().context("there is no certificate")?;
        let (_, parsed) =
            X509Certificate::from_der(own).context("the certificate can't be read")?;
        ensure!(
            parsed.public_key().raw == signer.public_key()?,
            "the key is not the certificate's"
        );
        let serial = tlv(0x02, &[parsed.raw_serial()]);
        let id = sequence(&[parsed.issuer().as_raw(), &serial]);
        Ok(Self {
            signer,
            id,
            certificates,
        })
    }

    /// Signs a message of this type, with these certificates beside the RA's own. ContentInfo, DER.
    pub(super) fn sign(
        &self,
        content_type: &str,
        content: &[u8],
        more: &[Vec<u8>],
    ) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        let certificates = [self.certificates.as_slice(), more].concat();
        SignedData {
            content_type,
            content,
            signer: &self.signer,
            signer_id: &self.id,
            certificates: &certificates,
        }
        .encode()
    }

    /// RFC 7030 §4.4.2: a key that is sent encrypted is signed by who made it, as an asymmetric key
    /// package (RFC 5958 §2). SignedData without its ContentInfo, DER.
    pub(super) fn sign_key_package(&self, pkcs8: &[u8]) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        let package = Zeroizing::new(sequence(&[pkcs8]));
        let message = self.sign(KEY_PACKAGE, &package, &[])?;
        crate::est::cms::content(&message)
            .map(|content| Zeroizing::new(content.to_vec()))
            .context("a message just made can't be read")
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("can't read {}", path.display()))
}
