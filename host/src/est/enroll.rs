//! What all enrolling operations have in common: who asks, for what, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use certdock_plugin_api::Protocol;
use http::{StatusCode, header};

use crate::est::answer::{self, Form};
use crate::est::auth::{self, Client};
use crate::est::cms::certs_only;
use crate::est::label::Label;
use crate::est::status::{Refusal, retry_after};
use crate::est::{Operation, body, repeats};
use crate::ids::{CertificateId, EnrollmentId};
use crate::issuance::{CertificateRequest, Outcome, Repeatable};
use crate::observe::audit;
use crate::order::Failure;
use crate::request_id::RequestId;
use crate::store::{Certificate, Enrollment, EnrollmentState, RequestKey};
use crate::time::UnixTime;
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
        Enrolled::Issued(certificate) => Ok(issued(&certificate, form)),
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

/// What a client was granted.
pub(super) struct Granted {
    pub(super) names: Vec<CertName>,
    /// By which the request is found again when it is repeated.
    pub(super) key: RequestKey,
    /// Whether the CSR is bound to the connection. That matters to a request that begins something. One
    /// that is repeated as it is (RFC 7030 §4.2.3) comes over another connection as often as not, and
    /// its CSR names the one that it was accepted over, where this was checked. What §3.5 keeps off, a
    /// CSR that somebody else passes on, has another identity in its key and finds nothing.
    bound: Result<(), Refusal>,
    /// What the same request began before, where that is of no use to anybody.
    pub(super) replaces: Option<EnrollmentId>,
}

/// Asks for the certificate and waits a short while for it, or looks what became of the same request
/// made before.
pub(super) async fn enroll(
    label: &Label,
    operation: Operation,
    id: &RequestId,
    asked: Asked,
) -> Result<Enrolled, Refusal> {
    let granted = grant(label, operation, id, &asked).await?;
    if let Some(enrolled) = look_up(label, granted.key).await? {
        return Ok(enrolled);
    }
    if let Some(certificate) = used_up_for(label, &asked).await? {
        return Ok(Enrolled::Issued(certificate));
    }
    let Asked { client, der, csr } = asked;
    let key = granted.key;
    match begin(label, id, &client, granted, der, csr).await? {
        Begun::Ours(enrolled) => Ok(enrolled),
        Begun::Others => look_up(label, key).await?.ok_or_else(Refusal::at_once),
    }
}

/// The names that the client may have, if these are all that it asks for.
pub(super) async fn grant(
    label: &Label,
    operation: Operation,
    id: &RequestId,
    asked: &Asked,
) -> Result<Granted, Refusal> {
    let Asked { client, der, csr } = asked;
    let names = auth::authorise(label, client, csr, operation)
        .await
        .inspect_err(|refusal| note(label, id, &refusal.reason))?;
    Ok(Granted {
        names,
        key: repeats::key(&label.name, client, operation, der),
        bound: auth::check_binding(label, client, csr),
        replaces: None,
    })
}

/// Whether an enrollment may begin: one that the request has not begun before, or one in the place of
/// that.
pub(super) fn may_begin(
    label: &Label,
    id: &RequestId,
    client: &Client,
    granted: &Granted,
) -> Result<(), Refusal> {
    client.may_begin(granted.replaces)?;
    match &granted.bound {
        Err(refusal) if granted.replaces.is_none() => {
            note(label, id, &refusal.reason);
            Err(refusal.clone())
        }
        _ => Ok(()),
    }
}

/// What came of asking.
pub(super) enum Begun {
    Ours(Enrolled),
    /// The same request, or another with the same one-time password, came in at once and was first.
    Others,
}

/// Asks for a certificate for the key in this CSR.
pub(super) async fn begin(
    label: &Label,
    id: &RequestId,
    client: &Client,
    granted: Granted,
    der: Vec<u8>,
    csr: Csr,
) -> Result<Begun, Refusal> {
    may_begin(label, id, client, &granted)?;
    let Granted {
        names,
        key,
        replaces,
        ..
    } = granted;
    let csr = if csr.names() == names {
        csr
    } else {
        // A renewal that changes the names (RFC 6402 §2.8).
        csr.renamed()
            .map_err(|error| refused(label, id, error.to_string()))?
    };
    let request = CertificateRequest {
        repeatable: Some(Repeatable {
            key,
            replaces,
            answered: Arc::clone(&label.answered),
        }),
        ..certificate_request(label, client, id, der, csr, names)
    };
    let outcome = label.issuance.enroll(request).await.map_err(|refusal| {
        let refusal = Refusal::from(refusal);
        if refusal.status == StatusCode::BAD_REQUEST {
            note(label, id, &refusal.reason);
        }
        refusal
    })?;
    match outcome {
        Outcome::Issued(certificate) => {
            label.answered.add(key);
            Ok(Begun::Ours(Enrolled::Issued(certificate)))
        }
        Outcome::Processing { retry_after } => Ok(Begun::Ours(Enrolled::Pending { retry_after })),
        Outcome::Failed(failure) => Err(failed(label, key, &failure)),
        Outcome::Superseded => Ok(Begun::Others),
    }
}

/// When to come back for a certificate that is nearly there.
pub(super) const SHORTLY: Duration = Duration::from_secs(3);

/// A certificate that was not fetched in this time is not delivered any more: whoever asks the same
/// again wants another one.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What became of the same request, if it was made before and not answered yet.
pub(super) async fn look_up(label: &Label, key: RequestKey) -> Result<Option<Enrolled>, Refusal> {
    let Some(enrollment) = unanswered(label, key).await? else {
        return Ok(None);
    };
    match fate(label, &enrollment).await? {
        Fate::Issued(certificate) => {
            label.answered.add(key);
            Ok(Some(Enrolled::Issued(certificate)))
        }
        Fate::Stale => {
            label.answered.add(key);
            Ok(None)
        }
        Fate::Failed(failure) => Err(failed(label, key, &failure)),
        Fate::Pending { retry_after } => Ok(Some(Enrolled::Pending { retry_after })),
    }
}

/// What this request's one-time password was used up for, if that was the same request: its answer may
/// never have arrived, and the client has nothing else to ask with.
async fn used_up_for(label: &Label, asked: &Asked) -> Result<Option<Box<Certificate>>, Refusal> {
    let Some(enrollment) = asked.client.used_by else {
        return Ok(None);
    };
    let enrollment = label.store.enrollment(enrollment).await?;
    let is_same =
        |enrollment: &Enrollment| enrollment.csr == asked.der && enrollment.endpoint == label.name;
    match enrollment.filter(is_same) {
        Some(enrollment) => match fate(label, &enrollment).await? {
            Fate::Issued(certificate) => Ok(Some(certificate)),
            Fate::Stale | Fate::Failed(_) | Fate::Pending { .. } => Ok(None),
        },
        None => Ok(None),
    }
}

/// What the same request began before, if it was not answered yet.
pub(super) async fn unanswered(
    label: &Label,
    key: RequestKey,
) -> Result<Option<Enrollment>, Refusal> {
    if label.answered.contains(key) {
        return Ok(None);
    }
    let Some(enrollment) = label.store.est_request(key).await? else {
        return Ok(None);
    };
    let enrollment = label.store.enrollment(enrollment).await?;
    let is_gone = || Refusal::internal(&"the enrollment of a request is gone");
    enrollment.ok_or_else(is_gone).map(Some)
}

/// What became of an enrollment, for who asks again.
pub(super) enum Fate {
    Issued(Box<Certificate>),
    /// Its certificate is not delivered any more.
    Stale,
    Failed(Failure),
    Pending {
        retry_after: Duration,
    },
}

pub(super) async fn fate(label: &Label, enrollment: &Enrollment) -> Result<Fate, Refusal> {
    match &enrollment.state {
        EnrollmentState::Issued { certificate } => {
            let certificate = stored(label, *certificate).await?;
            let age = UnixTime::now().since(certificate.issued_at);
            if age > KEPT || certificate.revocation.is_some() {
                return Ok(Fate::Stale);
            }
            Ok(Fate::Issued(Box::new(certificate)))
        }
        EnrollmentState::Failed { failure } => Ok(Fate::Failed(failure.clone())),
        _ => Ok(Fate::Pending {
            retry_after: label.issuance.news_of(enrollment).unwrap_or(SHORTLY),
        }),
    }
}

async fn stored(label: &Label, certificate: CertificateId) -> Result<Certificate, Refusal> {
    let certificate = label.store.certificate(certificate).await?;
    certificate.ok_or_else(|| Refusal::internal(&"a certificate that was issued is gone"))
}

pub(super) fn failed(label: &Label, key: RequestKey, failure: &Failure) -> Refusal {
    label.answered.add(key);
    Refusal::from(failure)
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
        repeatable: None,
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
fn issued(certificate: &Certificate, form: Form) -> Response {
    let message = certs_only(std::slice::from_ref(&certificate.der));
    answer::encoded(answer::CERTS_ONLY, form, &message)
}

/// RFC 7030 §4.2.3: the client repeats the same request after this while. Without a text, which
/// BouncyCastle would stumble over.
pub(super) fn pending(wait: Duration) -> Response {
    let headers = [(header::RETRY_AFTER, retry_after(wait))];
    (StatusCode::ACCEPTED, headers).into_response()
}
