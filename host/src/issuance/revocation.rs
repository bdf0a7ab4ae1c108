//! Revoking a certificate at the CA that issued it.

use std::time::Duration;

use certdock_plugin_api::{Fault, FaultClass, RevocationReason, RevokeRequest};

use crate::issuance::{Issuance, retry};
use crate::observe::audit;
use crate::store::Certificate;
use crate::time::UnixTime;

/// Why a certificate was not revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevocationError {
    #[error("the certificate is revoked already")]
    AlreadyRevoked,
    #[error("the CA behind this certificate is not in service")]
    Unavailable { retry_after: Duration },
    #[error("the CA behind this certificate does not revoke")]
    Unsupported,
    /// The CA refused; its public sentence.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Store(#[from] crate::store::Error),
}

impl Issuance {
    /// Revokes at the CA first, then writes it down: should the server die in between, asking again
    /// finds the certificate revoked there and completes the record.
    ///
    /// # Errors
    /// Why the certificate was not revoked by this call.
    pub async fn revoke(
        &self,
        certificate: &Certificate,
        reason: RevocationReason,
        request_id: &str,
    ) -> Result<(), RevocationError> {
        if certificate.revocation.is_some() {
            return Err(RevocationError::AlreadyRevoked);
        }
        let unavailable = || RevocationError::Unavailable {
            retry_after: retry::OUT_OF_SERVICE,
        };
        let handler = self
            .handlers
            .get(certificate.handler.as_str())
            .ok_or_else(unavailable)?;

        let now = UnixTime::now();
        let mut request = RevokeRequest::new(certificate.der.clone(), reason);
        request.revoked_at = now.into();
        request.request_id = request_id.to_owned();
        match handler.revoke(request).await {
            Ok(()) => {}
            Err(fault) if fault.class == FaultClass::AlreadyRevoked => {
                self.store.mark_revoked(certificate.id, reason, now).await?;
                return Err(RevocationError::AlreadyRevoked);
            }
            Err(fault) => return Err(refusal(&fault)),
        }
        // Of two who race, the CA's answers say who was first; either may be first to write it down.
        self.store.mark_revoked(certificate.id, reason, now).await?;
        audit::certificate_revoked(certificate, reason, request_id);
        Ok(())
    }
}

fn refusal(fault: &Fault) -> RevocationError {
    tracing::warn!(%fault, "the handler did not revoke");
    match fault.class {
        FaultClass::Unsupported => RevocationError::Unsupported,
        class if class.is_transient() => RevocationError::Unavailable {
            retry_after: fault.retry_after.unwrap_or(retry::OUT_OF_SERVICE),
        },
        FaultClass::Malformed | FaultClass::Denied => {
            RevocationError::Refused(fault.public.clone())
        }
        _ => RevocationError::Unavailable {
            retry_after: retry::OUT_OF_SERVICE,
        },
    }
}
