//! Extractors of authenticated requests (RFC 8555 §6.2 to §6.5): [`Signed`], [`Fetch`],
//! [`SignedOrFetch`], [`SignedBy`], and [`Resource`] for ids in a path.
//!
//! What is cheap is checked first. A nonce is looked at before the signature, which is dear, and
//! used up after it: only who can sign makes the server remember anything, and a request that was
//! signed can't be sent again, whatever became of it.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, OriginalUri, Path, Request};
use axum::http::request::Parts;
use bytes::Bytes;
use http::{StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use serde::de::DeserializeOwned;

use super::Acme;
use super::jwk::{BadKey, Jwk, Verifier};
use super::jws::{BadJws, Flattened, Header, KeyReference, is_object};
use super::problem::{Problem, ProblemType};
use crate::request_id::RequestId;
use crate::server::is_too_long;
use crate::store::{Account, AccountStatus};

/// Bytes of a request's body.
pub const BODY_LIMIT: usize = 64 * 1024;

/// A request of an account, with a JSON object as payload.
#[derive(Debug)]
pub struct Signed<P> {
    pub account: Account,
    pub payload: P,
    pub request_id: RequestId,
}

/// POST-as-GET (RFC 8555 §6.3): a request of an account, with no payload.
#[derive(Debug)]
pub struct Fetch {
    pub account: Account,
    pub request_id: RequestId,
}

/// A request of an account to a resource that can be read and acted on: no payload, or an object.
#[derive(Debug)]
pub struct SignedOrFetch<P> {
    pub account: Account,
    pub payload: Option<P>,
    pub request_id: RequestId,
}

/// A request signed by an account or by a key that the request brings along.
#[derive(Debug)]
pub struct SignedBy<P> {
    pub signer: Signer,
    pub payload: P,
    pub request_id: RequestId,
}

#[derive(Debug)]
pub enum Signer {
    Account(Account),
    Key(Jwk),
}

/// What stands in a path in place of `{…}`; what is not an id is answered as an unknown one.
#[derive(Clone, Copy, Debug)]
pub struct Resource<T>(pub T);

impl<P: DeserializeOwned> FromRequest<Acme> for Signed<P> {
    type Rejection = Problem;

    async fn from_request(request: Request, acme: &Acme) -> Result<Self, Problem> {
        let (account, rest) = by_account(request, acme).await?;
        Ok(Self {
            account,
            payload: object(&rest.payload)?,
            request_id: rest.request_id,
        })
    }
}

impl FromRequest<Acme> for Fetch {
    type Rejection = Problem;

    async fn from_request(request: Request, acme: &Acme) -> Result<Self, Problem> {
        let (account, rest) = by_account(request, acme).await?;
        if !rest.payload.is_empty() {
            return Err(Problem::malformed(
                "this resource is read by POST-as-GET: the payload must be the empty string",
            ));
        }
        Ok(Self {
            account,
            request_id: rest.request_id,
        })
    }
}

impl<P: DeserializeOwned> FromRequest<Acme> for SignedOrFetch<P> {
    type Rejection = Problem;

    async fn from_request(request: Request, acme: &Acme) -> Result<Self, Problem> {
        let (account, rest) = by_account(request, acme).await?;
        let payload = match rest.payload.as_slice() {
            [] => None,
            json => Some(object(json)?),
        };
        Ok(Self {
            account,
            payload,
            request_id: rest.request_id,
        })
    }
}

impl<P: DeserializeOwned> FromRequest<Acme> for SignedBy<P> {
    type Rejection = Problem;

    async fn from_request(request: Request, acme: &Acme) -> Result<Self, Problem> {
        let (signer, rest) = authenticate(request, acme, Keys::Any).await?;
        Ok(Self {
            signer,
            payload: object(&rest.payload)?,
            request_id: rest.request_id,
        })
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Resource<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(ids)) => Ok(Self(ids)),
            Err(_) => Err(Problem::not_found()),
        }
    }
}

/// Whose signatures a resource takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    Accounts,
    Any,
}

struct Rest {
    payload: Vec<u8>,
    request_id: RequestId,
}

async fn by_account(request: Request, acme: &Acme) -> Result<(Account, Rest), Problem> {
    match authenticate(request, acme, Keys::Accounts).await? {
        (Signer::Account(account), rest) => Ok((account, rest)),
        (Signer::Key(_), _) => Err(needs_kid()),
    }
}

async fn authenticate(
    request: Request,
    acme: &Acme,
    keys: Keys,
) -> Result<(Signer, Rest), Problem> {
    let (parts, body) = request.into_parts();
    check_head(&parts)?;
    let body = read(body).await?;
    let jws = Flattened::parse(&body)?;
    let protected = jws.protected()?;
    let header = Header::parse(&protected)?;
    header.allow_algorithm()?;
    let key = header.key()?;
    check_url(&parts, acme, header.url()?)?;
    let nonce = acme.nonces.open(header.nonce()?).ok_or_else(bad_nonce)?;

    let (signer, verifier);
    match key {
        KeyReference::Jwk(_) if keys == Keys::Accounts => return Err(needs_kid()),
        KeyReference::Jwk(jwk) => {
            let jwk = Jwk::parse(jwk)?;
            verifier = jwk.verifier().clone();
            signer = Signer::Key(jwk);
        }
        KeyReference::Kid(kid) => {
            let account = account(acme, kid).await?;
            verifier = Verifier::from_canonical(&account.key.jwk)
                .map_err(|error| Problem::internal(&error))?;
            signer = Signer::Account(account);
        }
    }
    jws.verify(&header, &verifier)?;
    if !acme.nonces.redeem(nonce) {
        return Err(bad_nonce());
    }
    if let Signer::Account(account) = &signer {
        check_status(account)?;
    }

    let payload = jws.payload()?;
    let request_id =
        (parts.extensions.get::<RequestId>().cloned()).unwrap_or_else(RequestId::random);
    Ok((
        signer,
        Rest {
            payload,
            request_id,
        },
    ))
}

/// RFC 8555 §6.2: the media type, else 415. A body that says it is too long is not read at all.
fn check_head(parts: &Parts) -> Result<(), Problem> {
    let text = |name| {
        parts
            .headers
            .get(name)
            .and_then(|value: &http::HeaderValue| value.to_str().ok())
    };
    let media_type = text(header::CONTENT_TYPE).and_then(|value| value.split(';').next());
    if !media_type.is_some_and(|it| it.trim().eq_ignore_ascii_case("application/jose+json")) {
        return Err(
            Problem::malformed("the content type must be application/jose+json")
                .status(StatusCode::UNSUPPORTED_MEDIA_TYPE),
        );
    }
    let length = text(header::CONTENT_LENGTH).and_then(|value| value.parse().ok());
    if length.is_some_and(|length: usize| length > BODY_LIMIT) {
        return Err(too_large());
    }
    Ok(())
}

/// The body in one piece; without a copy if it came in one.
async fn read(body: Body) -> Result<Bytes, Problem> {
    match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if is_too_long(error.as_ref()) => Err(too_large()),
        Err(_) => Err(Problem::malformed("the request's body broke off")),
    }
}

/// RFC 8555 §6.4: `url` is the request's own, byte by byte.
fn check_url(parts: &Parts, acme: &Acme, url: &str) -> Result<(), Problem> {
    let uri = match parts.extensions.get::<OriginalUri>() {
        Some(OriginalUri(uri)) => uri,
        None => &parts.uri,
    };
    let requested = uri.path_and_query().map_or("/", |path| path.as_str());
    if acme.urls.is_requested(url, requested) {
        Ok(())
    } else {
        Err(Problem::unauthorized(format!(
            "the JWS was signed for another 'url'; this one is {}",
            acme.urls.requested(requested)
        )))
    }
}

/// RFC 8555 §6.2: `kid` is the account's URL.
async fn account(acme: &Acme, kid: &str) -> Result<Account, Problem> {
    let account = match acme.urls.account_id(kid) {
        Some(id) => acme.store.account(id).await?,
        None => None,
    };
    account
        .filter(|account| account.endpoint == acme.name)
        .ok_or_else(|| {
            Problem::new(
                ProblemType::AccountDoesNotExist,
                "the JWS's 'kid' is not the URL of an account here",
            )
        })
}

/// RFC 8555 §7.3.6: 401, the only place where the RFC asks for it.
pub(super) fn check_status(account: &Account) -> Result<(), Problem> {
    let detail = match account.status {
        AccountStatus::Valid => return Ok(()),
        AccountStatus::Deactivated => "the account is deactivated",
        AccountStatus::Revoked => "the account is revoked",
    };
    Err(Problem::unauthorized(detail).status(StatusCode::UNAUTHORIZED))
}

fn object<P: DeserializeOwned>(json: &[u8]) -> Result<P, Problem> {
    if !is_object(json) {
        return Err(Problem::malformed("the payload must be a JSON object"));
    }
    serde_json::from_slice(json)
        .map_err(|error| Problem::malformed(format!("the payload is not as it should be: {error}")))
}

fn bad_nonce() -> Problem {
    Problem::new(
        ProblemType::BadNonce,
        "the JWS's 'nonce' was used before or is too old; try again with the one of this answer",
    )
}

fn needs_kid() -> Problem {
    Problem::malformed("this resource takes requests of accounts: use 'kid', not 'jwk'")
}

fn too_large() -> Problem {
    Problem::malformed(format!(
        "a request's body may have {BODY_LIMIT} bytes at most"
    ))
    .status(StatusCode::PAYLOAD_TOO_LARGE)
}

impl From<BadKey> for Problem {
    fn from(error: BadKey) -> Self {
        let kind = match error {
            BadKey::NotAnObject => ProblemType::Malformed,
            _ => ProblemType::BadPublicKey,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<BadJws> for Problem {
    fn from(error: BadJws) -> Self {
        match error {
            BadJws::Key(error) => error.into(),
            BadJws::Algorithm(algorithms) => {
                let mut problem = Self::new(ProblemType::BadSignatureAlgorithm, error.to_string());
                problem.algorithms = Some(algorithms);
                problem
            }
            error => Self::malformed(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
