//! [`Jwk`]: an account's public key as a client sends it (RFC 7517, RFC 7518 §6, RFC 8037 §2), and
//! [`Verifier`], the same key ready to check signatures.

use std::borrow::Cow;
use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::json;

use super::jws::{Algorithm, Present, Text};
use crate::store::{AccountKey, Thumbprint};

/// Why a key can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    #[error("the JWK is not a JSON object with text members")]
    NotAnObject,
    #[error("the JWK holds private key material; treat that key as compromised")]
    Private,
    #[error("the JWK's 'kty' or 'crv' is not supported; use RSA, P-256, P-384, P-521 or Ed25519")]
    Unsupported,
    #[error("the JWK lacks the member '{0}'")]
    Missing(&'static str),
    #[error("the JWK's member '{0}' is not base64url of the right length")]
    Encoding(&'static str),
    #[error("the JWK's 'alg' or 'use' does not allow this signature")]
    Use,
    #[error("the RSA key's modulus must have 2048 to 4096 bits")]
    ModulusSize,
    #[error("the RSA key's public exponent must be odd, from 65537, and below 2^32")]
    Exponent,
    #[error("the JWK is not a point on its curve or not a possible key")]
    NotAKey,
}

/// A public key that may be an account's.
#[derive(Clone, Debug)]
pub struct Jwk {
    /// Its canonical form and thumbprint (RFC 7638).
    pub key: AccountKey,
    verifier: Verifier,
}

impl Jwk {
    /// Parses the JSON text of a JWK.
    ///
    /// # Errors
    /// If it is not a public key that accounts may have.
    pub fn parse(json: &str) -> Result<Self, BadKey> {
        let members = Members::parse(json)?;
        let verifier = members.verifier()?;
        // base64url without padding or stray bits has one spelling for each value, so the members
        // stand in the canonical form as they came.
        let jwk = members.canonical();
        let mut thumbprint = [0; 32];
        thumbprint.copy_from_slice(digest::digest(&digest::SHA256, jwk.as_bytes()).as_ref());
        Ok(Self {
            key: AccountKey {
                jwk,
                thumbprint: Thumbprint(thumbprint),
            },
            verifier,
        })
    }

    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }
}

/// A public key with the one algorithm it is used with.
#[derive(Clone)]
pub struct Verifier {
    algorithm: Algorithm,
    key: ParsedPublicKey,
}

impl Verifier {
    /// Reads the canonical form of a JWK.
    ///
    /// # Errors
    /// If it is not what [`Jwk::parse`] made.
    pub fn from_canonical(jwk: &str) -> Result<Self, BadKey> {
        Members::parse(jwk)?.verifier()
    }

    /// Whether a certificate with this SubjectPublicKeyInfo (DER) has this key.
    #[must_use]
    pub fn is_key_of(&self, spki: &[u8]) -> bool {
        self.key.as_der().is_ok_and(|der| der.as_ref() == spki)
    }

    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` is this key's over `message`. ECDSA signatures are r and s side by side,
    /// each as long as the curve's order (RFC 7518 §3.4).
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }

    fn parse(
        algorithm: Algorithm,
        by: &'static dyn VerificationAlgorithm,
        bytes: &[u8],
    ) -> Result<Self, BadKey> {
        let key = ParsedPublicKey::new(by, bytes).map_err(|_| BadKey::NotAKey)?;
        Ok(Self { algorithm, key })
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// A JWK's members as they stand in the JSON. Those nobody knows are ignored (RFC 7517 §4).
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    kty: Text<'a>,
    crv: Option<Text<'a>>,
    x: Option<Text<'a>>,
    y: Option<Text<'a>>,
    n: Option<Text<'a>>,
    e: Option<Text<'a>>,
    alg: Option<Text<'a>>,
    #[serde(rename = "use")]
    purpose: Option<Text<'a>>,
    #[serde(default)]
    d: Present,
    #[serde(default)]
    p: Present,
    #[serde(default)]
    q: Present,
    #[serde(default)]
    dp: Present,
    #[serde(default)]
    dq: Present,
    #[serde(default)]
    qi: Present,
    #[serde(default)]
    oth: Present,
    #[serde(default)]
    k: Present,
}

/// A curve for ECDSA: its name, the algorithm it goes with, and the length of a coordinate.
struct Curve {
    name: &'static str,
    algorithm: Algorithm,
    verification: &'static dyn VerificationAlgorithm,
    length: usize,
}

static CURVES: [Curve; 3] = [
    Curve {
        name: "P-256",
        algorithm: Algorithm::Es256,
        verification: &ECDSA_P256_SHA256_FIXED,
        length: 32,
    },
    Curve {
        name: "P-384",
        algorithm: Algorithm::Es384,
        verification: &ECDSA_P384_SHA384_FIXED,
        length: 48,
    },
    Curve {
        name: "P-521",
        algorithm: Algorithm::Es512,
        verification: &ECDSA_P521_SHA512_FIXED,
        length: 66,
    },
];

impl<'a> Members<'a> {
    fn parse(json: &'a str) -> Result<Self, BadKey> {
        // serde would take an array of values in order for an object.
        if !json.starts_with('{') {
            return Err(BadKey::NotAnObject);
        }
        let members: Self = serde_json::from_str(json).map_err(|_| BadKey::NotAnObject)?;
        let private = [
            members.d,
            members.p,
            members.q,
            members.dp,
            members.dq,
            members.qi,
            members.oth,
            members.k,
        ];
        if private.contains(&Present(true)) {
            return Err(BadKey::Private);
        }
        Ok(members)
    }

    fn verifier(&self) -> Result<Verifier, BadKey> {
        let verifier = match (&*self.kty, self.crv.as_deref()) {
            ("RSA", _) => self.rsa()?,
            ("OKP", Some("Ed25519")) => {
                let x = decode("x", self.x.as_ref())?;
                if x.len() != 32 {
                    return Err(BadKey::Encoding("x"));
                }
                Verifier::parse(Algorithm::EdDsa, &ED25519, &x)?
            }
            ("EC", Some(name)) => match CURVES.iter().find(|curve| curve.name == name) {
                Some(curve) => self.point(curve)?,
                None => return Err(BadKey::Unsupported),
            },
            ("EC" | "OKP", None) => return Err(BadKey::Missing("crv")),
            _ => return Err(BadKey::Unsupported),
        };
        let other_algorithm =
            (self.alg.as_deref()).is_some_and(|alg| alg != verifier.algorithm.as_str());
        let other_use = (self.purpose.as_deref()).is_some_and(|purpose| purpose != "sig");
        if other_algorithm || other_use {
            return Err(BadKey::Use);
        }
        Ok(verifier)
    }

    /// RFC 7518 §6.2.1: both coordinates in full length, whatever their leading bits.
    fn point(&self, curve: &Curve) -> Result<Verifier, BadKey> {
        let x = decode("x", self.x.as_ref())?;
        let y = decode("y", self.y.as_ref())?;
        if x.len() != curve.length {
            return Err(BadKey::Encoding("x"));
        }
        if y.len() != curve.length {
            return Err(BadKey::Encoding("y"));
        }
        // SEC 1 §2.3.3, uncompressed. aws-lc checks that the point is on the curve.
        let point = [&[4], x.as_slice(), &y].concat();
        Verifier::parse(curve.algorithm, curve.verification, &point)
    }

    /// RFC 7518 §6.3.1: Base64urlUInt, so no leading zero.
    fn rsa(&self) -> Result<Verifier, BadKey> {
        let n = decode("n", self.n.as_ref())?;
        let e = decode("e", self.e.as_ref())?;
        let Some(&[top, .., last]) = n.get(..) else {
            return Err(BadKey::Encoding("n"));
        };
        if top == 0 {
            return Err(BadKey::Encoding("n"));
        }
        let bits = n.len() * 8 - top.leading_zeros() as usize;
        if !(2048..=4096).contains(&bits) {
            return Err(BadKey::ModulusSize);
        }
        let mut exponent = [0; 4];
        match exponent.len().checked_sub(e.len()) {
            Some(pad) if e.first().is_some_and(|&first| first != 0) => {
                exponent
                    .iter_mut()
                    .skip(pad)
                    .zip(&e)
                    .for_each(|(to, &from)| *to = from);
            }
            _ => return Err(BadKey::Exponent),
        }
        let exponent = u32::from_be_bytes(exponent);
        if exponent < 65_537 || exponent % 2 == 0 {
            return Err(BadKey::Exponent);
        }
        if last % 2 == 0 {
            return Err(BadKey::NotAKey);
        }
        let key = RsaPublicKeyComponents { n, e }
            .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
            .map_err(|_| BadKey::NotAKey)?;
        Ok(Verifier {
            algorithm: Algorithm::Rs256,
            key,
        })
    }

    /// RFC 7638 §3.2, RFC 8037 §2: the required members in lexicographic order, without spaces.
    fn canonical(&self) -> String {
        let text = |member: &Option<Text<'a>>| member.as_deref().unwrap_or_default().to_owned();
        // serde_json's object is a sorted map.
        let canonical = match &*self.kty {
            "RSA" => json!({ "e": text(&self.e), "kty": "RSA", "n": text(&self.n) }),
            "OKP" => json!({ "crv": text(&self.crv), "kty": "OKP", "x": text(&self.x) }),
            kty => json!({
                "crv": text(&self.crv),
                "kty": kty,
                "x": text(&self.x),
                "y": text(&self.y),
            }),
        };
        canonical.to_string()
    }
}

fn decode(name: &'static str, member: Option<&Text<'_>>) -> Result<Vec<u8>, BadKey> {
    let text: &Cow<'_, str> = &member.ok_or(BadKey::Missing(name))?.0;
    URL_SAFE_NO_PAD
        .decode(text.as_ref())
        .map_err(|_| BadKey::Encoding(name))
}

#[cfg(test)]
mod tests;
