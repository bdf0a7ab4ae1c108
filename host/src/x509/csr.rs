//! [`Csr`]: a PKCS #10 request (RFC 2986) that has been read, verified and found decent.

use std::collections::BTreeSet;

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode as _, Reader as _, SliceReader};
use x509_parser::asn1_rs::Sequence;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::extensions::{ParsedExtension, SubjectAlternativeName};
use x509_parser::oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::X509Name;

use crate::x509::cert_name::CertName;
use crate::x509::names::{Names, Place};
use crate::x509::signature::{self, SignatureError};

/// One sentence about what is wrong with a request, for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the CSR is refused: {0}")]
pub struct CsrError(String);

/// A request whose signature is good, whose key is strong, and which asks for no CA rights.
#[derive(Clone, Debug)]
pub struct Csr {
    /// SubjectPublicKeyInfo, DER.
    pub public_key: Vec<u8>,
    /// The subject's Name, DER.
    pub subject: Vec<u8>,
    /// The request for extensions: the content of its SET of values, DER.
    pub extension_request: Option<Vec<u8>>,
    /// All attributes but the request for extensions, in their order.
    pub attributes: Vec<CsrAttribute>,
    names: Names,
}

/// RFC 6402 §2.8
pub const CHANGE_SUBJECT_NAME: &str = "1.3.6.1.5.5.7.7.36";

/// An attribute of a request (RFC 2986 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsrAttribute {
    /// Its type, the OID in dotted form.
    pub oid: String,
    /// The content of its SET of values, DER.
    pub values: Vec<u8>,
}

impl Csr {
    /// # Errors
    /// One sentence about the first thing that is wrong.
    pub fn parse(der: &[u8]) -> Result<Self, CsrError> {
        Self::read(der).map_err(CsrError)
    }

    /// Every name it asks for: alternative names, and what only the subject has.
    #[must_use]
    pub fn names(&self) -> Vec<CertName> {
        self.names.all().into_iter().collect()
    }

    /// The attribute of this type, OID in dotted form.
    #[must_use]
    pub fn attribute(&self, oid: &str) -> Option<&CsrAttribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.oid == oid)
    }

    /// The same request for the names in its attribute ChangeSubjectName (RFC 6402 §2.8): what the
    /// attribute leaves out stays.
    ///
    /// # Errors
    /// The attribute is not there, or can't be read.
    pub fn renamed(mut self) -> Result<Self, CsrError> {
        let names = self
            .attribute(CHANGE_SUBJECT_NAME)
            .and_then(|attribute| self.changed_names(&attribute.values))
            .ok_or_else(|| CsrError("its ChangeSubjectName can't be read".to_owned()))?;
        self.names = names.map_err(CsrError)?;
        Ok(self)
    }

    /// ChangeSubjectName ::= SEQUENCE { subject Name OPTIONAL, subjectAlt [1] GeneralNames OPTIONAL }
    fn changed_names(&self, der: &[u8]) -> Option<Result<Names, String>> {
        let (rest, whole) = Sequence::from_der(der).ok()?;
        let mut content: &[u8] = &whole.content;
        if !rest.is_empty() || content.is_empty() {
            return None;
        }
        let mut names = self.names.clone();
        if content.first() == Some(&0x30) {
            let (after, subject) = X509Name::from_der(content).ok()?;
            content = after;
            names = names.without_subject();
            if let Err(error) = names.add_subject(&subject) {
                return Some(Err(error));
            }
        }
        if content.first() == Some(&0xa1) {
            // The same under the tag that it would have by itself.
            let mut alternative = content.to_vec();
            *alternative.first_mut()? = 0x30;
            let (after, alternative) = SubjectAlternativeName::from_der(&alternative).ok()?;
            if !after.is_empty() {
                return None;
            }
            content = &[];
            names = names.without_alternative();
            if let Err(error) = names.add_alternative(&alternative) {
                return Some(Err(error));
            }
        }
        content.is_empty().then_some(Ok(names))
    }

    /// Checks that it names exactly what is authorised. DNS names stand in the subject alternative
    /// name, or in common names alone (RFC 8555 §7.4).
    ///
    /// # Errors
    /// One sentence that holds the name that is too much or missing.
    pub fn check_names(&self, authorised: &[CertName]) -> Result<(), CsrError> {
        let authorised: BTreeSet<_> = authorised.iter().collect();
        self.names
            .check(&authorised, Place::Request)
            .map_err(CsrError)
    }

    fn read(der: &[u8]) -> Result<Self, String> {
        let (rest, csr) = X509CertificationRequest::from_der(der)
            .map_err(|_| "it is not a PKCS #10 request in DER".to_owned())?;
        if !rest.is_empty() {
            return Err("bytes follow after its end".to_owned());
        }
        let info = &csr.certification_request_info;
        if let Some(weakness) = signature::weakness(&info.subject_pki) {
            return Err(weakness.to_owned());
        }
        signature::verify(
            &info.subject_pki,
            &csr.signature_algorithm,
            &csr.signature_value,
            info.raw,
        )
        .map_err(|error| match error {
            SignatureError::Algorithm => {
                "its signature algorithm is unknown or too weak".to_owned()
            }
            SignatureError::Wrong => "its signature is not by its own key".to_owned(),
        })?;

        let mut names = Names::default();
        names.add_subject(&info.subject)?;
        add_requested_extensions(&csr, &mut names)?;
        let mut attributes = attributes(info.raw)
            .map_err(|_| "its attributes are not what RFC 2986 says".to_owned())?;
        let extension_request = attributes
            .extract_if(.., |attribute| attribute.oid == EXTENSION_REQUEST)
            .next()
            .map(|attribute| attribute.values);
        Ok(Self {
            public_key: info.subject_pki.raw.to_vec(),
            subject: info.subject.as_raw().to_vec(),
            extension_request,
            attributes,
            names,
        })
    }
}

/// Every request for extensions counts, not only the first: a CA may read another one than we do.
fn add_requested_extensions(
    csr: &X509CertificationRequest<'_>,
    names: &mut Names,
) -> Result<(), String> {
    let mut requests = 0;
    let mut alternatives = 0;
    for attribute in csr.certification_request_info.iter_attributes() {
        let ParsedCriAttribute::ExtensionRequest(request) = attribute.parsed_attribute() else {
            continue;
        };
        requests += 1;
        for extension in &request.extensions {
            match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(alternative) => {
                    alternatives += 1;
                    names.add_alternative(alternative)?;
                }
                ParsedExtension::BasicConstraints(constraints) if constraints.ca => {
                    return Err("it asks for a CA certificate".to_owned());
                }
                ParsedExtension::KeyUsage(usage) if usage.key_cert_sign() || usage.crl_sign() => {
                    return Err("it asks for a key usage that only a CA may have".to_owned());
                }
                _ if extension.oid == OID_X509_EXT_SUBJECT_ALT_NAME => {
                    return Err("its subject alternative name can't be read".to_owned());
                }
                _ => {}
            }
        }
    }
    if requests > 1 {
        return Err("it has more than one request for extensions".to_owned());
    }
    if alternatives > 1 {
        return Err("it has more than one subject alternative name".to_owned());
    }
    Ok(())
}

/// PKCS #9
const EXTENSION_REQUEST: &str = "1.2.840.113549.1.9.14";

/// The attributes of a CertificationRequestInfo, DER. The reader above has the values of those alone
/// that it knows.
fn attributes(info: &[u8]) -> der::Result<Vec<CsrAttribute>> {
    let mut info = inside(AnyRef::from_der(info)?)?;
    // Version, subject and key come before; the attributes may be left out.
    for _ in 0..3 {
        info.decode::<AnyRef<'_>>()?;
    }
    let mut attributes = Vec::new();
    if info.is_finished() {
        return Ok(attributes);
    }
    let mut list = inside(info.decode()?)?;
    while !list.is_finished() {
        let mut attribute = inside(list.decode()?)?;
        let oid: ObjectIdentifier = attribute.decode()?;
        let values: AnyRef<'_> = attribute.decode()?;
        attributes.push(CsrAttribute {
            oid: oid.to_string(),
            values: values.value().to_vec(),
        });
    }
    Ok(attributes)
}

fn inside(element: AnyRef<'_>) -> der::Result<SliceReader<'_>> {
    SliceReader::new(element.value())
}
