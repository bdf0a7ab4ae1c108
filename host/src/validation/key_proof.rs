//! [`PublicKey`]: what a certificate's key has signed. Goes no further than the signature: who the
//! certificate is for, and who vouches for it, is for the caller.

use rustls::SignatureScheme;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::SignatureVerificationAlgorithm;
use x509_parser::asn1_rs::{Any, FromDer, Tag};
use x509_parser::certificate::X509Certificate;

/// A certificate's key as the verification algorithms take it.
pub(super) struct PublicKey<'a> {
    /// AlgorithmIdentifier without its outer tag.
    algorithm: &'a [u8],
    bits: &'a [u8],
}

impl<'a> PublicKey<'a> {
    pub(super) fn of(certificate: &'a X509Certificate<'_>) -> Option<Self> {
        let key = certificate.public_key();
        let (whole, _) = sequence(key.raw)?;
        let (algorithm, _) = sequence(whole)?;
        Some(Self {
            algorithm,
            bits: &key.subject_public_key.data,
        })
    }

    /// Did this key sign a TLS handshake's `message` by `scheme`?
    pub(super) fn signed_handshake(
        &self,
        supported: &WebPkiSupportedAlgorithms,
        scheme: SignatureScheme,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        supported
            .mapping
            .iter()
            .filter(|(candidate, _)| *candidate == scheme)
            .flat_map(|(_, algorithms)| *algorithms)
            .any(|algorithm| self.verifies(*algorithm, message, signature))
    }

    /// Did this key sign the certificate, whose whole DER is `der`?
    pub(super) fn signed_certificate(
        &self,
        supported: &WebPkiSupportedAlgorithms,
        certificate: &X509Certificate<'_>,
        der: &[u8],
    ) -> bool {
        let Some(used) = signature_algorithm(der) else {
            return false;
        };
        supported
            .all
            .iter()
            .filter(|algorithm| algorithm.signature_alg_id().as_ref() == used)
            .any(|algorithm| {
                self.verifies(
                    *algorithm,
                    certificate.tbs_certificate.as_ref(),
                    &certificate.signature_value.data,
                )
            })
    }

    fn verifies(
        &self,
        algorithm: &dyn SignatureVerificationAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        algorithm.public_key_alg_id().as_ref() == self.algorithm
            && algorithm
                .verify_signature(self.bits, message, signature)
                .is_ok()
    }
}

/// RFC 5280 §4.1: Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue }
fn signature_algorithm(der: &[u8]) -> Option<&[u8]> {
    let (whole, _) = sequence(der)?;
    let (_, rest) = sequence(whole)?;
    let (algorithm, _) = sequence(rest)?;
    Some(algorithm)
}

/// The content of the SEQUENCE that `der` begins with, and what follows it.
fn sequence(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (rest, any) = Any::from_der(der).ok()?;
    (any.tag() == Tag::Sequence).then_some((any.data, rest))
}
