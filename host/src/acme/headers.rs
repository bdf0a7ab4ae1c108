//! Headers that several resources' answers carry.

use std::time::Duration;

use axum::response::Response;
use http::{HeaderName, HeaderValue, header};

/// RFC 8555 §7.1: further link relations stand beside "index".
pub(super) fn add_link(response: &mut Response, url: &str, relation: &str) {
    if let Ok(value) = HeaderValue::try_from(format!("<{url}>;rel=\"{relation}\"")) {
        response.headers_mut().append(header::LINK, value);
    }
}

pub(super) fn set_location(response: &mut Response, url: &str) {
    set(response, header::LOCATION, url);
}

/// RFC 8555 §7.4, §7.5.1: in whole seconds, one at least.
pub(super) fn set_retry_after(response: &mut Response, wait: Duration) {
    let seconds = HeaderValue::from(wait.as_secs().max(1));
    response.headers_mut().insert(header::RETRY_AFTER, seconds);
}

fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}
