//! [`TlsSession`]: what the TLS handshake told of the other end, for who decides what that is worth.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, ProtocolVersion, ServerConnection,
    SignatureScheme,
};

/// What a listener wants to know of who connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientIdentity {
    /// Nothing.
    Ignored,
    /// The connection's own name, for channel binding.
    Bound,
    /// That, and a certificate, if the client has one.
    Requested,
}

/// One TLS connection, as its requests see it.
#[derive(Debug)]
pub struct TlsSession {
    /// The chain that the client showed, its own certificate first; empty if it showed none. That the
    /// client has the key is proven; whose certificate it is, and whether it is good, is not looked at.
    pub certificates: Vec<CertificateDer<'static>>,
    /// The channel binding `tls-exporter` (RFC 9266); over TLS 1.3 only. A resumed session has one of
    /// its own.
    pub exporter: Option<[u8; 32]>,
}

impl TlsSession {
    pub(super) fn of(connection: &ServerConnection) -> Self {
        let certificates = connection.peer_certificates();
        let exporter = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => connection
                .export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b""))
                .ok(),
            // RFC 9266 §3: in TLS 1.2 it names the connection only with extended master secret, and
            // the library does not say whether that was agreed on.
            _ => None,
        };
        Self {
            certificates: certificates.map(<[_]>::to_vec).unwrap_or_default(),
            exporter,
        }
    }
}

/// Asks for a certificate and takes whatever is shown, be it none. The handshake proves that the client
/// has the key; requests that want to know more look themselves.
#[derive(Debug)]
pub(super) struct AnyClient(WebPkiSupportedAlgorithms);

impl AnyClient {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(
            aws_lc_rs::default_provider().signature_verification_algorithms,
        ))
    }
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// No hints: each label has its own CAs, and a client that picks by hints would pick wrongly.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
