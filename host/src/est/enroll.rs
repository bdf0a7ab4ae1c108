//! What all enrolling operations have in common: who asks, for what, and what came of it.

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use certdock_plugin_api::Protocol;
use http::{StatusCode, header};
use std::time::Duration;

use crate::est::answer::{self, Form};
use crate::est::auth::{self, Client};
use crate::est::cms::certs_only;
use crate::est::label::Label;
use crate::est::status::{Refusal, retry_after};
use crate::est::{Operation, body};
use crate::issuance::{CertificateRequest, Outcome};
use crate::observe::audit;
use crate::request_id::RequestId;
use crate::store::Certificate;
use crate::x509::{CertName, Csr};

/// What an enrollment has come to.
pub(super) enum Enrolled {
    Issued(Box<Certificate>),
    Pending { retry_after: Duration },
}

/// An authenticated request for a certificate, its CSR read and found decent.
pub(super) struct Asked {
    pub(super) client: Client,
    /// DER
    pub(super) der: Vec<u8>,
    pub(super) csr: Csr,
}

/// simpleenroll and simplereenroll: a CSR in, a certificate out (RFC 7030 §4.2).
pub(super) async fn simple(
    label: &Label,
    operation: Operation,
    form: Form,
    id: &RequestId,
    request: Request,
) -> Result<Response, Refusal> {
    let asked = read(label, id, request).await?;
    match enroll(label, operation, id, asked).await? {
        Enrolled::Issued(certificate) => issued(&certificate, form),
        Enrolled::Pending { retry_after } => Ok(pending(retry_after)),
    }
}

/// Authenticates, then reads the CSR. The body is taken first, since a connection on which a body
/// was left unread can't be used again.
pub(super) async fn read(
    label: &Label,
    id: &RequestId,
    request: Request,
) -> Result<Asked, Refusal> {
    let (parts, body) = request.into_parts();
    let body = body::read(body).await?;
    let client = auth::authenticate(label, &parts).await?;
    body::check_type(&parts.headers, body::PKCS10)?;
    let der = body::decode(&body)?;
    let csr = Csr::parse(&der).map_err(|error| refused(label, id, error.to_string()))?;
    Ok(Asked { client, der, csr })
}

/// Asks for the certificate and waits a short while for it.
pub(super) async fn enroll(
    label: &Label,
    operation: Operation,
    id: &RequestId,
    asked: Asked,
) -> Result<Enrolled, Refusal> {
    let Asked { client, der, csr } = asked;
    let names = auth::authorise(label, &client, &csr, operation)
        .await
        .inspect_err(|refusal| note(label, id, &refusal.reason))?;
    let request = certificate_request(label, &client, id, der, csr, names);
    let outcome = label.issuance.enroll(request).await.map_err(|refusal| {
        let refusal = Refusal::from(refusal);
        if refusal.status == StatusCode::BAD_REQUEST {
            note(label, id, &refusal.reason);
        }
        refusal
    })?;
    match outcome {
        Outcome::Issued(certificate) => match label.store.certificate(certificate).await? {
            Some(certificate) => Ok(Enrolled::Issued(Box::new(certificate))),
            None => Err(Refusal::internal(&"a certificate just issued is gone")),
        },
        Outcome::Processing { retry_after } => Ok(Enrolled::Pending { retry_after }),
        Outcome::Failed(failure) => Err(Refusal::from(&failure)),
        Outcome::Superseded => Err(Refusal::internal(&"an enrollment was superseded")),
    }
}

fn certificate_request(
    label: &Label,
    client: &Client,
    id: &RequestId,
    der: Vec<u8>,
    csr: Csr,
    identifiers: Vec<CertName>,
) -> CertificateRequest {
    CertificateRequest {
        order: None,
        handler: label.config.handler.clone(),
        profile: label.config.profile.clone(),
        protocol: Protocol::Est,
        endpoint: label.name.clone(),
        requester: client.requester(),
        csr: der,
        checked: Some(csr),
        identifiers,
        not_before: None,
        not_after: None,
        request_id: id.as_str().to_owned(),
    }
}

/// Nothing is stored of a request that is refused; the audit log has it.
fn refused(label: &Label, id: &RequestId, reason: String) -> Refusal {
    note(label, id, &reason);
    Refusal::malformed(reason)
}

fn note(label: &Label, id: &RequestId, reason: &str) {
    audit::enrollment_refused(&label.name, &label.config.handler, reason, id.as_str());
}

/// The certificate alone (RFC 7030 §4.2.3).
fn issued(certificate: &Certificate, form: Form) -> Result<Response, Refusal> {
    let message = certs_only(std::slice::from_ref(&certificate.der))
        .map_err(|error| Refusal::internal(&error))?;
    Ok(answer::encoded(answer::CERTS_ONLY, form, &message))
}

/// RFC 7030 §4.2.3: the client repeats the same request after this while.
pub(super) fn pending(wait: Duration) -> Response {
    (
        StatusCode::ACCEPTED,
        [(header::RETRY_AFTER, retry_after(wait))],
        "the CA takes its time; repeat the same request later\n",
    )
        .into_response()
}
