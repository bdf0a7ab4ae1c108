//! A private authority for the server's own TLS certificate, and the client side that trusts it.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ALL_VERSIONS, ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// PEM texts for a server named `localhost`.
#[derive(Clone)]
pub struct Identity {
    pub root: String,
    pub certificate: String,
    pub key: String,
}

impl Identity {
    pub fn new() -> Self {
        let root_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "TLS root of the tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let root = params.self_signed(&root_key).unwrap();
        let issuer = Issuer::new(params, root_key);

        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params
            .subject_alt_names
            .push(SanType::IpAddress([127, 0, 0, 1].into()));
        // certbot's Python refuses a leaf that does not say whose key signed it.
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&key, &issuer).unwrap();
        Self {
            root: root.pem(),
            certificate: leaf.pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Default for Identity {
    fn default() -> Self {
        Self::new()
    }
}

/// A client that trusts the certificates in a PEM text.
pub fn client_config(roots: &str) -> Arc<ClientConfig> {
    ClientTls {
        roots,
        credential: None,
        version: None,
    }
    .config()
}

/// The client's side of TLS.
pub struct ClientTls<'a> {
    /// Certificates to trust, PEM.
    pub roots: &'a str,
    /// A certificate to show, with what follows it, and its key, PEM.
    pub credential: Option<(&'a str, &'a str)>,
    /// The one version to speak; any if it is not set.
    pub version: Option<&'static SupportedProtocolVersion>,
}

impl ClientTls<'_> {
    pub fn config(&self) -> Arc<ClientConfig> {
        let mut store = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(self.roots.as_bytes()) {
            store.add(root.unwrap()).unwrap();
        }
        let versions = self.version.map_or(ALL_VERSIONS.to_vec(), |one| vec![one]);
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&versions)
            .unwrap()
            .with_root_certificates(store);
        Arc::new(match self.credential {
            Some((certificate, key)) => {
                let chain = CertificateDer::pem_slice_iter(certificate.as_bytes());
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                config
                    .with_client_auth_cert(chain.map(Result::unwrap).collect(), key)
                    .unwrap()
            }
            None => config.with_no_client_auth(),
        })
    }
}
