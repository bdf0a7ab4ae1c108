//! From a handler's answer to a certificate that may be stored as issued.

use std::sync::Arc;

use certdock_plugin_api::{Chain, Requester};

use crate::handlers::Handler;
use crate::ids::CertificateId;
use crate::store::{Certificate, Enrollment};
use crate::time::UnixTime;
use crate::x509::{CertName, ChainError, IssuedCertificate, VerifiedIssuers, certifier, complete};

/// What the host finds in a handler's answer.
pub(super) enum Checked {
    /// It may be delivered.
    Good(Certificate),
    /// The certificate is the right one, and nothing leads from it to a CA, by now.
    Incomplete { chain: Chain, reason: String },
    /// It must not be delivered; what of it can be kept for the operator.
    Wrong {
        error: ChainError,
        withheld: Option<Certificate>,
    },
}

/// Completes the chain, then checks key, names, validity and every link.
pub(super) async fn check(
    enrollment: &Enrollment,
    public_key: &[u8],
    handler: &Arc<Handler>,
    verified: &VerifiedIssuers,
    chain: Chain,
    now: UnixTime,
) -> Checked {
    let ca_certs = handler.ca_certs().await;
    let known = ca_certs
        .as_ref()
        .map_or(&[][..], |answer| &answer.certificates);
    let mut certificates = complete(chain.certificates.clone(), known);
    // A root that issues by itself is sent along: there are clients that take no certificate alone.
    let mut has_issuer = certificates.len() > 1;
    if let [alone] = certificates.as_slice()
        && let Some(issuer) = certifier(alone, known).cloned()
    {
        certificates.push(issuer);
        has_issuer = true;
    }
    let asked = (enrollment.not_before, enrollment.not_after);
    let checked = check_chain(
        verified,
        &certificates,
        public_key,
        (&enrollment.identifiers, asked),
        now,
    );
    let checked = checked.and_then(|issued| {
        check_alternates(verified, &certificates, &chain.alternates).map(|()| issued)
    });

    match checked {
        Ok(_) if !has_issuer => {
            let reason = match &ca_certs {
                Ok(_) => "none of the CA's certificates has issued it".to_owned(),
                Err(fault) => format!("the CA's certificates can't be had: {fault}"),
            };
            tracing::warn!(enrollment = %enrollment.id, handler = %handler.name(), reason, "a certificate waits for its chain");
            Checked::Incomplete { chain, reason }
        }
        Ok(issued) => {
            let mut certificates = certificates.into_iter();
            let der = certificates.next().unwrap_or_default();
            let issuers = certificates.collect();
            let alternates = chain
                .alternates
                .into_iter()
                .map(|chain| chain.into_iter().skip(1).collect())
                .collect();
            let mut certificate = record(enrollment, issued, der, now);
            certificate.issuers = issuers;
            certificate.alternates = alternates;
            Checked::Good(certificate)
        }
        Err(error) => Checked::Wrong {
            error,
            withheld: withheld(enrollment, &certificates),
        },
    }
}

/// What is kept of certificates that are not delivered.
pub(super) fn withheld(enrollment: &Enrollment, certificates: &[Vec<u8>]) -> Option<Certificate> {
    let der = certificates.first()?;
    let issued = IssuedCertificate::read(der)?;
    let mut certificate = record(enrollment, issued, der.clone(), UnixTime::now());
    certificate.withheld = true;
    Some(certificate)
}

fn check_chain(
    verified: &VerifiedIssuers,
    certificates: &[Vec<u8>],
    public_key: &[u8],
    (names, validity): (&[CertName], (Option<UnixTime>, Option<UnixTime>)),
    now: UnixTime,
) -> Result<IssuedCertificate, ChainError> {
    let leaf = certificates.first().ok_or(ChainError::Empty)?;
    let issued = IssuedCertificate::check(leaf, public_key, names, validity, now)?;
    verified.check(certificates)?;
    Ok(issued)
}

fn check_alternates(
    verified: &VerifiedIssuers,
    certificates: &[Vec<u8>],
    alternates: &[Vec<Vec<u8>>],
) -> Result<(), ChainError> {
    for alternate in alternates {
        if alternate.first() != certificates.first() {
            return Err(ChainError::OtherLeaf);
        }
        verified.check(alternate)?;
    }
    Ok(())
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
