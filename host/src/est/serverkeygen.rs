//! serverkeygen: the server makes the key (RFC 7030 §4.4).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use tokio::sync::oneshot;
use zeroize::{Zeroize as _, Zeroizing};

use crate::est::Operation;
use crate::est::answer::{CERTS_ONLY, Form};
use crate::est::cms::{Recipient, certs_only};
use crate::est::enroll::{self, Asked, Begun, Enrolled, Fate};
use crate::est::generated_key::{GeneratedKey, KeyKind};
use crate::est::held_keys::Made;
use crate::est::label::Label;
use crate::est::status::Refusal;
use crate::request_id::RequestId;
use crate::store::{Certificate, RequestKey};
use crate::x509::Csr;

pub(super) async fn answer(
    label: &Label,
    form: Form,
    id: &RequestId,
    request: Request,
) -> Result<Response, Refusal> {
    let asked = enroll::read(label, id, request).await?;
    let kind = KeyKind::like(&asked.csr.public_key).ok_or_else(unknown_kind)?;
    let recipient = recipient(label, &asked)?;
    let mut granted = enroll::grant(label, Operation::ServerKeyGen, id, &asked).await?;
    let key = granted.key;
    let recipient = recipient.as_ref();
    if let Some(former) = enroll::unanswered(label, key).await? {
        let made = Made::by(&former.csr);
        match enroll::fate(label, &former).await? {
            Fate::Issued(certificate) if label.keys.has(made) => {
                return deliver(label, key, made, &certificate, recipient, form);
            }
            Fate::Pending { retry_after } if label.keys.has(made) => {
                return Ok(enroll::pending(retry_after));
            }
            // Its key was made before a restart, and nobody has it any more.
            Fate::Issued(_) | Fate::Pending { .. } => granted.replaces = Some(former.id),
            Fate::Stale => {
                label.keys.wipe(made);
                label.answered.add(key);
            }
            Fate::Failed(failure) => {
                label.keys.wipe(made);
                return Err(enroll::failed(label, key, &failure));
            }
        }
    }
    // Keys take long to make, so that none is made for nothing.
    enroll::may_begin(label, id, &asked.client, &granted)?;
    let generated = generate(label, kind).await?;
    let internal = |error: anyhow::Error| Refusal::internal(&error);
    let der = generated.request(&asked.csr).map_err(internal)?;
    let csr = Csr::parse(&der).map_err(|error| Refusal::internal(&error))?;
    let made = Made::by(&der);
    // Before the CA is asked: the enrollment goes on if the client hangs up, which ends all else here.
    label.keys.hold(made, generated);
    match enroll::begin(label, id, &asked.client, granted, der, csr).await {
        Ok(Begun::Ours(Enrolled::Issued(certificate))) => {
            deliver(label, key, made, &certificate, recipient, form)
        }
        Ok(Begun::Ours(Enrolled::Pending { retry_after })) => Ok(enroll::pending(retry_after)),
        // The certificate is for the key that was made for the other one.
        Ok(Begun::Others) => {
            label.keys.wipe(made);
            Err(Refusal::at_once())
        }
        Err(refusal) => {
            label.keys.wipe(made);
            Err(refusal)
        }
    }
}

/// A key goes out once. The store is told at once, unlike of other answers: after a restart the same
/// request would be made another key, with a one-time password too. Nobody waits for that, so that a
/// client that hangs up by now has the key held for it still, or else was on its way to get it.
fn deliver(
    label: &Label,
    request: RequestKey,
    made: Made,
    certificate: &Certificate,
    recipient: Option<&Recipient>,
    form: Form,
) -> Result<Response, Refusal> {
    let key = label.keys.take(made);
    let Some(key) = key.filter(|key| key.is_key_of(&certificate.der)) else {
        // Somebody else was given the key: who asks once more is made another.
        return Ok(enroll::pending(enroll::SHORTLY));
    };
    let key = protected(label, recipient, &key)?;
    label.answered.add(request);
    let (store, enrollment) = (Arc::clone(&label.store), certificate.enrollment);
    tokio::spawn(async move {
        if let Err(error) = store.forget_est_request(request, enrollment).await {
            tracing::warn!(%error, %enrollment, "that a key was delivered is not written down yet");
        }
    });
    Ok(multipart(&key, certificate, form))
}

fn unknown_kind() -> Refusal {
    Refusal::malformed(
        "the server makes RSA keys of 2048 to 4096 bits, P-256, P-384 and Ed25519; the CSR's own key \
         says which",
    )
}

/// One key at a time for each label: RSA keys take long, and threads are few.
async fn generate(label: &Label, kind: KeyKind) -> Result<GeneratedKey, Refusal> {
    let turn = Arc::clone(&label.key_making).acquire_owned().await;
    let (answer, made) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("make-key".to_owned())
        .spawn(move || {
            drop(answer.send(GeneratedKey::generate(kind)));
            drop(turn);
        });
    thread.map_err(|error| Refusal::internal(&error))?;
    match made.await {
        Ok(Ok(key)) => Ok(key),
        Ok(Err(error)) => Err(Refusal::internal(&error)),
        Err(error) => Err(Refusal::internal(&error)),
    }
}

/// RFC 4108 §5.1.8 (id-aa-decryptKeyID) and RFC 7030 §4.4.1.2
const DECRYPT_KEY: &str = "1.2.840.113549.1.9.16.2.37";
const ASYMMETRIC_DECRYPT_KEY: &str = "1.2.840.113549.1.9.16.2.54";

/// Whom the key is encrypted to, if the CSR asks for that. It is never sent in clear to one who asked
/// for it encrypted (RFC 7030 §4.4.1).
fn recipient(label: &Label, asked: &Asked) -> Result<Option<Recipient>, Refusal> {
    if asked.csr.attribute(DECRYPT_KEY).is_some() {
        return Err(Refusal::malformed(
            "the CSR asks for the key to be encrypted with a shared key, and this server has none; name \
             the key of your certificate by AsymmetricDecryptKeyIdentifier",
        ));
    }
    let Some(attribute) = asked.csr.attribute(ASYMMETRIC_DECRYPT_KEY) else {
        return Ok(None);
    };
    if label.ra().is_none() {
        return Err(Refusal::new(
            StatusCode::NOT_IMPLEMENTED,
            "keys are not encrypted here: the label has no RA certificate to sign them with",
        ));
    }
    let recipient = asked
        .client
        .certificate
        .as_deref()
        .and_then(|certificate| Recipient::of(certificate, &attribute.values));
    match recipient {
        Some(recipient) => Ok(Some(recipient)),
        None => Err(Refusal::malformed(
            "AsymmetricDecryptKeyIdentifier is not the subject key identifier of the certificate shown, \
             or its key can't be encrypted to",
        )),
    }
}

/// A private key as it goes out.
struct KeyPart {
    content_type: &'static str,
    der: Zeroizing<Vec<u8>>,
}

fn protected(
    label: &Label,
    recipient: Option<&Recipient>,
    key: &GeneratedKey,
) -> Result<KeyPart, Refusal> {
    let (Some(recipient), Some(ra)) = (recipient, label.ra()) else {
        return Ok(KeyPart {
            content_type: "application/pkcs8",
            der: Zeroizing::new(key.pkcs8().to_vec()),
        });
    };
    let der = ra
        .sign_key_package(key.pkcs8())
        .and_then(|signed| recipient.envelop(&signed))
        .map_err(|error| Refusal::internal(&error))?;
    Ok(KeyPart {
        content_type: "application/pkcs7-mime; smime-type=server-generated-key",
        der: Zeroizing::new(der),
    })
}

/// RFC 7030 §4.4.2: the key, then the certificate.
fn multipart(key: &KeyPart, certificate: &Certificate, form: Form) -> Response {
    let boundary = format!("certdock-{}", RequestId::random());
    let key_text = Zeroizing::new(form.encode(&key.der));
    let certificate = form.encode(&certs_only(std::slice::from_ref(&certificate.der)));
    let mut body = Wiped(Vec::with_capacity(
        key_text.len() + certificate.len() + 1024,
    ));
    for (content_type, text) in [
        (key.content_type, key_text.as_str()),
        (CERTS_ONLY, certificate.as_str()),
    ] {
        for piece in [
            "--",
            &boundary,
            "\r\nContent-Type: ",
            content_type,
            "\r\nContent-Transfer-Encoding: base64\r\n\r\n",
            text,
            "\r\n",
        ] {
            body.0.extend_from_slice(piece.as_bytes());
        }
    }
    for piece in ["--", &boundary, "--\r\n"] {
        body.0.extend_from_slice(piece.as_bytes());
    }
    let content_type = format!("multipart/mixed; boundary={boundary}");
    let mut response = Response::new(Body::from(Bytes::from_owner(body)));
    if let Ok(value) = HeaderValue::try_from(content_type) {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}

/// Bytes that are wiped once they were sent.
struct Wiped(Vec<u8>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
