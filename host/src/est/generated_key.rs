//! [`GeneratedKey`]: a key pair that the server makes for a client. It is never stored nor logged, and
//! wiped from memory when it is dropped.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::oid_registry::{OID_EC_P256, OID_NIST_EC_P384, OID_SIG_ED25519};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;
use zeroize::Zeroizing;

use crate::est::signer::Signer;
use crate::x509::encode::{bit_string, context, integer, oid, sequence, tlv};
use crate::x509::{Csr, public_key_of};

/// The kinds of keys that the server makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    Rsa2048,
    Rsa3072,
    Rsa4096,
    P256,
    P384,
    Ed25519,
}

impl KeyKind {
    /// The kind of this key (SubjectPublicKeyInfo, DER): the client shows by the key of its CSR what
    /// it wants. A size of RSA between two is rounded up.
    pub(super) fn like(public_key: &[u8]) -> Option<Self> {
        let (_, key) = SubjectPublicKeyInfo::from_der(public_key).ok()?;
        match key.parsed() {
            Ok(PublicKey::RSA(rsa)) => match rsa.key_size() {
                2048 => Some(Self::Rsa2048),
                2049..=3072 => Some(Self::Rsa3072),
                3073..=4096 => Some(Self::Rsa4096),
                _ => None,
            },
            Ok(PublicKey::EC(_)) => {
                let curve = key.algorithm.parameters.as_ref()?.clone().oid().ok()?;
                if curve == OID_EC_P256 {
                    Some(Self::P256)
                } else {
                    (curve == OID_NIST_EC_P384).then_some(Self::P384)
                }
            }
            _ => (key.algorithm.algorithm == OID_SIG_ED25519).then_some(Self::Ed25519),
        }
    }
}

pub(super) struct GeneratedKey {
    /// PKCS #8, DER (RFC 5958).
    pkcs8: Zeroizing<Vec<u8>>,
    signer: Signer,
}

impl GeneratedKey {
    /// Takes up to seconds for RSA: not for a thread that serves.
    pub(super) fn generate(kind: KeyKind) -> anyhow::Result<Self> {
        let random = SystemRandom::new();
        let rsa = |size| {
            let pair = rsa::KeyPair::generate(size)?;
            let der: Pkcs8V1Der<'_> = pair.as_der()?;
            anyhow::Ok(Zeroizing::new(der.as_ref().to_vec()))
        };
        let ecdsa = |algorithm| {
            let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random)?;
            anyhow::Ok(Zeroizing::new(document.as_ref().to_vec()))
        };
        let pkcs8 = match kind {
            KeyKind::Rsa2048 => rsa(KeySize::Rsa2048)?,
            KeyKind::Rsa3072 => rsa(KeySize::Rsa3072)?,
            KeyKind::Rsa4096 => rsa(KeySize::Rsa4096)?,
            KeyKind::P256 => ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING)?,
            KeyKind::P384 => ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING)?,
            KeyKind::Ed25519 => {
                let document = Ed25519KeyPair::generate_pkcs8v1(&random)?;
                Zeroizing::new(document.as_ref().to_vec())
            }
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8.as_slice()));
        let signer = Signer::new(&key)?;
        Ok(Self { pkcs8, signer })
    }

    /// Whether this certificate, DER, is for this key.
    pub(super) fn is_key_of(&self, certificate: &[u8]) -> bool {
        let own = self.signer.public_key().ok();
        own.is_some() && public_key_of(certificate) == own
    }

    /// PKCS #8, DER.
    pub(super) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// A request for this key that asks for the names and extensions of the client's own request, DER.
    pub(super) fn request(&self, like: &Csr) -> anyhow::Result<Vec<u8>> {
        let extensions = like.extension_request.as_ref().map(|extensions| {
            sequence(&[&oid("1.2.840.113549.1.9.14"), &tlv(0x31, &[extensions])])
        });
        let info = sequence(&[
            &integer(0),
            &like.subject,
            &self.signer.public_key()?,
            &context(0, &[&extensions.unwrap_or_default()]),
        ]);
        Ok(sequence(&[
            &info,
            &self.signer.algorithm()?.identifier(),
            &bit_string(&self.signer.sign(&info)?),
        ]))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;
    use crate::x509::CertName;
    use crate::x509::encode::{null, unsigned};

    #[test]
    fn requests_for_generated_keys_ask_for_the_same() {
        let own = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "device 1");
        let der = params.serialize_request(&own).unwrap().der().to_vec();
        let like = Csr::parse(&der).unwrap();
        for kind in [
            KeyKind::Rsa2048,
            KeyKind::Rsa3072,
            KeyKind::Rsa4096,
            KeyKind::P256,
            KeyKind::P384,
            KeyKind::Ed25519,
        ] {
            let key = GeneratedKey::generate(kind).unwrap();
            let request = Csr::parse(&key.request(&like).unwrap()).unwrap();
            assert_eq!(request.subject, like.subject);
            assert_eq!(request.names(), like.names());
            assert!(
                request
                    .names()
                    .contains(&"a.example".parse::<CertName>().unwrap())
            );
            assert_ne!(request.public_key, like.public_key);
            assert_eq!(KeyKind::like(&request.public_key), Some(kind));
        }
    }

    fn key_info(algorithm: &[&[u8]], key: &[u8]) -> Vec<u8> {
        sequence(&[&sequence(algorithm), &bit_string(key)])
    }

    /// With a modulus of so many bits.
    fn rsa(bits: usize) -> Vec<u8> {
        let mut modulus = vec![0xff; bits.div_ceil(8)];
        modulus[0] >>= (8 - bits % 8) % 8;
        let key = sequence(&[&unsigned(&modulus), &integer(65_537)]);
        key_info(&[&oid("1.2.840.113549.1.1.1"), &null()], &key)
    }

    #[test]
    fn a_key_of_the_client_s_says_which_kind_it_wants() {
        for (bits, kind) in [
            (1024, None),
            (2040, None),
            (2048, Some(KeyKind::Rsa2048)),
            (2056, Some(KeyKind::Rsa3072)),
            (3072, Some(KeyKind::Rsa3072)),
            (3080, Some(KeyKind::Rsa4096)),
            (4096, Some(KeyKind::Rsa4096)),
            (4104, None),
            (8192, None),
        ] {
            assert_eq!(KeyKind::like(&rsa(bits)), kind, "{bits}");
        }
        let ec = |curve: &str, size: usize| {
            let point = [&[4][..], &vec![7; 2 * size]].concat();
            key_info(&[&oid("1.2.840.10045.2.1"), &oid(curve)], &point)
        };
        for (name, key, kind) in [
            ("P-256", ec("1.2.840.10045.3.1.7", 32), Some(KeyKind::P256)),
            ("P-384", ec("1.3.132.0.34", 48), Some(KeyKind::P384)),
            ("P-521", ec("1.3.132.0.35", 66), None),
            (
                "Ed25519",
                key_info(&[&oid("1.3.101.112")], &[7; 32]),
                Some(KeyKind::Ed25519),
            ),
            ("Ed448", key_info(&[&oid("1.3.101.113")], &[7; 57]), None),
            ("nonsense", b"nonsense".to_vec(), None),
        ] {
            assert_eq!(KeyKind::like(&key), kind, "{name}");
        }
    }
}
