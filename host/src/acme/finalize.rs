//! Finalizing an order with a CSR (RFC 8555 §7.4).

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use certdock_plugin_api::{Protocol, Requester};
use serde::Deserialize;

use crate::acme::Acme;
use crate::acme::jwk::Verifier;
use crate::acme::order::Shown;
use crate::acme::problem::{Problem, ProblemType};
use crate::acme::request::{Resource, Signed};
use crate::acme::urls::path;
use crate::ids::OrderId;
use crate::issuance::{CertificateRequest, Outcome, Refusal};
use crate::observe::audit;
use crate::order::{Order, OrderStatus, Progress};
use crate::store::Account;
use crate::time::UnixTime;
use crate::x509::Csr;

/// Bytes of a CSR: a hundred names of full length and an RSA key of 4096 bits need 27 KiB.
const LONGEST_CSR: usize = 32 * 1024;

pub(super) fn routes() -> Router<Acme> {
    Router::new().route(path::FINALIZE, post(finalize))
}

#[derive(Debug, Deserialize)]
struct Finalize {
    csr: String,
}

async fn finalize(
    State(acme): State<Acme>,
    Resource(id): Resource<OrderId>,
    request: Signed<Finalize>,
) -> Result<Response, Problem> {
    let Signed {
        account,
        payload,
        request_id,
    } = request;
    let (order, authorizations) = acme.order_of(&account, id).await?;
    let now = UnixTime::now();
    match order.status(&authorizations, now) {
        OrderStatus::Ready => {}
        OrderStatus::Processing | OrderStatus::Valid => {
            return again(&acme, &account, id, &decode(&payload.csr)?).await;
        }
        status @ (OrderStatus::Pending | OrderStatus::Invalid) => return Err(not_ready(status)),
    }

    let csr = decode(&payload.csr)?;
    let outcome = async {
        let checked = read(&csr, &account)?;
        let wanted = CertificateRequest {
            checked: Some(checked),
            ..request_for(&acme, &account, &order, csr.clone(), request_id.as_str())
        };
        let wait = acme.config.finalize_wait;
        acme.issuance.enroll_within(wanted, wait).await
    };
    let outcome = outcome.await.inspect_err(|refusal| {
        if let Refusal::BadCsr(reason) = refusal {
            audit::enrollment_refused(
                &acme.name,
                &acme.config.handler,
                reason,
                request_id.as_str(),
            );
        }
    })?;
    let shown = match outcome {
        Outcome::Issued(certificate) => Shown::valid(&order, certificate.id),
        Outcome::Processing { retry_after } => Shown::processing(&order, retry_after),
        Outcome::Failed(failure) => Shown::invalid(&order, &failure),
        Outcome::Superseded => return again(&acme, &account, id, &csr).await,
    };
    Ok(shown.response(&acme))
}

/// base64url of the DER, without padding (RFC 8555 §7.4).
fn decode(csr: &str) -> Result<Vec<u8>, Problem> {
    let bad = |detail: &str| Problem::new(ProblemType::BadCsr, detail);
    if csr.len() / 4 * 3 > LONGEST_CSR {
        return Err(bad("the CSR is longer than this server takes"));
    }
    URL_SAFE_NO_PAD
        .decode(csr)
        .map_err(|_| bad("the CSR is not base64url of DER without padding"))
}

/// A server that loses its certificate's key must not lose its ACME account with it.
fn read(csr: &[u8], account: &Account) -> Result<Csr, Refusal> {
    let csr = Csr::parse(csr).map_err(|error| Refusal::BadCsr(error.to_string()))?;
    let key = Verifier::from_canonical(&account.key.jwk);
    if key.is_ok_and(|key| key.is_key_of(&csr.public_key)) {
        let reason = "the CSR has the account's own key; make a key for the certificate alone";
        return Err(Refusal::BadCsr(reason.to_owned()));
    }
    Ok(csr)
}

fn request_for(
    acme: &Acme,
    account: &Account,
    order: &Order,
    csr: Vec<u8>,
    request_id: &str,
) -> CertificateRequest {
    CertificateRequest {
        order: Some(order.id),
        repeatable: None,
        handler: acme.config.handler.clone(),
        profile: acme.config.profile.clone(),
        protocol: Protocol::Acme,
        endpoint: acme.name.clone(),
        requester: Requester::AcmeAccount {
            account: account.id.to_string(),
            eab_key_id: account.external_key.clone(),
        },
        csr,
        checked: None,
        identifiers: order.identifiers.iter().cloned().map(Into::into).collect(),
        not_before: order.not_before,
        not_after: order.not_after,
        request_id: request_id.to_owned(),
    }
}

/// An order that was finalized before: with the same CSR it is answered as it is, since there are
/// clients that poll by finalizing.
async fn again(
    acme: &Acme,
    account: &Account,
    id: OrderId,
    csr: &[u8],
) -> Result<Response, Problem> {
    let (order, authorizations) = acme.order_of(account, id).await?;
    let mut shown = Shown::of(&order, &authorizations, UnixTime::now());
    let enrollment = match order.progress {
        Progress::Processing { enrollment } | Progress::Valid { enrollment, .. } => enrollment,
        Progress::Invalid {
            enrollment: Some(enrollment),
            ..
        } => enrollment,
        Progress::Open
        | Progress::Invalid {
            enrollment: None, ..
        } => return Err(not_ready(shown.status)),
    };
    let before = acme.store.enrollment(enrollment).await?;
    match before {
        Some(before) if before.csr == csr => {
            shown.come_back(acme.issuance.news_of(&before));
            Ok(shown.response(acme))
        }
        _ => Err(not_ready(shown.status)),
    }
}

fn not_ready(status: OrderStatus) -> Problem {
    Problem::new(
        ProblemType::OrderNotReady,
        format!("the order is {}, not ready", status.as_str()),
    )
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::BadCsr(detail) => Self::new(ProblemType::BadCsr, detail),
            Refusal::Unavailable { retry_after } => Self::unavailable(retry_after),
            Refusal::Busy { retry_after } => Self::busy(retry_after),
            Refusal::Store(error) => error.into(),
        }
    }
}
