//! [`Signer`]: a private key that signs, with its algorithm as certificates and CMS name it.

use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::SigningKey;
use rustls_pki_types::PrivateKeyDer;

use crate::x509::encode::{null, oid, sequence};

/// The best way to sign that each kind of key has.
const SCHEMES: [SignatureScheme; 5] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PKCS1_SHA256,
];

#[derive(Clone, Debug)]
pub(super) struct Signer(Arc<dyn SigningKey>);

/// How a signature was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Algorithm {
    /// Of the signature.
    signature: &'static str,
    /// Of the digest that CMS wants beside it.
    pub(super) digest: Digest,
    has_null: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Digest {
    Sha256,
    Sha384,
    Sha512,
}

impl Digest {
    /// AlgorithmIdentifier, DER (RFC 5754 §2: without parameters).
    pub(super) fn identifier(self) -> Vec<u8> {
        sequence(&[&oid(match self {
            Self::Sha256 => "2.16.840.1.101.3.4.2.1",
            Self::Sha384 => "2.16.840.1.101.3.4.2.2",
            Self::Sha512 => "2.16.840.1.101.3.4.2.3",
        })])
    }

    pub(super) fn of(self, bytes: &[u8]) -> Vec<u8> {
        use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
        let algorithm = match self {
            Self::Sha256 => &SHA256,
            Self::Sha384 => &SHA384,
            Self::Sha512 => &SHA512,
        };
        digest(algorithm, bytes).as_ref().to_vec()
    }
}

impl Algorithm {
    /// AlgorithmIdentifier, DER.
    pub(super) fn identifier(self) -> Vec<u8> {
        if self.has_null {
            sequence(&[&oid(self.signature), &null()])
        } else {
            sequence(&[&oid(self.signature)])
        }
    }
}

impl Signer {
    /// # Errors
    /// The key is of a kind that can't sign here.
    pub(super) fn new(key: &PrivateKeyDer<'_>) -> anyhow::Result<Self> {
        let key = any_supported_type(key)?;
        let signer = Self(key);
        signer.algorithm()?;
        Ok(signer)
    }

    fn scheme(&self) -> anyhow::Result<Box<dyn rustls::sign::Signer>> {
        // RSA keys offer all of theirs, and the order says which is taken.
        SCHEMES
            .iter()
            .find_map(|scheme| self.0.choose_scheme(&[*scheme]))
            .context("the key is not RSA, P-256, P-384, P-521 or Ed25519")
    }

    /// # Errors
    /// The key is of a kind that can't sign here.
    pub(super) fn algorithm(&self) -> anyhow::Result<Algorithm> {
        let (signature, digest) = match self.scheme()?.scheme() {
            SignatureScheme::ECDSA_NISTP256_SHA256 => ("1.2.840.10045.4.3.2", Digest::Sha256),
            SignatureScheme::ECDSA_NISTP384_SHA384 => ("1.2.840.10045.4.3.3", Digest::Sha384),
            SignatureScheme::ECDSA_NISTP521_SHA512 => ("1.2.840.10045.4.3.4", Digest::Sha512),
            // RFC 8419 §2.3
            SignatureScheme::ED25519 => ("1.3.101.112", Digest::Sha512),
            SignatureScheme::RSA_PKCS1_SHA256 => ("1.2.840.113549.1.1.11", Digest::Sha256),
            other => return Err(anyhow!("no name is known for signatures of kind {other:?}")),
        };
        Ok(Algorithm {
            signature,
            digest,
            has_null: signature == "1.2.840.113549.1.1.11",
        })
    }

    /// # Errors
    /// The library could not sign.
    pub(super) fn sign(&self, message: &[u8]) -> anyhow::Result<Vec<u8>> {
        Ok(self.scheme()?.sign(message)?)
    }

    /// SubjectPublicKeyInfo, DER.
    ///
    /// # Errors
    /// The library does not say.
    pub(super) fn public_key(&self) -> anyhow::Result<Vec<u8>> {
        let key = self.0.public_key().context("the key has no public half")?;
        Ok(key.as_ref().to_vec())
    }
}
