//! From an enrollment to the requests that a handler gets.

use certdock_plugin_api::{EnrollRequest, PollRequest, RecoverRequest};

use crate::store::Enrollment;

pub(super) fn enroll_request(enrollment: &Enrollment) -> EnrollRequest {
    let identifiers = enrollment.identifiers.iter().map(Into::into).collect();
    let mut request = EnrollRequest::new(
        enrollment.id.to_string(),
        enrollment.csr.clone(),
        identifiers,
    );
    request.profile = enrollment.profile.clone();
    request.not_before = enrollment.not_before.map(Into::into);
    request.not_after = enrollment.not_after.map(Into::into);
    request.requested_at = enrollment.requested_at.into();
    request.protocol = enrollment.protocol;
    request.endpoint = enrollment.endpoint.to_string();
    request.requester = enrollment.requester.clone();
    request.request_id = enrollment.request_id.clone();
    request
}

pub(super) fn poll_request(enrollment: &Enrollment, poll_id: &str) -> PollRequest {
    let mut request = PollRequest::new(enrollment.id.to_string(), poll_id, enrollment.csr.clone());
    request.request_id = enrollment.request_id.clone();
    request
}

pub(super) fn recover_request(enrollment: &Enrollment) -> RecoverRequest {
    let mut request = RecoverRequest::new(enrollment.id.to_string(), enrollment.csr.clone());
    request.requested_at = enrollment.requested_at.into();
    request.request_id = enrollment.request_id.clone();
    request
}
