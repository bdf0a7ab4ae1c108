//! [`Shown`]: the certificate that the client showed, as far as it matters for what it may have.

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::X509Name;

use crate::est::status::Refusal;
use crate::time::UnixTime;
use crate::x509::{CertName, certificate_names};

pub(super) struct Shown {
    /// The subject's Name, DER.
    pub(super) subject: Vec<u8>,
    /// In the subject and the subject alternative name.
    pub(super) names: Vec<CertName>,
    pub(super) not_after: UnixTime,
}

/// Reads a certificate that was validated.
pub(super) fn read(der: &[u8]) -> Result<Shown, Refusal> {
    let unreadable = || Refusal::forbidden("your certificate can't be read");
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| unreadable())?;
    Ok(Shown {
        subject: certificate.subject().as_raw().to_vec(),
        // Names of kinds that can't be asked for are none that a policy could grant.
        names: certificate_names(&certificate).unwrap_or_default(),
        not_after: UnixTime::from_secs(certificate.validity().not_after.timestamp()),
    })
}

/// Whether two subjects say the same: a CA may encode the same text as another type of string.
pub(super) fn same_subject(a: &[u8], b: &[u8]) -> bool {
    if a == b {
        return true;
    }
    let (Ok((_, a)), Ok((_, b))) = (X509Name::from_der(a), X509Name::from_der(b)) else {
        return false;
    };
    spelled(&a).is_some_and(|a| spelled(&b) == Some(a))
}

/// The attributes with their texts, set by set; none if one of them is no text.
fn spelled(name: &X509Name<'_>) -> Option<Vec<Vec<(String, String)>>> {
    name.iter_rdn()
        .map(|set| {
            set.iter()
                .map(|one| {
                    let text = one.as_str().ok()?;
                    Some((one.attr_type().to_id_string(), text.to_owned()))
                })
                .collect()
        })
        .collect()
}
