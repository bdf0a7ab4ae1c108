//! Account keys and the flattened JWS they sign (RFC 7515, RFC 8555 §6.2).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

pub fn unb64(text: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// A key pair for each algorithm the server takes.
pub enum AccountKey {
    Ec {
        alg: &'static str,
        crv: &'static str,
        pair: EcdsaKeyPair,
    },
    Ed25519(Ed25519KeyPair),
    Rsa(rsa::KeyPair),
}

impl AccountKey {
    pub fn es256() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self::Ec {
            alg: "ES256",
            crv: "P-256",
            pair,
        }
    }

    pub fn es384() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        Self::Ec {
            alg: "ES384",
            crv: "P-384",
            pair,
        }
    }

    pub fn es512() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap();
        Self::Ec {
            alg: "ES512",
            crv: "P-521",
            pair,
        }
    }

    pub fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    pub fn rsa2048() -> Self {
        Self::Rsa(rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap())
    }

    /// The same key, to make a CSR with; ECDSA keys only.
    pub fn of_certificate(&self) -> rcgen::KeyPair {
        let Self::Ec { pair, .. } = self else {
            panic!("no ECDSA key")
        };
        let pkcs8 = pair.to_pkcs8v1().unwrap();
        rcgen::KeyPair::try_from(pkcs8.as_ref()).unwrap()
    }

    pub fn alg(&self) -> &'static str {
        match self {
            Self::Ec { alg, .. } => alg,
            Self::Ed25519(_) => "EdDSA",
            Self::Rsa(_) => "RS256",
        }
    }

    /// The public key with its required members only, sorted: what RFC 7638 hashes.
    pub fn jwk(&self) -> Value {
        match self {
            Self::Ec { crv, pair, .. } => {
                // An uncompressed point: 4, x, y.
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({ "crv": crv, "kty": "EC", "x": b64(x), "y": b64(y) })
            }
            Self::Ed25519(pair) => {
                json!({ "crv": "Ed25519", "kty": "OKP", "x": b64(pair.public_key()) })
            }
            Self::Rsa(pair) => {
                let (n, e) = rsa_numbers(pair.public_key().as_ref());
                json!({ "e": b64(e), "kty": "RSA", "n": b64(n) })
            }
        }
    }

    /// RFC 7638
    pub fn thumbprint(&self) -> String {
        b64(digest(&SHA256, self.jwk().to_string().as_bytes()))
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Ec { pair, .. } => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let pair: &signature::RsaKeyPair = pair;
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .unwrap();
                signature
            }
        }
    }

    /// The whole body of a request, for any protected header.
    pub fn flattened(&self, protected: &Value, payload: &[u8]) -> Value {
        let protected = b64(protected.to_string());
        let payload = b64(payload);
        let signature = self.sign(format!("{protected}.{payload}").as_bytes());
        json!({ "protected": protected, "payload": payload, "signature": b64(signature) })
    }
}

/// Modulus and exponent of a PKCS #1 RSAPublicKey, without leading zeros.
fn rsa_numbers(der: &[u8]) -> (&[u8], &[u8]) {
    let (inner, _) = element(der);
    let (n, rest) = element(inner);
    let (e, _) = element(rest);
    (strip(n), strip(e))
}

/// Content of the first DER element, and what follows it.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, start) = match der[1] {
        short if short < 0x80 => (usize::from(short), 2),
        long => {
            let count = usize::from(long & 0x7f);
            let length = der[2..2 + count]
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            (length, 2 + count)
        }
    };
    der[start..].split_at(length)
}

fn strip(number: &[u8]) -> &[u8] {
    number.strip_prefix(&[0]).unwrap_or(number)
}
