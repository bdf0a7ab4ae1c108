//! From a handler's answer to a certificate that may be stored as issued.

use certdock_plugin_api::{Chain, Requester};

use crate::handlers::Handler;
use crate::ids::CertificateId;
use crate::store::{Certificate, Enrollment};
use crate::time::UnixTime;
use crate::x509::{ChainError, IssuedCertificate, VerifiedIssuers, complete};

/// A handler's answer that failed a check, with what of it can be kept for the operator.
pub(super) struct Rejected {
    pub(super) error: ChainError,
    pub(super) withheld: Option<Certificate>,
}

/// Completes the chain, then checks key, names, validity and every link.
pub(super) async fn check(
    enrollment: &Enrollment,
    public_key: &[u8],
    handler: &Handler,
    verified: &VerifiedIssuers,
    chain: Chain,
    now: UnixTime,
) -> Result<Certificate, Rejected> {
    let ca_certs = match handler.ca_certs().await {
        Ok(answer) => Some(answer),
        // The chain may be whole without it; if it is not, the check of its links says so.
        Err(fault) => {
            tracing::warn!(handler = %handler.name(), %fault, "no CA certificates");
            None
        }
    };
    let known = ca_certs
        .as_ref()
        .map_or(&[][..], |answer| &answer.certificates);
    let certificates = complete(chain.certificates, known);
    let alternates = chain.alternates;

    match checked(
        enrollment,
        public_key,
        verified,
        &certificates,
        &alternates,
        now,
    ) {
        Ok(issued) => {
            let mut certificates = certificates.into_iter();
            let der = certificates.next().unwrap_or_default();
            let issuers = certificates.collect();
            let alternates = alternates
                .into_iter()
                .map(|chain| chain.into_iter().skip(1).collect())
                .collect();
            let mut certificate = record(enrollment, issued, der, now);
            certificate.issuers = issuers;
            certificate.alternates = alternates;
            Ok(certificate)
        }
        Err(error) => {
            let withheld = certificates.into_iter().next().and_then(|der| {
                let issued = IssuedCertificate::read(&der)?;
                let mut certificate = record(enrollment, issued, der, now);
                certificate.withheld = true;
                Some(certificate)
            });
            Err(Rejected { error, withheld })
        }
    }
}

fn checked(
    enrollment: &Enrollment,
    public_key: &[u8],
    verified: &VerifiedIssuers,
    certificates: &[Vec<u8>],
    alternates: &[Vec<Vec<u8>>],
    now: UnixTime,
) -> Result<IssuedCertificate, ChainError> {
    let leaf = certificates.first().ok_or(ChainError::Empty)?;
    let asked = (enrollment.not_before, enrollment.not_after);
    let issued = IssuedCertificate::check(leaf, public_key, &enrollment.identifiers, asked, now)?;
    verified.check(certificates)?;
    for alternate in alternates {
        if alternate.first() != Some(leaf) {
            return Err(ChainError::OtherLeaf);
        }
        verified.check(alternate)?;
    }
    Ok(issued)
}

fn record(
    enrollment: &Enrollment,
    issued: IssuedCertificate,
    der: Vec<u8>,
    now: UnixTime,
) -> Certificate {
    let account = match &enrollment.requester {
        Requester::AcmeAccount { account, .. } => account.parse().ok(),
        _ => None,
    };
    Certificate {
        id: CertificateId::random(now),
        enrollment: enrollment.id,
        account,
        endpoint: enrollment.endpoint.clone(),
        handler: enrollment.handler.clone(),
        serial: issued.serial,
        fingerprint: issued.fingerprint,
        names: enrollment
            .identifiers
            .iter()
            .map(ToString::to_string)
            .collect(),
        not_before: issued.not_before,
        not_after: issued.not_after,
        issued_at: now,
        der,
        issuers: Vec::new(),
        alternates: Vec::new(),
        revocation: None,
        withheld: false,
    }
}
