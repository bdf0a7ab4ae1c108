//! Certificates that handlers returned.

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};

use super::error::Error;
use super::page::Paging;
use super::views::REASONS;
use super::{Admin, views};
use crate::config::RevocationPolicy;
use crate::ids::CertificateId;
use crate::issuance::RevocationError;
use crate::request_id::RequestId;
use crate::store;
use crate::time::UnixTime;

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/certificates", get(list))
        .route("/certificates/{id}", get(show))
        .route("/certificates/{id}/revoke", post(revoke))
}

async fn list(
    State(admin): State<Admin>,
    paging: Result<Query<Paging>, QueryRejection>,
) -> Result<Json<views::Page<views::Certificate>>, Error> {
    let Query(paging) = paging?;
    let records = (admin.store.certificates(paging.after()?, paging.limit())).await?;
    let now = UnixTime::now();
    let mut items = Vec::with_capacity(records.len());
    for record in &records {
        let open = open_revocation(&admin, record).await?;
        items.push(views::Certificate::new(record, open.as_ref(), now));
    }
    Ok(Json(paging.page(
        &records,
        |record| record.id.to_string(),
        items,
    )))
}

async fn show(
    State(admin): State<Admin>,
    Path(text): Path<String>,
) -> Result<Json<views::Certificate>, Error> {
    let certificate = find(&admin, &text).await?;
    let open = open_revocation(&admin, &certificate).await?;
    Ok(Json(whole(&certificate, open.as_ref())))
}

async fn open_revocation(
    admin: &Admin,
    certificate: &store::Certificate,
) -> Result<Option<store::OpenRevocation>, Error> {
    // One that is revoked has none.
    if certificate.revocation.is_some() {
        return Ok(None);
    }
    Ok(admin.store.open_revocation(certificate.id).await?)
}

async fn revoke(
    State(admin): State<Admin>,
    Path(text): Path<String>,
    request: Result<Json<views::Revoke>, JsonRejection>,
) -> Result<Json<views::Certificate>, Error> {
    let Json(request) = request?;
    let wanted = request.reason.as_str();
    let Some((_, reason)) = REASONS.iter().find(|(name, _)| *name == wanted) else {
        let known: Vec<&str> = REASONS.iter().map(|(name, _)| *name).collect();
        return Err(Error::Invalid(format!(
            "'{wanted}' is not a reason; known are {}",
            known.join(", ")
        )));
    };
    let Some(issuance) = &admin.issuance else {
        return Err(Error::Unavailable(
            "revoking needs the CA's handler, and so the running server: start `certdock serve` first"
                .to_owned(),
        ));
    };
    let certificate = find(&admin, &text).await?;
    let request_id = RequestId::random();
    issuance
        .revoke(
            &certificate,
            *reason,
            request_id.as_str(),
            RevocationPolicy::AtOnce,
        )
        .await
        .map_err(|error| match error {
            RevocationError::Store(error) => Error::Store(error),
            RevocationError::Unavailable { .. } => Error::Unavailable(format!(
                "the handler {} is not in service; see the server's log and try again",
                certificate.handler
            )),
            other => Error::Conflict(other.to_string()),
        })?;
    show(State(admin), Path(text)).await
}

fn whole(
    certificate: &store::Certificate,
    open: Option<&store::OpenRevocation>,
) -> views::Certificate {
    let mut view = views::Certificate::new(certificate, open, UnixTime::now());
    let chain = std::iter::once(&certificate.der).chain(&certificate.issuers);
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    view.pem = Some(
        chain
            .map(|der| pem::encode_config(&pem::Pem::new("CERTIFICATE", der.as_slice()), config))
            .collect(),
    );
    view
}

/// By id, by serial number, or by fingerprint (SHA-256); the latter two in hexadecimal, with or
/// without colons.
async fn find(admin: &Admin, text: &str) -> Result<store::Certificate, Error> {
    if let Ok(id) = text.parse::<CertificateId>()
        && let Some(found) = admin.store.certificate(id).await?
    {
        return Ok(found);
    }
    let found = match unhex(text) {
        Some(bytes) => match <[u8; 32]>::try_from(bytes.as_slice()) {
            Ok(fingerprint) => admin.store.certificate_by_fingerprint(&fingerprint).await?,
            Err(_) => by_serial(admin, &bytes).await?,
        },
        None => None,
    };
    found.ok_or_else(|| {
        Error::NotFound(format!(
            "there is no certificate '{text}'; give an id as `certdock cert list` shows it, a serial \
             number, or a SHA-256 fingerprint"
        ))
    })
}

/// Looks through all certificates: an index would cost every issuance, and only operators ask.
async fn by_serial(admin: &Admin, serial: &[u8]) -> Result<Option<store::Certificate>, Error> {
    const STEP: usize = 200;
    let mut found: Option<store::Certificate> = None;
    let mut after = None;
    loop {
        let some = admin.store.certificates(after, STEP).await?;
        let full = some.len() == STEP;
        after = some.last().map(|certificate| certificate.id);
        for certificate in some {
            if significant(&certificate.serial) != significant(serial) {
                continue;
            }
            match &found {
                // The one that was delivered, should it also have been withheld.
                Some(first) if first.handler == certificate.handler => {
                    if first.withheld {
                        found = Some(certificate);
                    }
                }
                Some(_) => {
                    return Err(Error::Conflict(
                        "certificates of several CAs have this serial number; name one by its id"
                            .to_owned(),
                    ));
                }
                None => found = Some(certificate),
            }
        }
        if !full {
            return Ok(found);
        }
    }
}

/// A number's bytes without leading zeros.
fn significant(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| *c != ':')
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    if digits.is_empty() || digits.len() % 2 == 1 {
        return None;
    }
    let pairs = digits.chunks_exact(2);
    pairs
        .map(|pair| Some(pair.first()? << 4 | pair.last()?))
        .collect()
}
