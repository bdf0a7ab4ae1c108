//! [`Flattened`]: a JWS in flattened JSON serialization, the only form ACME uses (RFC 7515 §7.2.2,
//! RFC 8555 §6.2), and its protected [`Header`].

use std::borrow::Cow;
use std::ops::Deref;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::jwk::{BadKey, Jwk, Verifier};

/// What clients may sign with. No "none", no MAC (RFC 8555 §6.2).
pub const ALGORITHMS: &[&str] = &["RS256", "ES256", "ES384", "ES512", "EdDSA"];

/// A signature algorithm of [`ALGORITHMS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Rs256,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

impl Algorithm {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }

    /// It alone, as the list that a refusal carries.
    fn alone(self) -> &'static [&'static str] {
        match self {
            Self::Rs256 => &["RS256"],
            Self::Es256 => &["ES256"],
            Self::Es384 => &["ES384"],
            Self::Es512 => &["ES512"],
            Self::EdDsa => &["EdDSA"],
        }
    }
}

/// Why a JWS is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadJws {
    #[error(
        "the JWS is not in flattened JSON serialization with 'protected', 'payload' and 'signature' alone: {0}"
    )]
    NotFlattened(String),
    #[error("the JWS's '{0}' is not base64url without padding")]
    Encoding(&'static str),
    #[error("the JWS's protected header is not what ACME asks for: {0}")]
    Header(String),
    #[error("the JWS's protected header must hold '{0}'")]
    Missing(&'static str),
    #[error("the JWS's protected header must not hold '{0}'")]
    Forbidden(&'static str),
    #[error("the JWS's 'alg' is not accepted here")]
    Algorithm(&'static [&'static str]),
    #[error(transparent)]
    Key(#[from] BadKey),
    #[error("the JWS's signature does not verify")]
    Signature,
}

/// The three members, as they stand in the JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flattened<'a> {
    #[serde(borrow)]
    protected: Text<'a>,
    #[serde(borrow)]
    payload: Text<'a>,
    #[serde(borrow)]
    signature: Text<'a>,
}

impl<'a> Flattened<'a> {
    /// Parses a request's body, or the JWS inside another's payload.
    ///
    /// # Errors
    /// If it is anything else, an unprotected header or several signatures included.
    pub fn parse(json: &'a [u8]) -> Result<Self, BadJws> {
        if !is_object(json) {
            return Err(BadJws::NotFlattened("it is not a JSON object".into()));
        }
        serde_json::from_slice(json).map_err(|error| BadJws::NotFlattened(error.to_string()))
    }

    /// The protected header's JSON, for [`Header::parse`].
    ///
    /// # Errors
    /// If it is not base64url.
    pub fn protected(&self) -> Result<Vec<u8>, BadJws> {
        decode("protected", &self.protected)
    }

    /// # Errors
    /// If it is not base64url.
    pub fn payload(&self) -> Result<Vec<u8>, BadJws> {
        decode("payload", &self.payload)
    }

    /// # Errors
    /// If it is not base64url.
    pub fn signature(&self) -> Result<Vec<u8>, BadJws> {
        decode("signature", &self.signature)
    }

    /// What is signed (RFC 7515 §5.2).
    #[must_use]
    pub fn signing_input(&self) -> Vec<u8> {
        [self.protected.as_bytes(), b".", self.payload.as_bytes()].concat()
    }

    /// # Errors
    /// If `header` names another algorithm than the key's, or the signature is not the key's.
    pub fn verify(&self, header: &Header<'_>, key: &Verifier) -> Result<(), BadJws> {
        if *header.alg != *key.algorithm().as_str() {
            return Err(BadJws::Algorithm(key.algorithm().alone()));
        }
        if key.verify(&self.signing_input(), &self.signature()?) {
            Ok(())
        } else {
            Err(BadJws::Signature)
        }
    }
}

/// The protected header. Parameters that nobody knows are ignored (RFC 7515 §4).
#[derive(Debug, Deserialize)]
pub struct Header<'a> {
    #[serde(borrow)]
    pub alg: Text<'a>,
    #[serde(borrow)]
    jwk: Option<&'a RawValue>,
    kid: Option<Text<'a>>,
    url: Option<Text<'a>>,
    nonce: Option<Text<'a>>,
    #[serde(default)]
    crit: Present,
    #[serde(default)]
    b64: Present,
}

/// Who signed, as the header says it (RFC 8555 §6.2: `jwk` or `kid`, never both).
#[derive(Debug)]
pub enum KeyReference<'h> {
    Jwk(&'h str),
    Kid(&'h str),
}

impl<'a> Header<'a> {
    /// Parses what [`Flattened::protected`] gave.
    ///
    /// # Errors
    /// If it is not a JSON object of the right members, or asks for extensions: none is understood
    /// (RFC 7515 §4.1.11, RFC 7797).
    pub fn parse(json: &'a [u8]) -> Result<Self, BadJws> {
        if !is_object(json) {
            return Err(BadJws::Header("it is not a JSON object".into()));
        }
        let header: Self =
            serde_json::from_slice(json).map_err(|error| BadJws::Header(error.to_string()))?;
        if header.crit == Present(true) {
            return Err(BadJws::Forbidden("crit"));
        }
        if header.b64 == Present(true) {
            return Err(BadJws::Forbidden("b64"));
        }
        Ok(header)
    }

    /// # Errors
    /// If the algorithm is none of [`ALGORITHMS`].
    pub fn allow_algorithm(&self) -> Result<(), BadJws> {
        if ALGORITHMS.contains(&&*self.alg) {
            Ok(())
        } else {
            Err(BadJws::Algorithm(ALGORITHMS))
        }
    }

    /// # Errors
    /// If there is no `jwk` and no `kid`, or both.
    pub fn key(&self) -> Result<KeyReference<'_>, BadJws> {
        match (self.jwk, &self.kid) {
            (Some(jwk), None) => Ok(KeyReference::Jwk(jwk.get())),
            (None, Some(kid)) => Ok(KeyReference::Kid(kid)),
            (None, None) => Err(BadJws::Missing("jwk' or 'kid")),
            (Some(_), Some(_)) => Err(BadJws::Forbidden("jwk' beside 'kid")),
        }
    }

    /// # Errors
    /// If there is none.
    pub fn url(&self) -> Result<&str, BadJws> {
        self.url.as_deref().ok_or(BadJws::Missing("url"))
    }

    /// # Errors
    /// If there is none, or it is not base64url (RFC 8555 §6.5.2).
    pub fn nonce(&self) -> Result<&str, BadJws> {
        let nonce = self.nonce.as_deref().ok_or(BadJws::Missing("nonce"))?;
        let base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if nonce.bytes().all(base64url) {
            Ok(nonce)
        } else {
            Err(BadJws::Encoding("nonce"))
        }
    }

    /// # Errors
    /// If there is one: a JWS inside another has none (RFC 8555 §7.3.4, §7.3.5).
    pub fn no_nonce(&self) -> Result<(), BadJws> {
        match self.nonce {
            None => Ok(()),
            Some(_) => Err(BadJws::Forbidden("nonce")),
        }
    }
}

/// The key and payload of a JWS that brings its own key, without a nonce: the inner one of a key
/// change (RFC 8555 §7.3.5). `url` must be the outer one's.
///
/// # Errors
/// If it breaks a rule of §6.2 or does not verify.
pub fn verify_inner(json: &[u8], url: &str) -> Result<(Jwk, Vec<u8>), BadJws> {
    let jws = Flattened::parse(json)?;
    let protected = jws.protected()?;
    let header = Header::parse(&protected)?;
    header.allow_algorithm()?;
    header.no_nonce()?;
    let KeyReference::Jwk(jwk) = header.key()? else {
        return Err(BadJws::Missing("jwk"));
    };
    if header.url()? != url {
        return Err(BadJws::Header(
            "the inner 'url' is not the outer one".into(),
        ));
    }
    let jwk = Jwk::parse(jwk)?;
    jws.verify(&header, jwk.verifier())?;
    let payload = jws.payload()?;
    Ok((jwk, payload))
}

/// Whether JSON text can only be an object. serde takes an array of values in order for one.
#[must_use]
pub fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().first() == Some(&b'{')
}

fn decode(name: &'static str, text: &str) -> Result<Vec<u8>, BadJws> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| BadJws::Encoding(name))
}

/// JSON text that is borrowed unless it holds escapes.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// Whether a member is there, whatever its value; `null` too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Present(pub bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer)?;
        Ok(Self(true))
    }
}

#[cfg(test)]
mod tests;
