//! [`Ca`]: the simulator's certification authorities, with real keys, certificates and CRLs.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams,
    CertificateSigningRequestParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason,
    RevokedCertParams, SanType, SerialNumber,
};
use rustls_pki_types::CertificateSigningRequestDer;

const DAY: Duration = Duration::from_secs(86_400);

/// A CA that signs.
pub(super) struct Ca {
    pub(super) name: String,
    pub(super) description: String,
    /// Its object's id.
    pub(super) id: String,
    /// The id of its own certificate's object.
    pub(super) certificate_id: String,
    pub(super) serial: Vec<u8>,
    /// The place of its issuer among the CAs; none for a root.
    pub(super) above: Option<usize>,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate that a CA has made.
pub(super) struct Made {
    pub(super) der: Vec<u8>,
    pub(super) serial: Vec<u8>,
    /// The subject's public key, to find certificates of one request.
    pub(super) public_key: Vec<u8>,
}

/// A revoked certificate, for the CRL.
#[derive(Clone)]
pub(super) struct Revoked {
    pub(super) serial: Vec<u8>,
    pub(super) at: SystemTime,
    pub(super) reason: RevocationReason,
    pub(super) invalid_since: SystemTime,
}

impl Ca {
    pub(super) fn root(name: &str) -> Self {
        let (params, serial) = ca_params(name);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        Self::with(name, serial, None, issuer)
    }

    /// Certified by another, which stands at `above` in the list of CAs.
    pub(super) fn below(name: &str, above: usize, issuer: &Self) -> Self {
        let (params, serial) = ca_params(name);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::signed_by(params, key, &issuer.issuer).unwrap();
        Self::with(name, serial, Some(above), issuer)
    }

    fn with(
        name: &str,
        serial: Vec<u8>,
        above: Option<usize>,
        issuer: CertifiedIssuer<'static, KeyPair>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            description: format!("{name}, simulated"),
            id: super::new_id(),
            certificate_id: super::new_id(),
            serial,
            above,
            issuer,
        }
    }

    pub(super) fn certificate(&self) -> &Certificate {
        self.issuer.as_ref()
    }

    /// Signs what a CSR asks for: its names and its key, ninety days, for TLS.
    pub(super) fn issue(&self, mut csr: CertificateSigningRequestParams) -> Made {
        let params = &mut csr.params;
        let serial = serial();
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.not_before = (SystemTime::now() - Duration::from_secs(300)).into();
        params.not_after = (SystemTime::now() + 90 * DAY).into();
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        params.key_identifier_method = KeyIdMethod::Sha256;
        // A name in the CN alone is a DNS name, too.
        if dns_names(params).is_empty()
            && let Some(name) = common_name(&params.distinguished_name)
        {
            let name = name.try_into().unwrap();
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        let public_key = rcgen::PublicKeyData::subject_public_key_info(&csr.public_key);
        let certificate = csr.signed_by(&self.issuer).unwrap();
        Made {
            der: certificate.der().to_vec(),
            serial,
            public_key,
        }
    }

    pub(super) fn crl(&self, number: u64, revoked: &[Revoked]) -> Vec<u8> {
        let now = SystemTime::now();
        let params = CertificateRevocationListParams {
            this_update: now.into(),
            next_update: (now + DAY).into(),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked
                .iter()
                .map(|revoked| RevokedCertParams {
                    serial_number: SerialNumber::from_slice(&revoked.serial),
                    revocation_time: revoked.at.into(),
                    reason_code: Some(revoked.reason),
                    invalidity_date: Some(revoked.invalid_since.into()),
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().der().to_vec()
    }
}

/// What can be done with a CSR, or what is wrong with it, in words for the client.
pub(super) fn read_csr(
    der: &[u8],
    allow_empty_subject: bool,
) -> Result<CertificateSigningRequestParams, String> {
    let der = CertificateSigningRequestDer::from(der);
    let mut csr = CertificateSigningRequestParams::from_der(&der)
        .map_err(|error| format!("Malformed PKCS#10 request: {error}"))?;
    if csr.params.distinguished_name.iter().next().is_some() {
        return Ok(csr);
    }
    if !allow_empty_subject {
        return Err("Request denied by policy: subject name is missing".to_owned());
    }
    // The policy `set-subject-name CN=%{altname:dns}` for an empty subject.
    if let Some(name) = dns_names(&csr.params).into_iter().next() {
        csr.params.distinguished_name.push(DnType::CommonName, name);
    }
    Ok(csr)
}

fn dns_names(params: &CertificateParams) -> Vec<String> {
    params
        .subject_alt_names
        .iter()
        .filter_map(|name| match name {
            SanType::DnsName(name) => Some(name.to_string()),
            _ => None,
        })
        .collect()
}

fn common_name(subject: &DistinguishedName) -> Option<String> {
    match subject.get(&DnType::CommonName)? {
        rcgen::DnValue::Utf8String(name) => Some(name.clone()),
        rcgen::DnValue::PrintableString(name) => Some(name.to_string()),
        _ => None,
    }
}

fn ca_params(name: &str) -> (CertificateParams, Vec<u8>) {
    let mut params = CertificateParams::default();
    let serial = serial();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, "certdock tests");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (SystemTime::now() - DAY).into();
    params.not_after = (SystemTime::now() + 3650 * DAY).into();
    params.use_authority_key_identifier_extension = true;
    (params, serial)
}

/// 16 random bytes, positive.
fn serial() -> Vec<u8> {
    let mut serial = super::random();
    serial[0] = serial[0] & 0x7f | 0x40;
    serial.to_vec()
}

/// A big-endian number in decimal, as the API wants serial numbers.
pub(super) fn decimal(bytes: &[u8]) -> String {
    let mut digits = vec![0_u8];
    for byte in bytes {
        let mut carry = u16::from(*byte);
        for digit in &mut digits {
            let value = u16::from(*digit) * 256 + carry;
            *digit = (value % 10) as u8;
            carry = value / 10;
        }
        while carry > 0 {
            digits.push((carry % 10) as u8);
            carry /= 10;
        }
    }
    digits.iter().rev().map(|d| char::from(b'0' + d)).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_written_in_decimal() {
        let cases: [(&[u8], &str); 4] = [
            (&[], "0"),
            (&[0, 255], "255"),
            (&[1, 0, 0], "65536"),
            (
                &[0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
                "85070591730234615865843651857942052865",
            ),
        ];
        for (bytes, decimal) in cases {
            assert_eq!(super::decimal(bytes), decimal);
        }
    }
}
