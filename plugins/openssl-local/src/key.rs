//! [`SigningKey`]: the CA's private key with the one signature algorithm it is used with.

use certdock_plugin_api::Fault;
use der::asn1::{Any, BitString, Null};
use der::oid::ObjectIdentifier;
use openssl::bn::BigNumRef;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use openssl::sign::Signer;
use x509_cert::AlgorithmIdentifier;
use zeroize::Zeroizing;

/// Parsed once, used by many threads.
pub(crate) struct SigningKey {
    key: PKey<Private>,
    digest: Option<MessageDigest>,
    algorithm: AlgorithmIdentifier,
}

impl SigningKey {
    /// Takes a key of a kind this CA signs with; says in a sentence what else it is.
    pub(crate) fn new(key: PKey<Private>) -> Result<Self, String> {
        let (oid, digest) = match key.id() {
            Id::RSA if key.bits() >= 2048 => (SHA256_WITH_RSA, Some(MessageDigest::sha256())),
            Id::RSA => return Err(format!("an RSA key of {} bits is too short", key.bits())),
            Id::EC => match key.ec_key().ok().and_then(|key| key.group().curve_name()) {
                Some(Nid::X9_62_PRIME256V1) => (ECDSA_WITH_SHA256, Some(MessageDigest::sha256())),
                Some(Nid::SECP384R1) => (ECDSA_WITH_SHA384, Some(MessageDigest::sha384())),
                Some(Nid::SECP521R1) => (ECDSA_WITH_SHA512, Some(MessageDigest::sha512())),
                _ => return Err("its curve is none of P-256, P-384 and P-521".into()),
            },
            Id::ED25519 => (ED25519, None),
            _ => return Err("it is none of RSA, ECDSA and Ed25519".into()),
        };
        // RFC 4055 §5: NULL for RSA; RFC 5758 §3.2, RFC 8410 §3: nothing for the others.
        let parameters = (oid == SHA256_WITH_RSA).then(|| Any::from(Null));
        Ok(Self {
            key,
            digest,
            algorithm: AlgorithmIdentifier { oid, parameters },
        })
    }

    /// What stands in `signatureAlgorithm`.
    pub(crate) fn algorithm(&self) -> &AlgorithmIdentifier {
        &self.algorithm
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<BitString, Fault> {
        let mut signer = match self.digest {
            Some(digest) => Signer::new(digest, &self.key),
            None => Signer::new_without_digest(&self.key),
        }
        .map_err(failed)?;
        let signature = signer.sign_oneshot_to_vec(message).map_err(failed)?;
        BitString::from_bytes(&signature).map_err(crate::certificate::unencodable)
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
