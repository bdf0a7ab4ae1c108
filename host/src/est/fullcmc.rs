//! fullcmc: asking by CMC messages (RFC 7030 §4.3, RFC 5272). One certificate by a PKCS #10 request, or
//! a look at one that takes its time; what needs more is refused in CMC's own words.

use axum::extract::Request;
use axum::response::Response;
use http::{StatusCode, header};

use crate::est::answer::{self, Form};
use crate::est::auth::{self, Client};
use crate::est::cms::{Data, FailInfo, PKI_DATA, PKI_RESPONSE, SignedRequest, Status, Wanted};
use crate::est::enroll::{self, Asked, Enrolled};
use crate::est::label::Label;
use crate::est::ra::RegistrationAuthority;
use crate::est::status::{Refusal, retry_after};
use crate::est::{Operation, body, repeats};
use crate::request_id::RequestId;
use crate::store::RequestKey;
use crate::x509::{Csr, public_key};

const REQUEST_TYPE: &str = "application/pkcs7-mime";
const RESPONSE_TYPE: &str = "application/pkcs7-mime; smime-type=CMC-response";

pub(super) async fn answer(
    label: &Label,
    form: Form,
    id: &RequestId,
    request: Request,
) -> Result<Response, Refusal> {
    let Some(ra) = label.ra() else {
        return Err(Refusal::new(
            StatusCode::NOT_IMPLEMENTED,
            "this label does not speak CMC: it has no RA certificate to sign answers with",
        ));
    };
    let (parts, body) = request.into_parts();
    let body = body::read(body).await?;
    let client = auth::authenticate(label, &parts).await?;
    body::check_type(&parts.headers, REQUEST_TYPE)?;
    let message = body::decode(&body)?;
    // Whatever is no such message at all can't be answered in its own terms.
    let Some(signed) = SignedRequest::parse(&message, PKI_DATA) else {
        return Err(Refusal::malformed(
            "the request is not a PKIData signed by one signer, in DER",
        ));
    };
    let data = Data::parse(signed.content);
    let served = serve(label, id, &client, &signed, &data).await;
    if let Err((_, refusal)) = &served
        && refusal.status == StatusCode::UNAUTHORIZED
    {
        // RFC 7030 §3.2.3: that is HTTP's own matter, with its own header, and CMC has no word for it.
        return Err(refusal.clone());
    }
    respond(&ra, &data, &served, form)
}

/// What was asked for, or how it is refused.
type Served = Result<(Enrolled, RequestKey), (FailInfo, Refusal)>;

async fn serve(
    label: &Label,
    id: &RequestId,
    client: &Client,
    signed: &SignedRequest<'_>,
    data: &Data<'_>,
) -> Served {
    if let Some(problem) = data.problem {
        return Err((FailInfo::BadRequest, Refusal::malformed(problem)));
    }
    match data.wanted {
        Some(Wanted::Certificate(der)) => {
            let csr = Csr::parse(der)
                .map_err(|error| (FailInfo::BadRequest, Refusal::malformed(error.to_string())))?;
            check_signer(client, signed, Some(&csr))?;
            let asked = Asked {
                client: client.clone(),
                der: der.to_vec(),
                csr,
            };
            let key = repeats::key(&label.name, client, Operation::FullCmc, der);
            let enrolled = enroll::enroll(label, Operation::FullCmc, id, asked).await;
            enrolled.map(|enrolled| (enrolled, key)).map_err(explained)
        }
        Some(Wanted::Pending(token)) => {
            check_signer(client, signed, None)?;
            let enrolled = pending(label, client, token).await.map_err(explained)?;
            enrolled.ok_or_else(|| {
                let reason = "nothing of yours is pending under this token";
                (FailInfo::BadRequest, Refusal::malformed(reason))
            })
        }
        None => Err((
            FailInfo::BadRequest,
            Refusal::malformed("the message asks for nothing"),
        )),
    }
}

/// The message must be signed with the key of the certificate that the client showed, or with the one
/// that it wants certified.
fn check_signer(
    client: &Client,
    signed: &SignedRequest<'_>,
    csr: Option<&Csr>,
) -> Result<(), (FailInfo, Refusal)> {
    let shown = client.certificate.as_deref().and_then(public_key);
    let wanted = csr.map(|csr| csr.public_key.clone());
    // A client that has no certificate yet can't sign a look at what is pending but with some key.
    let anonymous = shown.is_none() && wanted.is_none();
    let good = shown
        .iter()
        .chain(&wanted)
        .any(|key| signed.is_signed_by(key));
    if good || anonymous {
        return Ok(());
    }
    Err((
        FailInfo::BadMessageCheck,
        Refusal::malformed(
            "the message is not signed with the key of the certificate shown, nor with the CSR's",
        ),
    ))
}

/// What became of the request that was answered with this token, if the same client asked.
async fn pending(
    label: &Label,
    client: &Client,
    token: &[u8],
) -> Result<Option<(Enrolled, RequestKey)>, Refusal> {
    let Ok(key) = token.try_into().map(RequestKey) else {
        return Ok(None);
    };
    let Some(enrollment) = label.store.est_request(key).await? else {
        return Ok(None);
    };
    let Some(enrollment) = label.store.enrollment(enrollment).await? else {
        return Ok(None);
    };
    let own = repeats::key(&label.name, client, Operation::FullCmc, &enrollment.csr);
    if own != key {
        return Ok(None);
    }
    let enrolled = enroll::look_up(label, key).await?;
    Ok(enrolled.map(|enrolled| (enrolled, key)))
}

fn explained(refusal: Refusal) -> (FailInfo, Refusal) {
    let info = match refusal.status {
        StatusCode::FORBIDDEN => FailInfo::BadIdentity,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => FailInfo::TryLater,
        status if status.is_server_error() => FailInfo::InternalCaError,
        _ => FailInfo::BadRequest,
    };
    (info, refusal)
}

/// RFC 7030 §4.3.2: the status of HTTP says the same as CMC's.
fn respond(
    ra: &RegistrationAuthority,
    data: &Data<'_>,
    served: &Served,
    form: Form,
) -> Result<Response, Refusal> {
    let key;
    let mut wait = None;
    let mut certificates = Vec::new();
    let (http, status) = match served {
        Ok((Enrolled::Issued(certificate), _)) => {
            certificates.push(certificate.der.clone());
            certificates.extend(certificate.issuers.iter().cloned());
            (StatusCode::OK, Status::Success)
        }
        Ok((Enrolled::Pending { retry_after }, token)) => {
            key = token.0;
            wait = Some(*retry_after);
            let status = Status::Pending {
                token: &key,
                wait: *retry_after,
            };
            (StatusCode::ACCEPTED, status)
        }
        Err((info, refusal)) => {
            wait = refusal.retry_after;
            let status = Status::Failed {
                info: *info,
                reason: &refusal.reason,
            };
            (refusal.status, status)
        }
    };
    let message = ra
        .sign(PKI_RESPONSE, &data.respond(&status), &certificates)
        .map_err(|error| Refusal::internal(&error))?;
    let mut response = answer::encoded(RESPONSE_TYPE, form, &message);
    *response.status_mut() = http;
    if let Some(wait) = wait {
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, retry_after(wait));
    }
    Ok(response)
}
