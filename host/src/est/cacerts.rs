//! cacerts: the CA's certificates (RFC 7030 §4.1). Anybody may have them.

use axum::response::Response;

use crate::est::answer::{self, Form};
use crate::est::cms::certs_only;
use crate::est::label::Label;
use crate::est::status::Refusal;

pub(super) async fn answer(label: &Label, form: Form) -> Result<Response, Refusal> {
    let handler = label.handler().ok_or_else(Refusal::no_handler)?;
    let ca_certs = handler.ca_certs().await?;
    let message = certs_only(&ca_certs.certificates);
    Ok(answer::encoded(CONTENT_TYPE, form, &message))
}

/// Some clients compare the whole value (RFC 7030 §4.1.3 asks for no parameter here).
const CONTENT_TYPE: &str = "application/pkcs7-mime";
