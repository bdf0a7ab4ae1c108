//! tls-alpn-01 (RFC 8737): the proof is in the certificate that the name's TLS server shows to a
//! client that asks for the protocol `acme-tls/1`.

use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::ClientConfig;
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs as provider};
use subtle::ConstantTimeEq;
use tokio_rustls::TlsConnector;
use x509_parser::asn1_rs::{OctetString, Oid, oid};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::order::{Failure, FailureKind};
use crate::validation::Proof;
use crate::validation::dial::Dialer;
use crate::validation::http01::server_name;
use crate::validation::key_proof::PublicKey;
use crate::validation::unverified;

/// What tls-alpn-01 needs beside the dialer.
#[derive(Debug)]
pub(super) struct TlsAlpn01 {
    port: u16,
    tls: Arc<ClientConfig>,
    signatures: WebPkiSupportedAlgorithms,
}

impl TlsAlpn01 {
    /// # Errors
    /// The TLS library refuses its own defaults.
    pub(super) fn new(port: u16) -> Result<Self, rustls::Error> {
        Ok(Self {
            port,
            // RFC 8737 §3: TLS 1.2 or later; rustls has nothing earlier.
            tls: Arc::new(unverified::client_config(PROTOCOL)?),
            signatures: provider::default_provider().signature_verification_algorithms,
        })
    }

    /// # Errors
    /// What was missing or wrong.
    pub(super) async fn check(&self, dialer: &Dialer, proof: &Proof) -> Result<(), Failure> {
        let name = &proof.name;
        let stream = dialer.connect(name, self.port).await?;
        let stream = TlsConnector::from(Arc::clone(&self.tls))
            .connect(server_name(name)?, stream)
            .await
            .map_err(|error| {
                tracing::debug!(%name, %error, "TLS handshake failed");
                Failure::new(
                    FailureKind::Tls,
                    format!("the TLS handshake with {name} for acme-tls/1 failed"),
                )
            })?;
        let (_, session) = stream.get_ref();
        // A server that ignores ALPN has not agreed to be asked.
        if session.alpn_protocol() != Some(PROTOCOL) {
            return Err(Failure::new(
                FailureKind::Unauthorized,
                format!("the TLS server of {name} does not negotiate acme-tls/1"),
            ));
        }
        let certificate = session
            .peer_certificates()
            .and_then(<[_]>::first)
            .ok_or_else(|| wrong("is missing"))?;
        self.check_certificate(certificate, proof)
    }

    /// RFC 8737 §3
    fn check_certificate(&self, der: &[u8], proof: &Proof) -> Result<(), Failure> {
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|_| wrong("can't be read"))?;
        if !rest.is_empty() {
            return Err(wrong("can't be read"));
        }
        // The SAN: one dNSName, the name, and nothing else.
        let names = match certificate.subject_alternative_name() {
            Ok(Some(names)) => &names.value.general_names,
            Ok(None) => return Err(wrong("has no subject alternative name")),
            Err(_) => return Err(wrong("can't be read")),
        };
        match names.as_slice() {
            [GeneralName::DNSName(name)] if name.eq_ignore_ascii_case(proof.name.as_str()) => {}
            _ => return Err(wrong("is not for exactly the name that is to be proved")),
        }
        self.check_self_signed(&certificate, der)?;
        check_identifier(&certificate, &proof.key_authorization)
    }

    fn check_self_signed(
        &self,
        certificate: &X509Certificate<'_>,
        der: &[u8],
    ) -> Result<(), Failure> {
        let signed = certificate.issuer().as_raw() == certificate.subject().as_raw()
            && PublicKey::of(certificate)
                .is_some_and(|key| key.signed_certificate(&self.signatures, certificate, der));
        if signed {
            Ok(())
        } else {
            Err(wrong("is not self-signed"))
        }
    }
}

/// RFC 8737 §6.2
const PROTOCOL: &[u8] = b"acme-tls/1";
/// RFC 8737 §6.1. Drafts had 1.3.6.1.5.5.7.1.30.1, which proves nothing any more.
const ACME_IDENTIFIER: Oid<'static> = oid!(1.3.6.1.5.5.7.1.31);

/// One critical acmeIdentifier that holds the digest of the key authorization.
fn check_identifier(
    certificate: &X509Certificate<'_>,
    key_authorization: &str,
) -> Result<(), Failure> {
    let mut found = certificate
        .extensions()
        .iter()
        .filter(|extension| extension.oid == ACME_IDENTIFIER);
    let (Some(extension), None) = (found.next(), found.next()) else {
        return Err(wrong("does not have one acmeIdentifier extension"));
    };
    if !extension.critical {
        return Err(wrong(
            "has an acmeIdentifier extension that is not critical",
        ));
    }
    // RFC 8737 §3: Authorization ::= OCTET STRING (SIZE (32))
    let Ok(([], digest)) = OctetString::from_der(extension.value) else {
        return Err(wrong("has an acmeIdentifier extension that can't be read"));
    };
    let expected = digest::digest(&digest::SHA256, key_authorization.as_bytes());
    if digest.as_ref().ct_eq(expected.as_ref()).into() {
        return Ok(());
    }
    Err(Failure::new(
        FailureKind::IncorrectResponse,
        "the certificate shown for acme-tls/1 does not hold the digest of the key authorization",
    ))
}

fn wrong(what: &str) -> Failure {
    Failure::new(
        FailureKind::IncorrectResponse,
        format!("the certificate shown for acme-tls/1 {what}"),
    )
}

#[cfg(test)]
mod tests;
