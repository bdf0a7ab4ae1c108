//! External account binding (RFC 8555 §7.3.4): a MAC by a key that the operator gave out, over the
//! public key of the account to be made.

use aws_lc_rs::hmac;
use serde_json::value::RawValue;

use super::Acme;
use super::jwk::Jwk;
use super::jws::{BadJws, Flattened, Header, KeyReference};
use super::problem::{Problem, ProblemType};
use crate::config::EabPolicy;

/// RFC 8555 §7.3.4: a MAC, whose key must not be guessed.
const ALGORITHMS: &[&str] = &["HS256", "HS384", "HS512"];

/// A binding that verified.
pub(super) struct Binding {
    pub(super) key_id: String,
    /// As the client sent it.
    pub(super) jws: String,
}

/// Checks the binding that came with a newAccount request signed by `account_key`.
pub(super) async fn check(
    acme: &Acme,
    binding: Option<&RawValue>,
    account_key: &Jwk,
) -> Result<Option<Binding>, Problem> {
    match (acme.config.eab, binding) {
        (EabPolicy::Required, None) => Err(Problem::new(
            ProblemType::ExternalAccountRequired,
            "this endpoint takes accounts with an external account binding only; ask its operator for a key",
        )),
        // RFC 8555 §7.3.4: a binding that is not verified is not echoed either.
        (EabPolicy::Off, _) | (EabPolicy::Optional, None) => Ok(None),
        (EabPolicy::Optional | EabPolicy::Required, Some(binding)) => {
            verify(acme, binding.get(), account_key).await.map(Some)
        }
    }
}

async fn verify(acme: &Acme, json: &str, account_key: &Jwk) -> Result<Binding, Problem> {
    let jws = Flattened::parse(json.as_bytes())?;
    let protected = jws.protected()?;
    let header = Header::parse(&protected)?;
    let algorithm = match &*header.alg {
        "HS256" => hmac::HMAC_SHA256,
        "HS384" => hmac::HMAC_SHA384,
        "HS512" => hmac::HMAC_SHA512,
        _ => return Err(BadJws::Algorithm(ALGORITHMS).into()),
    };
    header.no_nonce()?;
    let KeyReference::Kid(key_id) = header.key()? else {
        return Err(BadJws::Missing("kid").into());
    };
    if header.url()? != acme.urls.new_account() {
        return Err(Problem::malformed(
            "the external account binding was made for another 'url'",
        ));
    }
    let payload = jws.payload()?;
    let bound = std::str::from_utf8(&payload)
        .ok()
        .and_then(|jwk| Jwk::parse(jwk).ok());
    if bound.is_none_or(|bound| bound.key != account_key.key) {
        return Err(Problem::malformed(
            "the external account binding's payload is not the key that signed the request",
        ));
    }

    let key = (acme.store.external_key(&acme.name, key_id).await?)
        .filter(|key| key.revoked.is_none())
        .ok_or_else(refused)?;
    let mac = hmac::Key::new(algorithm, &key.secret);
    // Compares in constant time.
    hmac::verify(&mac, &jws.signing_input(), &jws.signature()?).map_err(|_| refused())?;
    Ok(Binding {
        key_id: key.id,
        jws: json.to_owned(),
    })
}

/// Says the same of an unknown key, a revoked one and a wrong MAC.
pub(super) fn refused() -> Problem {
    Problem::unauthorized(
        "the external account binding does not verify with a key of this endpoint",
    )
}

#[cfg(test)]
mod tests;
