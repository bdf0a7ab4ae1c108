//! [`Fault`]: how a handler says what went wrong, who is to blame and whether to try again.

use std::time::Duration;

/// Who is at fault and what the host should do about it.
///
/// The host maps each class to the wire in exactly one table per protocol: an ACME problem type
/// (RFC 8555 §6.7) or an EST status (RFC 7030 §4.2.3). A handler never deals in either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum FaultClass {
    /// The request itself is wrong (a CSR the CA can't read, say). Final; the client must change it.
    Malformed,
    /// The CA's policy forbids it. Final.
    Denied,
    /// The CA is there but has no capacity now. The host tries again.
    Busy,
    /// The CA can't be reached, or failed on its side and said so: nothing was issued. The host tries
    /// again.
    Upstream,
    /// The handler's configuration is wrong: credentials, names, files. An operator must act.
    Misconfigured,
    /// The handler does not have this ability.
    Unsupported,
    /// The certificate to revoke is revoked already.
    AlreadyRevoked,
    /// The request may have reached the CA, and its answer never came: the connection was cut after
    /// sending, or timed out. The CA may have issued or not. The host never repeats such an `enroll`
    /// in silence: it recovers by the enrollment id if the handler can, else does as its
    /// configuration says (`on_unknown`). A host of plugin-api 1.0 takes it for `Internal`, so that the
    /// order ends, and nothing is repeated there either.
    ///
    /// For `poll`, `recover` and `revoke`, which may be repeated, this is as good as `Upstream`.
    UnknownOutcome,
    /// A defect in the handler.
    Internal,
    /// The handler panicked. Made by the panic guard only.
    Panicked,
    /// The call did not end before its deadline. Made by the host only.
    TimedOut,
}

impl FaultClass {
    /// Whether the same request may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            Self::Busy | Self::Upstream | Self::TimedOut | Self::Panicked
        )
    }

    /// The class's name as it appears in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Denied => "denied",
            Self::Busy => "busy",
            Self::Upstream => "upstream",
            Self::Misconfigured => "misconfigured",
            Self::Unsupported => "unsupported",
            Self::AlreadyRevoked => "already-revoked",
            Self::UnknownOutcome => "unknown-outcome",
            Self::Internal => "internal",
            Self::Panicked => "panicked",
            Self::TimedOut => "timed-out",
        }
    }
}

/// A failed call.
///
/// `public` reaches the client in a problem document or an EST answer; `private` reaches the log
/// only. Neither may hold a secret.
///
/// ```
/// use certdock_plugin_api::{Fault, FaultClass};
///
/// let fault = Fault::upstream("the CA can't be reached").private("connect 10.0.0.9:443: timeout");
/// assert_eq!(fault.class, FaultClass::Upstream);
/// assert!(fault.class.is_transient());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Fault {
    /// Who is at fault.
    pub class: FaultClass,
    /// A short machine-readable code of the handler's own ("profile-unknown"); may be empty.
    pub code: String,
    /// One sentence for the client.
    pub public: String,
    /// Detail for the operator; may be empty.
    pub private: String,
    /// When a transient fault is worth another try; `None` leaves it to the host.
    pub retry_after: Option<Duration>,
}

impl Fault {
    /// A fault of any class, with its public sentence.
    #[must_use]
    pub fn new(class: FaultClass, public: impl Into<String>) -> Self {
        Self {
            class,
            code: String::new(),
            public: public.into(),
            private: String::new(),
            retry_after: None,
        }
    }

    /// [`FaultClass::Malformed`]
    #[must_use]
    pub fn malformed(public: impl Into<String>) -> Self {
        Self::new(FaultClass::Malformed, public)
    }

    /// [`FaultClass::Denied`]
    #[must_use]
    pub fn denied(public: impl Into<String>) -> Self {
        Self::new(FaultClass::Denied, public)
    }

    /// [`FaultClass::Busy`]
    #[must_use]
    pub fn busy(public: impl Into<String>) -> Self {
        Self::new(FaultClass::Busy, public)
    }

    /// [`FaultClass::Upstream`]
    #[must_use]
    pub fn upstream(public: impl Into<String>) -> Self {
        Self::new(FaultClass::Upstream, public)
    }

    /// [`FaultClass::Misconfigured`]
    #[must_use]
    pub fn misconfigured(public: impl Into<String>) -> Self {
        Self::new(FaultClass::Misconfigured, public)
    }

    /// [`FaultClass::Unsupported`]
    #[must_use]
    pub fn unsupported(public: impl Into<String>) -> Self {
        Self::new(FaultClass::Unsupported, public)
    }

    /// [`FaultClass::AlreadyRevoked`]
    #[must_use]
    pub fn already_revoked() -> Self {
        Self::new(
            FaultClass::AlreadyRevoked,
            "the certificate is revoked already",
        )
    }

    /// [`FaultClass::UnknownOutcome`]
    #[must_use]
    pub fn unknown_outcome(public: impl Into<String>) -> Self {
        Self::new(FaultClass::UnknownOutcome, public)
    }

    /// [`FaultClass::Internal`]
    #[must_use]
    pub fn internal(public: impl Into<String>) -> Self {
        Self::new(FaultClass::Internal, public)
    }

    /// Adds the handler's own code.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = code.into();
        self
    }

    /// Adds detail for the log.
    #[must_use]
    pub fn private(mut self, private: impl Into<String>) -> Self {
        self.private = private.into();
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.class.as_str(), self.public)?;
        if !self.private.is_empty() {
            write!(f, " ({})", self.private)?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}
