//! [`Recipient`]: encrypting a message to the holder of a certificate's key (RFC 5652 §6).

use anyhow::anyhow;
use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, ECDH_P521, EphemeralPrivateKey};
use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::key_wrap::{self, AesKek, KeyWrap as _};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::oid_registry::{OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use zeroize::Zeroizing;

use super::{SIGNED_DATA, content_info};
use crate::x509::encode::{bit_string, context, integer, octet_string, oid, sequence, set_of, tlv};

/// Whom a message is for.
pub(crate) struct Recipient {
    /// The subject key identifier of its certificate.
    key_id: Vec<u8>,
    key: Key,
}

enum Key {
    /// SubjectPublicKeyInfo, DER.
    Rsa(Vec<u8>),
    Ec {
        algorithm: &'static agreement::Algorithm,
        curve: &'static str,
        /// Uncompressed.
        point: Vec<u8>,
    },
}

const ENVELOPED_DATA: &str = "1.2.840.113549.1.7.3";
const AES256_CBC: &str = "2.16.840.1.101.3.4.1.42";
const AES256_WRAP: &str = "2.16.840.1.101.3.4.1.45";

impl Recipient {
    /// The holder of this certificate, if its subject key identifier is the one asked for: the content
    /// of an AsymmetricDecryptKeyIdentifier's SET, DER.
    pub(crate) fn of(certificate: &[u8], asked: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let key_id = certificate.extensions().iter().find_map(|extension| {
            match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
                _ => None,
            }
        })?;
        if octet_string(&key_id) != asked {
            return None;
        }
        let key = certificate.public_key();
        let key = match key.parsed().ok()? {
            PublicKey::RSA(_) => Key::Rsa(key.raw.to_vec()),
            PublicKey::EC(point) => {
                let oid = key.algorithm.parameters.as_ref()?.clone().oid().ok()?;
                let (algorithm, curve) = if oid == OID_EC_P256 {
                    (&ECDH_P256, "1.2.840.10045.3.1.7")
                } else if oid == OID_NIST_EC_P384 {
                    (&ECDH_P384, "1.3.132.0.34")
                } else if oid == OID_NIST_EC_P521 {
                    (&ECDH_P521, "1.3.132.0.35")
                } else {
                    return None;
                };
                Key::Ec {
                    algorithm,
                    curve,
                    point: point.data().to_vec(),
                }
            }
            _ => return None,
        };
        Some(Self { key_id, key })
    }

    /// Encrypts a SignedData, DER. ContentInfo of an EnvelopedData, DER.
    pub(crate) fn envelop(&self, signed: &[u8]) -> anyhow::Result<Vec<u8>> {
        let content_key = Zeroizing::new(crate::random::bytes::<32>());
        let key = UnboundCipherKey::new(&AES_256, content_key.as_slice())?;
        // Room for the padding, so that no copy is left behind when it grows.
        let mut content = Zeroizing::new(Vec::with_capacity(signed.len() + 64));
        content.extend_from_slice(signed);
        let DecryptionContext::Iv128(iv) =
            PaddedBlockEncryptingKey::cbc_pkcs7(key)?.encrypt(&mut *content)?
        else {
            return Err(anyhow!("the library encrypts without an IV"));
        };
        let recipient = match &self.key {
            Key::Rsa(key) => self.transport(key, content_key.as_slice())?,
            Key::Ec {
                algorithm,
                curve,
                point,
            } => self.agree(algorithm, curve, point, content_key.as_slice())?,
        };
        let iv: &[u8; 16] = iv.as_ref();
        let encrypted = sequence(&[
            &oid(SIGNED_DATA),
            &sequence(&[&oid(AES256_CBC), &octet_string(iv)]),
            &tlv(0x80, &[&content]),
        ]);
        let enveloped = sequence(&[&integer(2), &set_of(vec![recipient]), &encrypted]);
        Ok(content_info(ENVELOPED_DATA, &enveloped))
    }

    /// KeyTransRecipientInfo with RSAES-OAEP (RFC 5652 §6.2.1, RFC 4055 §4.1).
    fn transport(&self, key: &[u8], content_key: &[u8]) -> anyhow::Result<Vec<u8>> {
        let key = PublicEncryptingKey::from_der(key)
            .map_err(|error| anyhow!("the recipient's key can't be used: {error}"))?;
        let key = OaepPublicEncryptingKey::new(key)?;
        let mut encrypted = vec![0; key.ciphertext_size()];
        let encrypted = key.encrypt(&OAEP_SHA256_MGF1SHA256, content_key, &mut encrypted, None)?;
        let hash = sequence(&[&oid("2.16.840.1.101.3.4.2.1")]);
        let mask = sequence(&[&oid("1.2.840.113549.1.1.8"), &hash]);
        let parameters = sequence(&[&context(0, &[&hash]), &context(1, &[&mask])]);
        Ok(sequence(&[
            &integer(2),
            &tlv(0x80, &[&self.key_id]),
            &sequence(&[&oid("1.2.840.113549.1.1.7"), &parameters]),
            &octet_string(encrypted),
        ]))
    }

    /// KeyAgreeRecipientInfo with an ephemeral key (RFC 5753 §3.1.1).
    fn agree(
        &self,
        algorithm: &'static agreement::Algorithm,
        curve: &str,
        point: &[u8],
        content_key: &[u8],
    ) -> anyhow::Result<Vec<u8>> {
        let own = EphemeralPrivateKey::generate(algorithm, &SystemRandom::new())?;
        let own_point = own.compute_public_key()?;
        let peer = agreement::UnparsedPublicKey::new(algorithm, point);
        let wrap = sequence(&[&oid(AES256_WRAP)]);
        // RFC 5753 §7.2: ECC-CMS-SharedInfo
        let info = sequence(&[&wrap, &context(2, &[&octet_string(&256_u32.to_be_bytes())])]);
        let wrapping = agreement::agree_ephemeral(own, peer, anyhow!("no agreement"), |shared| {
            // ANSI X9.63: one round of SHA-256 gives all that AES-256 needs.
            let input = Zeroizing::new([shared, &1_u32.to_be_bytes(), &info].concat());
            Ok(Zeroizing::new(digest(&SHA256, &input).as_ref().to_vec()))
        })?;
        let mut wrapped = [0; 40];
        let wrapped = AesKek::new(&key_wrap::AES_256, &wrapping)?
            .wrap(content_key, &mut wrapped)?
            .to_vec();
        let key_type = sequence(&[&oid("1.2.840.10045.2.1"), &oid(curve)]);
        let originator = context(1, &[&key_type, &bit_string(own_point.as_ref())]);
        let recipient = sequence(&[
            &context(0, &[&octet_string(&self.key_id)]),
            &octet_string(&wrapped),
        ]);
        Ok(context(
            1,
            &[
                &integer(3),
                &context(0, &[&originator]),
                // dhSinglePass-stdDH-sha256kdf-scheme
                &sequence(&[&oid("1.3.132.1.11.1"), &wrap]),
                &sequence(&[&recipient]),
            ],
        ))
    }
}
