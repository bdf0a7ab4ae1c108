//! Revoking a certificate (RFC 8555 §7.6).

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use certdock_plugin_api::RevocationReason;
use http::StatusCode;
use serde::Deserialize;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::acme::Acme;
use crate::acme::authorization::covering;
use crate::acme::problem::{Problem, ProblemType};
use crate::acme::request::{SignedBy, Signer};
use crate::acme::urls::path;
use crate::issuance::RevocationError;
use crate::order::Identifier;
use crate::store::{Account, Certificate};
use crate::time::UnixTime;

pub(super) fn routes() -> Router<Acme> {
    Router::new().route(path::REVOKE_CERT, post(revoke))
}

#[derive(Debug, Deserialize)]
struct Revoke {
    certificate: String,
    reason: Option<i64>,
}

async fn revoke(
    State(acme): State<Acme>,
    request: SignedBy<Revoke>,
) -> Result<StatusCode, Problem> {
    let SignedBy {
        signer,
        payload,
        request_id,
    } = request;
    let reason = reason(payload.reason)?;
    let der = URL_SAFE_NO_PAD
        .decode(&payload.certificate)
        .map_err(|_| Problem::malformed("the certificate is not base64url of DER"))?;
    let certificate = find(&acme, &der).await?;
    if !may_revoke(&acme, &signer, &certificate).await? {
        return Err(Problem::unauthorized(
            "the signer neither ordered the certificate, nor has its key, nor authorizations for all \
             its names",
        ));
    }
    acme.issuance
        .revoke(
            &certificate,
            reason,
            request_id.as_str(),
            acme.config.revocation,
        )
        .await?;
    Ok(StatusCode::OK)
}

/// RFC 5280 §5.3.1: what a subscriber can know. The others are about the CA's own keys (2, 10), or make
/// sense in a delta CRL alone (8), or would promise that the certificate may come back (6).
fn reason(code: Option<i64>) -> Result<RevocationReason, Problem> {
    match code.unwrap_or(0) {
        0 => Ok(RevocationReason::Unspecified),
        1 => Ok(RevocationReason::KeyCompromise),
        3 => Ok(RevocationReason::AffiliationChanged),
        4 => Ok(RevocationReason::Superseded),
        5 => Ok(RevocationReason::CessationOfOperation),
        9 => Ok(RevocationReason::PrivilegeWithdrawn),
        _ => Err(Problem::new(
            ProblemType::BadRevocationReason,
            "a client may give the reasons 0, 1, 3, 4, 5 and 9",
        )),
    }
}

/// The certificate as this endpoint delivered it, byte for byte.
async fn find(acme: &Acme, der: &[u8]) -> Result<Certificate, Problem> {
    let mut fingerprint = [0; 32];
    fingerprint
        .copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der).as_ref());
    acme.store
        .certificate_by_fingerprint(&fingerprint)
        .await?
        .filter(|found| found.endpoint == acme.name && !found.withheld)
        .ok_or_else(|| {
            Problem::malformed("this endpoint did not issue the certificate")
                .status(StatusCode::NOT_FOUND)
        })
}

async fn may_revoke(
    acme: &Acme,
    signer: &Signer,
    certificate: &Certificate,
) -> Result<bool, Problem> {
    match signer {
        // The key itself is compared, as the certificate has it.
        Signer::Key(key) => Ok(X509Certificate::from_der(&certificate.der)
            .is_ok_and(|(_, certificate)| key.verifier().is_key_of(certificate.public_key().raw))),
        Signer::Account(account) if certificate.account == Some(account.id) => Ok(true),
        Signer::Account(account) => speaks_for_all_names(acme, account, certificate).await,
    }
}

/// Whether the account holds a valid authorization for each name: for a wildcard that of the wildcard.
async fn speaks_for_all_names(
    acme: &Acme,
    account: &Account,
    certificate: &Certificate,
) -> Result<bool, Problem> {
    let identifiers: Result<Vec<Identifier>, _> =
        certificate.names.iter().map(|name| name.parse()).collect();
    let Ok(identifiers) = identifiers else {
        return Ok(false);
    };
    let mut names: Vec<_> = identifiers.iter().map(|each| each.name.clone()).collect();
    names.sort();
    names.dedup();
    let valid = acme
        .store
        .valid_authorizations(account.id, &names, UnixTime::now())
        .await?;
    let covered =
        |identifier: &Identifier| covering(&valid, &account.endpoint, identifier).is_some();
    Ok(!identifiers.is_empty() && identifiers.iter().all(covered))
}

impl From<RevocationError> for Problem {
    fn from(error: RevocationError) -> Self {
        match error {
            RevocationError::AlreadyRevoked => {
                Self::new(ProblemType::AlreadyRevoked, error.to_string())
            }
            RevocationError::Unavailable { retry_after } => Self::unavailable(retry_after),
            RevocationError::Unsupported => {
                Self::new(ProblemType::ServerInternal, error.to_string())
                    .status(StatusCode::NOT_IMPLEMENTED)
            }
            RevocationError::Refused(detail) => Self::unauthorized(detail),
            RevocationError::Store(error) => error.into(),
        }
    }
}
