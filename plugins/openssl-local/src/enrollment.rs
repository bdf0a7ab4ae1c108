//! [`issue`]: from an authorised request to a certificate. The same request makes the same
//! certificate: nothing here depends on the clock or on chance.

use certdock_plugin_api::{EnrollRequest, Fault, Identifier, Protocol};
use der::asn1::{Ia5String, PrintableStringRef};
use der::oid::ObjectIdentifier;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, SubjectAltName};

use crate::OpensslLocal;
use crate::authority::Facts;
use crate::certificate::{
    COMMON_NAME, Draft, SERIAL_NUMBER, authority_key_identifier, extension, name, seconds,
    subject_key_identifier, unencodable,
};
use crate::csr::Csr;
use crate::names::NameRules;
use crate::profile::Profile;

/// Issues a certificate, DER.
pub(crate) fn issue(ca: &OpensslLocal, request: &EnrollRequest) -> Result<Vec<u8>, Fault> {
    let csr = Csr::from_der(&request.csr)?;
    let names = authorised(&request.identifiers, &ca.names)?;
    let profile = ca.profiles.find(request.profile.as_deref())?;
    let facts = &ca.authority.facts;
    let (not_before, not_after) = validity(request, profile.validity, ca.backdate, facts)?;
    let subject = subject(&csr, &names, request.protocol)?;
    Draft {
        issuer: &facts.subject,
        subject: &name(&borrowed(&subject)).map_err(unencodable)?,
        not_before,
        not_after,
        extensions: extensions(&csr, &names, profile, facts, subject.is_empty())?,
        public_key: &csr.public_key,
    }
    .sign(&ca.authority.key, |content| {
        ca.serials.serial(&request.enrollment_id, content)
    })
}

/// The names to certify, each once, if all of them may be.
fn authorised(identifiers: &[Identifier], rules: &NameRules) -> Result<Vec<Identifier>, Fault> {
    let mut names: Vec<Identifier> = Vec::with_capacity(identifiers.len());
    for identifier in identifiers {
        if !is_known(identifier) {
            return Err(Fault::denied(
                "the CA certifies DNS names, IP addresses, e-mail addresses, URIs, common names and \
                 serial numbers only",
            )
            .code("name-unsupported"));
        }
        if !rules.permit(identifier) {
            return Err(
                Fault::denied(format!("the CA does not certify {}", text(identifier)))
                    .code("name-denied"),
            );
        }
        if !names.contains(identifier) {
            names.push(identifier.clone());
        }
    }
    if names.is_empty() {
        return Err(Fault::malformed("the request names nothing to certify").code("name-missing"));
    }
    Ok(names)
}

/// First and last second of validity.
fn validity(
    request: &EnrollRequest,
    longest: u64,
    backdate: u64,
    ca: &Facts,
) -> Result<(u64, u64), Fault> {
    let requested = seconds(request.requested_at);
    if requested > ca.not_after {
        return Err(Fault::misconfigured("the CA's certificate has expired").code("ca-expired"));
    }
    let not_before = match request.not_before.map(seconds) {
        Some(start) if start < ca.not_before || start > ca.not_after => {
            return Err(bad_time("notBefore is outside of the CA's own validity"));
        }
        Some(start) if start < requested.saturating_sub(backdate.max(LEEWAY)) => {
            return Err(bad_time("notBefore lies in the past"));
        }
        Some(start) => start,
        None => {
            let backdated = requested.saturating_sub(backdate).max(ca.not_before);
            // Backdated less where the end that is asked for would come too late otherwise.
            let end = request.not_after.map_or(0, seconds);
            let earliest = end.saturating_sub(longest - 1).min(requested);
            backdated.max(earliest)
        }
    };
    // RFC 5280 §4.1.2.5: both ends belong to the period.
    let last = not_before.saturating_add(longest - 1);
    let not_after = match request.not_after.map(seconds) {
        Some(end) if end <= not_before || end < requested => {
            return Err(Fault::malformed("notAfter is not after notBefore and now")
                .code("validity-unacceptable"));
        }
        Some(end) if end > ca.not_after => {
            return Err(bad_time("notAfter is outside of the CA's own validity"));
        }
        Some(end) if end > last => {
            return Err(bad_time(format!(
                "notAfter is too late: certificates last at most {longest} seconds, the last one \
                 included"
            )));
        }
        Some(end) => end,
        None => last.min(ca.not_after),
    };
    Ok((not_before, not_after))
}

/// How the host names the kinds of names beside DNS names and addresses.
const EMAIL: &str = "email";
const URI: &str = "uri";
const IN_SUBJECT: [(&str, ObjectIdentifier); 2] = [
    ("serial-number", SERIAL_NUMBER),
    ("common-name", COMMON_NAME),
];

fn is_known(identifier: &Identifier) -> bool {
    match identifier {
        Identifier::Dns(_) | Identifier::Ip(_) => true,
        Identifier::Other { kind, .. } => {
            [EMAIL, URI].contains(&kind.as_str()) || in_subject(identifier).is_some()
        }
        _ => false,
    }
}

/// The attribute of the subject that a name is, if it is one.
fn in_subject(identifier: &Identifier) -> Option<(ObjectIdentifier, &str)> {
    let Identifier::Other { kind, value } = identifier else {
        return None;
    };
    let (_, oid) = IN_SUBJECT.iter().find(|(known, _)| known == kind)?;
    Some((*oid, value))
}

/// The subject: the authorised serial number and common name, or else a common name that repeats an
/// alternative name.
fn subject(
    csr: &Csr,
    names: &[Identifier],
    protocol: Protocol,
) -> Result<Vec<(ObjectIdentifier, String)>, Fault> {
    let mut subject = Vec::new();
    for (_, kind) in IN_SUBJECT {
        for (oid, value) in names.iter().filter_map(in_subject) {
            if oid != kind {
                continue;
            }
            let unfit = oid == SERIAL_NUMBER && PrintableStringRef::new(value).is_err();
            if unfit || value.chars().count() > COMMON_NAME_LENGTH {
                return Err(Fault::malformed(format!(
                    "a name in the subject is longer than {COMMON_NAME_LENGTH} characters, or a serial \
                     number is not plain text"
                ))
                .code("name-malformed"));
            }
            subject.push((oid, value.to_owned()));
        }
    }
    if !subject.iter().any(|(oid, _)| *oid == COMMON_NAME) {
        let text = common_name(&csr.common_names, names, protocol);
        subject.extend(text.map(|text| (COMMON_NAME, text)));
    }
    Ok(subject)
}

fn borrowed(subject: &[(ObjectIdentifier, String)]) -> Vec<(ObjectIdentifier, &str)> {
    let pairs = subject.iter();
    pairs.map(|(oid, text)| (*oid, text.as_str())).collect()
}

/// The common name: one that the CSR has and that is authorised, or else the first name. `None` if
/// that is too long to be one. An EST client renews under the subject that it has, so nothing is put
/// there that it did not ask for.
fn common_name(wanted: &[String], names: &[Identifier], protocol: Protocol) -> Option<String> {
    let names: Vec<String> = names
        .iter()
        .filter(|name| in_subject(name).is_none())
        .map(text)
        .collect();
    let first = (protocol != Protocol::Est).then(|| names.first()).flatten();
    wanted
        .iter()
        .map(|name| name.to_ascii_lowercase())
        .find(|name| names.contains(name) && name.len() <= COMMON_NAME_LENGTH)
        .or_else(|| first.cloned())
        .filter(|name| name.len() <= COMMON_NAME_LENGTH)
}

/// RFC 5280 §4.2.1
fn extensions(
    csr: &Csr,
    names: &[Identifier],
    profile: &Profile,
    ca: &Facts,
    subject_is_empty: bool,
) -> Result<Vec<Extension>, Fault> {
    let key_usage = profile.key_usage(csr.key_kind)?;
    let names = alternative_names(names)?;
    let encode = || -> der::Result<Vec<Extension>> {
        let mut extensions = vec![
            extension(
                true,
                &BasicConstraints {
                    ca: false,
                    path_len_constraint: None,
                },
            )?,
            extension(true, &key_usage)?,
            extension(false, &subject_key_identifier(&csr.public_key)?)?,
            extension(false, &authority_key_identifier(&ca.key_identifier)?)?,
        ];
        if !names.0.is_empty() {
            // RFC 5280 §4.2.1.6: critical iff it is all that names the subject.
            extensions.push(extension(subject_is_empty, &names)?);
        }
        extensions.extend_from_slice(&profile.extensions);
        Ok(extensions)
    };
    encode().map_err(unencodable)
}

fn alternative_names(names: &[Identifier]) -> Result<SubjectAltName, Fault> {
    let mut alternatives = Vec::with_capacity(names.len());
    for name in names.iter().filter(|name| in_subject(name).is_none()) {
        let ascii = || {
            Ia5String::new(&text(name)).map_err(|_| {
                Fault::malformed("an alternative name is not written in ASCII")
                    .code("name-malformed")
            })
        };
        alternatives.push(match name {
            Identifier::Ip(address) => GeneralName::from(*address),
            Identifier::Other { kind, .. } if kind == EMAIL => GeneralName::Rfc822Name(ascii()?),
            Identifier::Other { kind, .. } if kind == URI => {
                GeneralName::UniformResourceIdentifier(ascii()?)
            }
            _ => GeneralName::DnsName(ascii()?),
        });
    }
    Ok(SubjectAltName(alternatives))
}

fn text(identifier: &Identifier) -> String {
    match identifier {
        Identifier::Dns(name) => name.to_ascii_lowercase(),
        Identifier::Ip(address) => address.to_string(),
        Identifier::Other { value, .. } => value.clone(),
        _ => String::new(),
    }
}

fn bad_time(message: impl Into<String>) -> Fault {
    Fault::denied(message).code("validity-unacceptable")
}

/// RFC 5280 appendix A.1, ub-common-name
const COMMON_NAME_LENGTH: usize = 64;

/// How far in the past, in seconds, notBefore may lie: a client names it when it makes an order,
/// which may take days to be finalized.
const LEEWAY: u64 = 7 * 86_400;

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::*;

    const DAY: u64 = 86_400;
    const CA: (u64, u64) = (1_000 * DAY, 2_000 * DAY - 1);

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn check(
        (requested, not_before, not_after): (u64, Option<u64>, Option<u64>),
        backdate: u64,
    ) -> Result<(u64, u64), Fault> {
        let mut request = EnrollRequest::new("e", [], vec![]);
        request.requested_at = at(requested) + Duration::from_millis(700);
        request.not_before = not_before.map(at);
        request.not_after = not_after.map(at);
        let ca = Facts {
            subject: vec![],
            key_identifier: vec![],
            not_before: CA.0,
            not_after: CA.1,
        };
        validity(&request, 90 * DAY, backdate, &ca)
    }

    #[test]
    fn validity_is_what_was_asked_for_within_bounds() {
        let now = 1_500 * DAY;
        let usual = 90 * DAY - 1;
        for (asked, backdate, expected) in [
            // 90 days are not a second longer.
            ((now, None, None), 0, Some((now, now + usual))),
            ((now, None, None), 60, Some((now - 60, now - 60 + usual))),
            // Never before the CA, never beyond it.
            ((CA.0 + 10, None, None), 60, Some((CA.0, CA.0 + usual))),
            ((CA.1 - 100, None, None), 0, Some((CA.1 - 100, CA.1))),
            ((CA.1 + 1, None, None), 0, None),
            (
                (now, Some(now + DAY), None),
                0,
                Some((now + DAY, now + DAY + usual)),
            ),
            (
                (now, Some(now - LEEWAY), None),
                0,
                Some((now - LEEWAY, now - LEEWAY + usual)),
            ),
            ((now, Some(now - LEEWAY - 1), None), 0, None),
            ((now, Some(CA.1 + 1), None), 0, None),
            ((now, None, Some(now + DAY)), 0, Some((now, now + DAY))),
            ((now, None, Some(now + usual)), 0, Some((now, now + usual))),
            ((now, None, Some(now + usual + 1)), 0, None),
            // Backdated as far as the end that was asked for allows.
            ((now, None, Some(now + usual)), 60, Some((now, now + usual))),
            (
                (now, None, Some(now + usual - 20)),
                60,
                Some((now - 20, now + usual - 20)),
            ),
            (
                (now, None, Some(now + usual - 61)),
                60,
                Some((now - 60, now + usual - 61)),
            ),
            ((now, None, Some(now + usual + 1)), 60, None),
            ((now, None, Some(now)), 0, None),
            ((now, None, Some(now - 1)), 60, None),
            ((CA.1 - 100, None, Some(CA.1)), 0, Some((CA.1 - 100, CA.1))),
            ((CA.1 - 100, None, Some(CA.1 + 1)), 0, None),
            ((now, Some(now + 2), Some(now + 1)), 0, None),
        ] {
            assert_eq!(
                check(asked, backdate).ok(),
                expected,
                "{asked:?} {backdate}"
            );
        }
    }

    #[test]
    fn the_common_name_is_an_authorised_one() {
        let long = format!("{}.example", "a".repeat(60));
        for (wanted, names, expected) in [
            (vec![], vec!["a.example", "b.example"], Some("a.example")),
            (
                vec!["b.example"],
                vec!["a.example", "b.example"],
                Some("b.example"),
            ),
            (
                vec!["B.Example"],
                vec!["a.example", "b.example"],
                Some("b.example"),
            ),
            (vec!["Mallory"], vec!["a.example"], Some("a.example")),
            (
                vec!["Mallory", "b.example"],
                vec!["a.example", "b.example"],
                Some("b.example"),
            ),
            (vec![], vec![long.as_str(), "a.example"], None),
            (vec![long.as_str()], vec![long.as_str()], None),
            (
                vec!["a.example"],
                vec![long.as_str(), "a.example"],
                Some("a.example"),
            ),
        ] {
            let wanted: Vec<_> = wanted.into_iter().map(str::to_owned).collect();
            let names: Vec<_> = names
                .into_iter()
                .map(|name| Identifier::Dns(name.into()))
                .collect();
            assert_eq!(
                common_name(&wanted, &names, Protocol::Acme).as_deref(),
                expected,
                "{wanted:?}"
            );
        }
    }
}
