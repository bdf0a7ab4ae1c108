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
use openssl::sha;
use openssl::sign::Signer;
use x509_cert::AlgorithmIdentifier;
use zeroize::Zeroizing;

/// Parsed once, used by many threads.
pub(crate) struct SigningKey {
    key: PKey<Private>,
    with: Method,
    algorithm: AlgorithmIdentifier,
}

/// How OpenSSL is asked to sign. Its general way looks up its algorithms at each call, which is dear
/// beside a signature by an elliptic curve.
enum Method {
    Ecdsa(EcKey<Private>, Hash),
    Digest(MessageDigest),
    Whole,
}

type Hash = fn(&[u8]) -> Vec<u8>;

impl SigningKey {
    /// Takes a key of a kind this CA signs with; says in a sentence what else it is.
    pub(crate) fn new(key: PKey<Private>) -> Result<Self, String> {
        let (oid, with) = match key.id() {
            Id::RSA if key.bits() >= 2048 => {
                (SHA256_WITH_RSA, Method::Digest(MessageDigest::sha256()))
            }
            Id::RSA => return Err(format!("an RSA key of {} bits is too short", key.bits())),
            Id::EC => ecdsa(&key).ok_or("its curve is none of P-256, P-384 and P-521")?,
            Id::ED25519 => (ED25519, Method::Whole),
            _ => return Err("it is none of RSA, ECDSA and Ed25519".into()),
        };
        // RFC 4055 §5: NULL for RSA; RFC 5758 §3.2, RFC 8410 §3: nothing for the others.
        let parameters = (oid == SHA256_WITH_RSA).then(|| Any::from(Null));
        Ok(Self {
            key,
            with,
            algorithm: AlgorithmIdentifier { oid, parameters },
        })
    }

    /// What stands in `signatureAlgorithm`.
    pub(crate) fn algorithm(&self) -> &AlgorithmIdentifier {
        &self.algorithm
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<BitString, Fault> {
        let sign = || match &self.with {
            Method::Ecdsa(key, hash) => EcdsaSig::sign(&hash(message), key)?.to_der(),
            Method::Digest(digest) => Signer::new(*digest, &self.key)?.sign_oneshot_to_vec(message),
            Method::Whole => Signer::new_without_digest(&self.key)?.sign_oneshot_to_vec(message),
        };
        let signature = sign().map_err(failed)?;
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

fn ecdsa(key: &PKey<Private>) -> Option<(ObjectIdentifier, Method)> {
    let key = key.ec_key().ok()?;
    let (oid, hash): (_, Hash) = match key.group().curve_name()? {
        Nid::X9_62_PRIME256V1 => (ECDSA_WITH_SHA256, |message| sha::sha256(message).into()),
        Nid::SECP384R1 => (ECDSA_WITH_SHA384, |message| sha::sha384(message).into()),
        Nid::SECP521R1 => (ECDSA_WITH_SHA512, |message| sha::sha512(message).into()),
        _ => return None,
    };
    Some((oid, Method::Ecdsa(key, hash)))
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
