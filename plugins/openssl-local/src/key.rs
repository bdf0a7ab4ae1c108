//! [`SigningKey`]: the CA's private key with the one signature algorithm it is used with.

use certdock_plugin_api::Fault;
use der::asn1::{Any, BitString, Null};
use der::oid::ObjectIdentifier;
use openssl::bn::BigNumRef;
use openssl::ec::EcKey;
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use openssl::sha::{sha256, sha384, sha512};
use openssl::sign::Signer;
use x509_cert::AlgorithmIdentifier;
use zeroize::Zeroizing;

/// Parsed once, used by many threads.
pub(crate) struct SigningKey {
    key: PKey<Private>,
    scheme: Scheme,
    algorithm: AlgorithmIdentifier,
}

/// How the key signs.
enum Scheme {
    Rsa,
    /// By the curve's own functions: a `Signer` looks its algorithms up each time, an eighth of what
    /// the signature takes.
    Ecdsa(EcKey<Private>, fn(&[u8]) -> Vec<u8>),
    Ed25519,
}

impl SigningKey {
    /// Takes a key of a kind this CA signs with; says in a sentence what else it is.
    pub(crate) fn new(key: PKey<Private>) -> Result<Self, String> {
        let (oid, scheme) = match key.id() {
            Id::RSA if key.bits() >= 2048 => (SHA256_WITH_RSA, Scheme::Rsa),
            Id::RSA => return Err(format!("an RSA key of {} bits is too short", key.bits())),
            Id::EC => key
                .ec_key()
                .ok()
                .and_then(ecdsa)
                .ok_or("its curve is none of P-256, P-384 and P-521")?,
            Id::ED25519 => (ED25519, Scheme::Ed25519),
            _ => return Err("it is none of RSA, ECDSA and Ed25519".into()),
        };
        // RFC 4055 §5: NULL for RSA; RFC 5758 §3.2, RFC 8410 §3: nothing for the others.
        let parameters = (oid == SHA256_WITH_RSA).then(|| Any::from(Null));
        Ok(Self {
            key,
            scheme,
            algorithm: AlgorithmIdentifier { oid, parameters },
        })
    }

    /// What stands in `signatureAlgorithm`.
    pub(crate) fn algorithm(&self) -> &AlgorithmIdentifier {
        &self.algorithm
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<BitString, Fault> {
        let signature = match &self.scheme {
            Scheme::Rsa => Signer::new(MessageDigest::sha256(), &self.key)
                .and_then(|mut signer| signer.sign_oneshot_to_vec(message)),
            Scheme::Ecdsa(key, digest) => {
                EcdsaSig::sign(&digest(message), key).and_then(|signature| signature.to_der())
            }
            Scheme::Ed25519 => Signer::new_without_digest(&self.key)
                .and_then(|mut signer| signer.sign_oneshot_to_vec(message)),
        };
        BitString::from_bytes(&signature.map_err(failed)?).map_err(crate::certificate::unencodable)
    }

    /// The `SubjectPublicKeyInfo`, DER.
    pub(crate) fn public_key(&self) -> Result<Vec<u8>, ErrorStack> {
        self.key.public_key_to_der()
    }

    /// The private number itself, whatever file format it came in: the same wherever this key is
    /// used.
    pub(crate) fn secret(&self) -> Result<Zeroizing<Vec<u8>>, ErrorStack> {
        let number = match self.key.id() {
            Id::RSA => bytes(self.key.rsa()?.d()),
            Id::EC => bytes(self.key.ec_key()?.private_key()),
            _ => self.key.raw_private_key()?,
        };
        Ok(Zeroizing::new(number))
    }
}

/// RFC 5758 §3.2, with the hash that is as strong as the curve.
fn ecdsa(key: EcKey<Private>) -> Option<(ObjectIdentifier, Scheme)> {
    Some(match key.group().curve_name()? {
        Nid::X9_62_PRIME256V1 => (
            ECDSA_WITH_SHA256,
            Scheme::Ecdsa(key, |message| sha256(message).to_vec()),
        ),
        Nid::SECP384R1 => (
            ECDSA_WITH_SHA384,
            Scheme::Ecdsa(key, |message| sha384(message).to_vec()),
        ),
        Nid::SECP521R1 => (
            ECDSA_WITH_SHA512,
            Scheme::Ecdsa(key, |message| sha512(message).to_vec()),
        ),
        _ => return None,
    })
}

fn bytes(number: &BigNumRef) -> Vec<u8> {
    number.to_vec()
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: ErrorStack) -> Fault {
    Fault::internal("the CA could not sign").private(error.to_string())
}

const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_WITH_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const ECDSA_WITH_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
