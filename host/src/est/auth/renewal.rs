//! Re-enrolment: the same subject and the same names as in the certificate shown (RFC 7030 §4.2.2).

use std::collections::BTreeSet;

use super::Client;
use super::shown::{Shown, same_subject};
use crate::config::EstLabel;
use crate::est::status::Refusal;
use crate::time::UnixTime;
use crate::x509::{CHANGE_SUBJECT_NAME, Csr};

/// Whether the certificate's names stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    Kept,
    /// The label allows it and the CSR has others in its ChangeSubjectName: these are looked at like
    /// those of a first request.
    Changed,
}

pub(super) fn check(
    config: &EstLabel,
    client: &Client,
    current: Option<&Shown>,
    csr: &Csr,
    now: UnixTime,
) -> Result<Names, Refusal> {
    let Some(current) = current else {
        return Err(Refusal::forbidden(
            "re-enrolment needs the current certificate as TLS client certificate; without one use \
             simpleenroll",
        ));
    };
    if client.issuer.as_ref() != Some(&config.handler) {
        return Err(Refusal::forbidden(
            "your certificate was not issued by this label's CA; use simpleenroll",
        ));
    }
    if let Some(window) = config.renewal_window
        && now.plus(window) < current.not_after
    {
        let seconds = i64::try_from(window.as_secs()).unwrap_or(i64::MAX);
        let from = UnixTime::from_secs(current.not_after.as_secs().saturating_sub(seconds));
        return Err(Refusal::forbidden(format!(
            "it is too early to renew this certificate; come back after {from}"
        )));
    }
    let changes = csr.attribute(CHANGE_SUBJECT_NAME).is_some();
    if changes && !config.change_subject {
        return Err(Refusal::forbidden(
            "this label does not let a renewal change the subject (ChangeSubjectName)",
        ));
    }
    if !same_subject(&csr.subject, &current.subject) {
        return Err(Refusal::malformed(
            "the CSR's subject is not that of the certificate to renew",
        ));
    }
    let wanted: BTreeSet<_> = csr.names().into_iter().collect();
    let there: BTreeSet<_> = current.names.iter().cloned().collect();
    let extra = wanted.difference(&there).next();
    let missing = there.difference(&wanted).next();
    match (extra, missing) {
        (Some(name), _) => Err(Refusal::malformed(format!(
            "the CSR names {name}, which the certificate to renew does not"
        ))),
        (None, Some(name)) => Err(Refusal::malformed(format!(
            "the CSR does not name {name}, which the certificate to renew does"
        ))),
        (None, None) if changes => Ok(Names::Changed),
        (None, None) => Ok(Names::Kept),
    }
}
