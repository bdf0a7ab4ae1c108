//! Downloading a certificate (RFC 8555 §7.4.2).

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use http::header;
use pem::{EncodeConfig, LineEnding, Pem};

use crate::acme::Acme;
use crate::acme::headers::add_link;
use crate::acme::problem::Problem;
use crate::acme::request::{Fetch, Resource};
use crate::acme::urls::path;
use crate::ids::CertificateId;
use crate::store::Certificate;

pub(super) fn routes() -> Router<Acme> {
    Router::new()
        .route(path::CERTIFICATE, post(default))
        .route(path::ALTERNATE, post(alternate))
}

async fn default(
    State(acme): State<Acme>,
    Resource(id): Resource<CertificateId>,
    request: Fetch,
) -> Result<Response, Problem> {
    let certificate = acme.certificate_of(&request.account, id).await?;
    deliver(&acme, &certificate, None)
}

async fn alternate(
    State(acme): State<Acme>,
    Resource((id, alternate)): Resource<(CertificateId, usize)>,
    request: Fetch,
) -> Result<Response, Problem> {
    let certificate = acme.certificate_of(&request.account, id).await?;
    deliver(&acme, &certificate, Some(alternate))
}

/// Sends one chain, with links to the others. There is one format only, so Accept has no say.
fn deliver(
    acme: &Acme,
    certificate: &Certificate,
    alternate: Option<usize>,
) -> Result<Response, Problem> {
    let issuers = match alternate {
        None => Some(&certificate.issuers),
        Some(n) => certificate.alternates.get(n),
    };
    let issuers = issuers.ok_or_else(Problem::not_found)?;
    let mut response = (
        [(header::CONTENT_TYPE, "application/pem-certificate-chain")],
        pem_chain(&certificate.der, issuers),
    )
        .into_response();

    let mut link = |url: String| add_link(&mut response, &url, "alternate");
    if alternate.is_some() {
        link(acme.urls.certificate(certificate.id));
    }
    for n in 0..certificate.alternates.len() {
        if alternate != Some(n) {
            link(acme.urls.alternate(certificate.id, n));
        }
    }
    Ok(response)
}

/// RFC 8555 §9.1: the end-entity certificate first, strict PEM (RFC 7468 §3) and nothing else.
fn pem_chain(leaf: &[u8], issuers: &[Vec<u8>]) -> String {
    let lines = EncodeConfig::new().set_line_ending(LineEnding::LF);
    std::iter::once(leaf)
        .chain(issuers.iter().map(Vec::as_slice))
        .map(|der| pem::encode_config(&Pem::new("CERTIFICATE", der), lines))
        .collect()
}
