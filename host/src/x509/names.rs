//! The names in a subject and a subject alternative name, of a request as of a certificate.

use std::collections::BTreeSet;

use x509_parser::extensions::{GeneralName, SubjectAlternativeName};
use x509_parser::x509::X509Name;

use crate::order::Identifier;

/// The names found, all of them ones that an order can ask for.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) alternative: BTreeSet<Identifier>,
    pub(crate) common: BTreeSet<Identifier>,
}

impl Names {
    /// Adds a subject's common names. A subject may have several; each must be a name.
    pub(crate) fn add_subject(&mut self, subject: &X509Name<'_>) -> Result<(), String> {
        for attribute in subject.iter_common_name() {
            let text = attribute
                .as_str()
                .map_err(|_| "a common name of its subject is not readable text".to_owned())?;
            self.common.insert(read(text, "the common name")?);
        }
        if subject.iter_email().next().is_some() {
            return Err("its subject has an e-mail address, which nobody authorised".to_owned());
        }
        Ok(())
    }

    pub(crate) fn add_alternative(
        &mut self,
        extension: &SubjectAlternativeName<'_>,
    ) -> Result<(), String> {
        for name in &extension.general_names {
            let GeneralName::DNSName(text) = name else {
                return Err(format!(
                    "its subject alternative name has {}, which nobody authorised",
                    kind(name)
                ));
            };
            self.alternative.insert(read(text, "the DNS name")?);
        }
        Ok(())
    }

    /// All names, wherever they stand.
    pub(crate) fn all(&self) -> BTreeSet<&Identifier> {
        self.alternative.union(&self.common).collect()
    }

    /// Compares with what is authorised, in both directions. `alone` says whether common names count
    /// where there is no subject alternative name (RFC 8555 §7.4: in a request they do).
    pub(crate) fn check(
        &self,
        authorised: &BTreeSet<&Identifier>,
        common_name_alone: bool,
    ) -> Result<(), String> {
        let found = self.all();
        if let Some(extra) = found.difference(authorised).next() {
            return Err(format!("it names {extra}, which was not asked for"));
        }
        let counted: BTreeSet<&Identifier> = if self.alternative.is_empty() && common_name_alone {
            self.common.iter().collect()
        } else {
            self.alternative.iter().collect()
        };
        match authorised.difference(&counted).next() {
            Some(missing) => Err(format!("it does not name {missing}, which was asked for")),
            None => Ok(()),
        }
    }
}

fn read(text: &str, what: &str) -> Result<Identifier, String> {
    text.parse().map_err(|error| {
        let shown: String = text
            .chars()
            .take(80)
            .flat_map(char::escape_default)
            .collect();
        format!("{what} '{shown}' can't be certified: {error}")
    })
}

fn kind(name: &GeneralName<'_>) -> &'static str {
    match name {
        GeneralName::OtherName(..) => "an otherName",
        GeneralName::RFC822Name(_) => "an e-mail address",
        GeneralName::DNSName(_) => "a DNS name",
        GeneralName::X400Address(_) => "an X.400 address",
        GeneralName::DirectoryName(_) => "a directory name",
        GeneralName::EDIPartyName(_) => "an EDI party name",
        GeneralName::URI(_) => "a URI",
        GeneralName::IPAddress(_) => "an IP address",
        GeneralName::RegisteredID(_) => "a registered id",
        GeneralName::Invalid(..) => "an unreadable name",
    }
}
