//! [`Sample`]: a key with its certificate request, as a client would bring them.

use certdock_plugin_api::{EnrollRequest, Identifier, Protocol, Requester};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256,
    SignatureAlgorithm,
};

use super::verdict::Stop;
use crate::x509::{CertName, Csr};

/// A request whose names are always the same, for what has to be the same at every run.
pub(super) const FIXED_CSR: &[u8] = include_bytes!("../../../plugin-api/src/testing/p256.csr.der");

/// A certificate that no CA but its own key has issued.
pub(super) const FOREIGN_CERTIFICATE: &[u8] =
    include_bytes!("../../../plugin-api/src/testing/certificate.der");

/// What a client asks for.
#[derive(Clone)]
pub(super) struct Sample {
    pub(super) names: Vec<CertName>,
    pub(super) csr: Vec<u8>,
    /// SubjectPublicKeyInfo, DER.
    pub(super) public_key: Vec<u8>,
    pub(super) enrollment_id: String,
}

impl Sample {
    /// With a new P-256 key and a new enrollment id.
    pub(super) fn new(names: &[String]) -> Result<Self, Stop> {
        Self::with_key(names, &PKCS_ECDSA_P256_SHA256)
    }

    pub(super) fn with_key(
        names: &[String],
        algorithm: &'static SignatureAlgorithm,
    ) -> Result<Self, Stop> {
        let failed =
            |error: rcgen::Error| Stop::skipped(format!("no request can be made: {error}"));
        let key = KeyPair::generate_for(algorithm).map_err(failed)?;
        let bare = |name: &String| name.trim_start_matches("ip:").to_owned();
        let alternatives: Vec<_> = names.iter().map(bare).collect();
        let mut params = CertificateParams::new(alternatives).map_err(failed)?;
        params.distinguished_name = DistinguishedName::new();
        // RFC 5280, appendix A: 64 characters at most.
        if let Some(name) = names.first().filter(|n| n.len() <= 64 && !n.contains(':')) {
            params
                .distinguished_name
                .push(DnType::CommonName, name.as_str());
        }
        let csr = params
            .serialize_request(&key)
            .map_err(failed)?
            .der()
            .to_vec();
        let public_key = Csr::parse(&csr)
            .map_err(|error| Stop::Skipped(error.to_string()))?
            .public_key;
        let names = names.iter().map(|name| {
            name.parse::<CertName>()
                .map_err(|error| Stop::Skipped(format!("{name} is no name to ask for: {error}")))
        });
        Ok(Self {
            names: names.collect::<Result<_, _>>()?,
            csr,
            public_key,
            enrollment_id: enrollment_id(),
        })
    }

    /// As an ACME account would ask.
    pub(super) fn request(&self) -> EnrollRequest {
        let names: Vec<Identifier> = self.names.iter().map(Into::into).collect();
        let mut request = EnrollRequest::new(self.enrollment_id.clone(), self.csr.clone(), names);
        request.protocol = Protocol::Acme;
        request.endpoint = "check".to_owned();
        request.requester = Requester::AcmeAccount {
            account: "check".to_owned(),
            eab_key_id: None,
        };
        request.request_id = "check".to_owned();
        request
    }
}

/// One that was never used before.
pub(super) fn enrollment_id() -> String {
    let random: [u8; 12] = crate::random::bytes();
    let digits = random.iter().map(|byte| format!("{byte:02x}"));
    format!("check-{}", digits.collect::<String>())
}
