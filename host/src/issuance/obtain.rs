//! Waiting for a certificate to the end: for the server's own, where there is no client to come back.

use std::sync::Arc;
use std::time::Duration;

use crate::issuance::{CertificateRequest, Issuance, Outcome, Refusal, WAIT};
use crate::store::{Certificate, EnrollmentState};

/// How often the journal is looked at while a handler takes its time.
const LOOK: Duration = Duration::from_secs(2);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum NotObtained {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the CA did not issue: {0}")]
    Failed(String),
    #[error(transparent)]
    Store(#[from] crate::store::Error),
}

impl Issuance {
    /// Asks for a certificate and waits until the handler has decided, which may take long.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn obtain(
        self: &Arc<Self>,
        request: CertificateRequest,
    ) -> Result<Certificate, NotObtained> {
        let lost = || NotObtained::Failed("its record is gone".to_owned());
        let (enrollment, outcome) = self.begin(request, WAIT).await?;
        match outcome {
            Outcome::Issued(certificate) => return Ok(*certificate),
            Outcome::Failed(failure) => return Err(NotObtained::Failed(failure.detail)),
            Outcome::Processing { .. } | Outcome::Superseded => {}
        }
        loop {
            tokio::time::sleep(LOOK).await;
            let enrollment = self.store.enrollment(enrollment).await?.ok_or_else(lost)?;
            match enrollment.state {
                EnrollmentState::Issued { certificate } => {
                    return self.store.certificate(certificate).await?.ok_or_else(lost);
                }
                EnrollmentState::Failed { failure } => {
                    return Err(NotObtained::Failed(failure.detail));
                }
                EnrollmentState::Requested
                | EnrollmentState::Deferred
                | EnrollmentState::Held
                | EnrollmentState::Pending { .. }
                | EnrollmentState::Received { .. } => {}
            }
        }
    }
}
