//! [`Authority`]: a CA in the test's own hands, for client certificates right and wrong.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevocationReason, RevokedCertParams, SerialNumber,
};

/// A certificate with its key, PEM. More certificates may follow the first.
#[derive(Clone)]
pub struct Credential {
    pub certificate: String,
    pub key: String,
}

impl Credential {
    /// DER of the first certificate.
    pub fn der(&self) -> Vec<u8> {
        crate::certificate::ders(&self.certificate).remove(0)
    }

    /// What this certificate's holder would be as a CA, whether it may be one or not.
    pub fn as_authority(&self) -> Authority {
        let key = KeyPair::from_pem(&self.key).unwrap();
        Authority {
            root: self.certificate.clone(),
            issuer: Issuer::from_ca_cert_pem(&self.certificate, key).unwrap(),
        }
    }

    /// Signed by nobody but itself.
    pub fn self_signed(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params(name).self_signed(&key).unwrap();
        Self {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

pub struct Authority {
    pub root: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self {
            root: params.self_signed(&key).unwrap().pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A client certificate for a common name that is a DNS name too.
    pub fn client(&self, name: &str) -> Credential {
        self.issue(name, |_| {})
    }

    /// A CA below this one: its certificate, PEM, and itself.
    pub fn intermediate(&self, name: &str) -> (String, Self) {
        let credential = self.issue(name, |params| {
            params.subject_alt_names.clear();
            params.extended_key_usages.clear();
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        });
        (credential.certificate.clone(), credential.as_authority())
    }

    pub fn expired(&self, name: &str) -> Credential {
        self.issue(name, |params| {
            let day = Duration::from_secs(86_400);
            params.not_before = (SystemTime::now() - 20 * day).into();
            params.not_after = (SystemTime::now() - 10 * day).into();
        })
    }

    /// A client certificate changed before it is signed.
    pub fn issue(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Credential {
        let key = KeyPair::generate().unwrap();
        let mut params = params(name);
        change(&mut params);
        Credential {
            certificate: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    /// A CRL, PEM, of these certificates (DER).
    pub fn crl(&self, revoked: &[Vec<u8>]) -> String {
        let revoked = revoked.iter().map(|der| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&serial(der)),
            revocation_time: SystemTime::now().into(),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: (SystemTime::now() - Duration::from_secs(60)).into(),
            next_update: (SystemTime::now() + Duration::from_secs(86_400)).into(),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

fn params(name: &str) -> CertificateParams {
    let names = Some(name.to_owned()).filter(|name| !name.contains(' '));
    let mut params = CertificateParams::new(Vec::from_iter(names)).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params
}

fn serial(der: &[u8]) -> Vec<u8> {
    use x509_parser::prelude::{FromDer, X509Certificate};

    let (_, certificate) = X509Certificate::from_der(der).unwrap();
    certificate.raw_serial().to_vec()
}
