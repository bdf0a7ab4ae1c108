//! [`Csr`]: a PKCS #10 request and the key that signed it.

use rcgen::{Attribute, CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair};

use crate::der::{self, PRINTABLE_STRING};

/// PKCS #9 challengePassword
const CHALLENGE_PASSWORD: &[u64] = &[1, 2, 840, 113_549, 1, 9, 7];

pub struct Csr {
    pub key: KeyPair,
    pub der: Vec<u8>,
}

impl Csr {
    /// With a fresh P-256 key, for a common name that is also the only alternative name.
    pub fn new(name: &str) -> Self {
        Self::with_key(KeyPair::generate().unwrap(), name, &[name])
    }

    pub fn with_key(key: KeyPair, common_name: &str, names: &[&str]) -> Self {
        let der = encode(&params(common_name, names), &key, Vec::new());
        Self { key, der }
    }

    /// With a password in it (RFC 7030 §3.5).
    pub fn with_challenge(name: &str, password: &str) -> Self {
        let value = der::set(&[&der::element(PRINTABLE_STRING, &[password.as_bytes()])]);
        Self::with_attributes(name, &[(CHALLENGE_PASSWORD, value)])
    }

    /// With attributes: type, and the set of values, DER.
    pub fn with_attributes(name: &str, attributes: &[(&'static [u64], Vec<u8>)]) -> Self {
        Self::with_key_and_attributes(KeyPair::generate().unwrap(), name, attributes)
    }

    /// With a key of the caller's choice, and attributes.
    pub fn with_key_and_attributes(
        key: KeyPair,
        name: &str,
        attributes: &[(&'static [u64], Vec<u8>)],
    ) -> Self {
        let attributes = attributes.iter().map(|(oid, values)| Attribute {
            oid,
            values: values.clone(),
        });
        let der = encode(&params(name, &[name]), &key, attributes.collect());
        Self { key, der }
    }

    /// As large as it must be for a base64 body of about so many characters.
    pub fn of_size(name: &str, base64: usize) -> Self {
        let key = KeyPair::generate().unwrap();
        let small = encode(&params(name, &[name]), &key, Vec::new()).len();
        let missing = (base64 * 3 / 4).saturating_sub(small);
        if missing == 0 {
            return Self::new(name);
        }
        // An attribute of no meaning, id-at-description.
        let text = vec![b'x'; missing];
        let value = der::set(&[&der::element(der::UTF8_STRING, &[&text])]);
        Self::with_attributes(name, &[(&[2, 5, 4, 13], value)])
    }

    /// Asks for a CA certificate.
    pub fn for_ca(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = params(name, &[name]);
        let constraints = der::sequence(&[&[0x01, 0x01, 0xff]]);
        let extension = CustomExtension::from_oid_content(&[2, 5, 29, 19], constraints);
        params.custom_extensions.push(extension);
        let der = encode(&params, &key, Vec::new());
        Self { key, der }
    }

    pub fn pem(&self) -> String {
        pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", self.der.clone()))
    }
}

fn params(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params
}

fn encode(params: &CertificateParams, key: &KeyPair, attributes: Vec<Attribute>) -> Vec<u8> {
    let request = params.serialize_request_with_attributes(key, attributes);
    request.unwrap().der().to_vec()
}
