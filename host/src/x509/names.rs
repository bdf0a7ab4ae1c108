//! The names in a subject and a subject alternative name, of a request as of a certificate.

use std::collections::BTreeSet;
use std::net::IpAddr;

use x509_parser::extensions::{GeneralName, SubjectAlternativeName};
use x509_parser::oid_registry::OID_X509_SERIALNUMBER;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use crate::order::Identifier;
use crate::x509::cert_name::{CertName, LONGEST};

/// The names found, all of kinds that can be asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// Those of the subject alternative name.
    alternative: BTreeSet<CertName>,
    /// The texts of the subject's common names.
    common: BTreeSet<String>,
    /// The texts of the subject's serialNumber attributes.
    serial: BTreeSet<String>,
    /// The subject's e-mail addresses.
    mail: BTreeSet<String>,
}

/// Where names were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Common names count as DNS names where there is no subject alternative name (RFC 8555 §7.4).
    Request,
    Certificate,
}

impl Names {
    /// Adds a subject's names. A subject may have several of each kind.
    pub(crate) fn add_subject(&mut self, subject: &X509Name<'_>) -> Result<(), String> {
        for attribute in subject.iter_common_name() {
            self.common.insert(text(attribute, "a common name of")?);
        }
        for attribute in subject.iter_by_oid(&OID_X509_SERIALNUMBER) {
            self.serial.insert(text(attribute, "a serial number in")?);
        }
        for attribute in subject.iter_email() {
            self.mail.insert(text(attribute, "an e-mail address in")?);
        }
        Ok(())
    }

    /// Without what the subject has.
    pub(crate) fn without_subject(self) -> Self {
        Self {
            alternative: self.alternative,
            ..Self::default()
        }
    }

    /// With what the subject has alone.
    pub(crate) fn without_alternative(self) -> Self {
        Self {
            alternative: BTreeSet::new(),
            ..self
        }
    }

    pub(crate) fn add_alternative(
        &mut self,
        extension: &SubjectAlternativeName<'_>,
    ) -> Result<(), String> {
        for name in &extension.general_names {
            self.alternative.insert(read_alternative(name)?);
        }
        Ok(())
    }

    /// Every name found, for a policy to say which of them are granted. A common name that repeats an
    /// alternative name is no name of its own.
    pub(crate) fn all(&self) -> BTreeSet<CertName> {
        let mut all = self.alternative.clone();
        let own_common = self
            .common
            .iter()
            .filter(|text| !self.alternative.iter().any(|name| name.is_spelt(text)));
        all.extend(own_common.cloned().map(CertName::CommonName));
        all.extend(self.serial.iter().cloned().map(CertName::SerialNumber));
        all.extend(self.mail.iter().cloned().map(CertName::Email));
        all
    }

    /// Compares with what is authorised, in both directions.
    pub(crate) fn check(
        &self,
        authorised: &BTreeSet<&CertName>,
        place: Place,
    ) -> Result<(), String> {
        self.check_none_too_many(authorised)?;
        for &name in authorised {
            let found = match name {
                CertName::CommonName(text) => self.common.contains(text),
                CertName::SerialNumber(text) => self.serial.contains(text),
                _ if place == Place::Request && self.alternative.is_empty() => {
                    let dns = matches!(name, CertName::Dns(_));
                    dns && self.common.iter().any(|text| name.is_spelt(text))
                }
                _ => self.alternative.contains(name),
            };
            if !found {
                return Err(format!("it does not name {name}, which was asked for"));
            }
        }
        Ok(())
    }

    fn check_none_too_many(&self, authorised: &BTreeSet<&CertName>) -> Result<(), String> {
        let not_asked =
            |name: &dyn std::fmt::Display| Err(format!("it names {name}, which was not asked for"));
        for name in &self.alternative {
            if authorised.contains(name) {
                continue;
            }
            return match kind(name) {
                "a DNS name" => not_asked(name),
                kind => Err(format!(
                    "its subject alternative name has {kind}, which nobody authorised"
                )),
            };
        }
        for text in &self.common {
            if authorised.iter().any(|name| name.is_spelt(text)) {
                continue;
            }
            return match text.parse::<Identifier>() {
                Ok(name) => not_asked(&name),
                Err(error) => Err(format!(
                    "the common name '{}' can't be certified: {error}",
                    shown(text)
                )),
            };
        }
        let mail = |text: &&String| !authorised.contains(&CertName::Email((*text).clone()));
        if self.mail.iter().any(|text| mail(&text)) {
            return Err("its subject has an e-mail address, which nobody authorised".to_owned());
        }
        // Where DNS names alone are asked for, a serial number in the subject is the CA's own affair.
        let strict = !authorised
            .iter()
            .all(|name| matches!(name, CertName::Dns(_)));
        let extra = self
            .serial
            .iter()
            .find(|text| strict && !authorised.contains(&CertName::SerialNumber((*text).clone())));
        match extra {
            Some(text) => Err(format!(
                "its subject has the serial number '{}', which nobody authorised",
                shown(text)
            )),
            None => Ok(()),
        }
    }
}

/// What can be shown, stored and compared as text.
fn text(attribute: &AttributeTypeAndValue<'_>, what: &str) -> Result<String, String> {
    match attribute.as_str() {
        Ok(text)
            if !text.is_empty() && text.len() <= LONGEST && !text.chars().any(char::is_control) =>
        {
            Ok(text.to_owned())
        }
        _ => Err(format!("{what} its subject is not readable text")),
    }
}

fn read_alternative(name: &GeneralName<'_>) -> Result<CertName, String> {
    Ok(match name {
        GeneralName::DNSName(text) => match text.parse() {
            Ok(identifier) => CertName::Dns(identifier),
            Err(error) => {
                return Err(format!(
                    "the DNS name '{}' can't be certified: {error}",
                    shown(text)
                ));
            }
        },
        GeneralName::IPAddress(bytes) => CertName::Ip(address(bytes)?),
        GeneralName::RFC822Name(text) => CertName::Email(readable(text, "an e-mail address")?),
        GeneralName::URI(text) => CertName::Uri(readable(text, "a URI")?),
        other => {
            return Err(format!(
                "its subject alternative name has {}, which nobody authorised",
                rare_kind(other)
            ));
        }
    })
}

/// RFC 5280 §4.2.1.6: four octets, or sixteen.
fn address(bytes: &[u8]) -> Result<IpAddr, String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Ok(four.into());
    }
    <[u8; 16]>::try_from(bytes)
        .map(IpAddr::from)
        .map_err(|_| "its subject alternative name has an unreadable IP address".to_owned())
}

/// RFC 5280 §4.2.1.6: these are IA5Strings; spaces and control characters only serve to deceive.
fn readable(text: &str, what: &str) -> Result<String, String> {
    if !text.is_empty() && text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic())
    {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "its subject alternative name has {what} that is empty, too long or not plain text"
        ))
    }
}

fn shown(text: &str) -> String {
    let first = text.chars().take(80);
    first.flat_map(char::escape_default).collect()
}

fn kind(name: &CertName) -> &'static str {
    match name {
        CertName::Dns(_) => "a DNS name",
        CertName::Ip(_) => "an IP address",
        CertName::Email(_) => "an e-mail address",
        CertName::Uri(_) => "a URI",
        CertName::CommonName(_) => "a common name",
        CertName::SerialNumber(_) => "a serial number",
    }
}

fn rare_kind(name: &GeneralName<'_>) -> &'static str {
    match name {
        GeneralName::OtherName(..) => "an otherName",
        GeneralName::X400Address(_) => "an X.400 address",
        GeneralName::DirectoryName(_) => "a directory name",
        GeneralName::EDIPartyName(_) => "an EDI party name",
        GeneralName::RegisteredID(_) => "a registered id",
        _ => "an unreadable name",
    }
}
