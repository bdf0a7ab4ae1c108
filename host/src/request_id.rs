//! [`RequestId`]: names one request in the log, in what plugins are told, and in audit rows.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// 96 random bits as 16 base64url characters. Stands among a request's extensions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(Arc<str>);

impl RequestId {
    #[must_use]
    pub fn random() -> Self {
        let bytes: [u8; 12] = crate::random::bytes();
        Self(URL_SAFE_NO_PAD.encode(bytes).into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
