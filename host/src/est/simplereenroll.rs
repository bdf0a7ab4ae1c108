//! simplereenroll (RFC 7030 §4.2.2). What binds it to the certificate shown is in `auth`.

use axum::extract::Request;
use axum::response::Response;

use crate::est::answer::Form;
use crate::est::label::Label;
use crate::est::status::Refusal;
use crate::est::{Operation, enroll};
use crate::request_id::RequestId;

pub(super) async fn answer(
    label: &Label,
    form: Form,
    id: &RequestId,
    request: Request,
) -> Result<Response, Refusal> {
    enroll::simple(label, Operation::SimpleReenroll, form, id, request).await
}
