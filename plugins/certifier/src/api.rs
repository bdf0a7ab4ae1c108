//! [`Api`]: the calls of Certifier's REST API, with what they answer.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use certdock_plugin_api::Fault;
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::client::Client;

/// Most pages of a list that are read.
const MOST_PAGES: usize = 100;

/// A CA. Objects are known by their `href`, which is a whole URL.
#[derive(Deserialize)]
pub(crate) struct Ca {
    pub(crate) href: String,
    name: Option<String>,
    certificates: Option<Active>,
}

#[derive(Deserialize)]
struct Active {
    active: Option<String>,
}

#[derive(Deserialize)]
struct Cas {
    cas: Vec<Ca>,
    #[serde(rename = "totalCount")]
    total: Option<usize>,
}

/// A certificate, or a request for one: the answer to a request has the fields of either.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Object {
    pub(crate) href: Option<String>,
    certificate_base64: Option<String>,
    issuer: Option<String>,
    issuer_ca: Option<String>,
    /// A request's: `accepted` and `rejected` are known; every other word means undecided.
    pub(crate) status: Option<String>,
    pub(crate) message: Option<String>,
    /// The link from an accepted request to its certificate.
    pub(crate) certificate: Option<String>,
}

#[derive(Deserialize)]
struct Certificates {
    certificates: Vec<Object>,
}

impl Ca {
    /// The path of its certificate.
    pub(crate) fn certificate(&self) -> Option<&str> {
        self.certificates.as_ref()?.active.as_deref().map(path_of)
    }
}

impl Object {
    /// The certificate itself, DER.
    pub(crate) fn der(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.certificate_base64.as_deref()?).ok()
    }

    /// The path of the CA above it; none at a root.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.issuer
            .as_deref()
            .or(self.issuer_ca.as_deref())
            .map(path_of)
    }
}

/// The calls, over a client.
pub(crate) struct Api(pub(crate) Client);

impl Api {
    /// The CA with exactly this name, which the API's filter does not promise, from any page.
    pub(crate) fn ca_named(&self, name: &str) -> Result<Option<Ca>, Fault> {
        let (filter, mut seen) = (format!("name:{name}"), 0);
        for _ in 0..MOST_PAGES {
            let offset = seen.to_string();
            let mut query = vec![("q", filter.as_str())];
            if seen > 0 {
                query.push(("offset", &offset));
            }
            let page: Cas = self.0.get("listing CAs", "/v1/cas", &query)?;
            seen += page.cas.len();
            let last = page.cas.is_empty() || page.total.is_none_or(|total| seen >= total);
            let found = page
                .cas
                .into_iter()
                .find(|ca| ca.name.as_deref() == Some(name));
            if found.is_some() || last {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Asks for a certificate: answers with it, or with the request that waits for a decision.
    pub(crate) fn request(
        &self,
        ca: &str,
        csr: &[u8],
        profile: Option<&str>,
    ) -> Result<Object, Fault> {
        let mut body = json!({ "ca": ca, "pkcs10": STANDARD.encode(csr) });
        if let (Some(profile), Some(fields)) = (profile, body.as_object_mut()) {
            fields.insert("profileId".to_owned(), profile.into());
        }
        self.0
            .post("requesting a certificate", "/v1/requests", &body)
    }

    pub(crate) fn read_request(&self, path: &str) -> Result<Object, Fault> {
        self.0.get("reading a request", path, &[])
    }

    pub(crate) fn read_certificate(&self, path: &str) -> Result<Object, Fault> {
        self.0.get("reading a certificate", path, &[])
    }

    pub(crate) fn read_ca(&self, path: &str) -> Result<Ca, Fault> {
        self.0.get("reading a CA", path, &[])
    }

    /// The CA's certificate with this serial number.
    pub(crate) fn find(&self, ca: &str, serial: &[u8]) -> Result<Option<Object>, Fault> {
        let filter = format!("issuer-id:{ca},serial-number:{}", decimal(serial));
        let (purpose, query) = ("looking for a certificate", [("q", filter.as_str())]);
        let list: Certificates = self.0.get(purpose, "/v1/certificates", &query)?;
        Ok(list.certificates.into_iter().next())
    }

    pub(crate) fn revoke(&self, path: &str, reason: &str, since: SystemTime) -> Result<(), Fault> {
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
        let since = OffsetDateTime::from(since)
            .format(format)
            .unwrap_or_default();
        let body = json!({ "newStatus": "revoked", "crlReason": reason, "invalidityDate": since });
        let _: Value = self
            .0
            .post("revoking a certificate", &format!("{path}/status"), &body)?;
        Ok(())
    }
}

/// The path of a link. Links are followed at the configured address only, whatever host they name:
/// the password goes nowhere else, and an API behind another name still works.
pub(crate) fn path_of(href: &str) -> &str {
    let rest = href.split_once("://").map_or(href, |(_, rest)| rest);
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
}

/// A big-endian number in decimal, as the API wants serial numbers.
fn decimal(bytes: &[u8]) -> String {
    let mut digits = vec![0_u16];
    for byte in bytes {
        let mut carry = u16::from(*byte);
        for digit in &mut digits {
            carry += *digit * 256;
            *digit = carry % 10;
            carry /= 10;
        }
        while carry > 0 {
            digits.push(carry % 10);
            carry /= 10;
        }
    }
    digits.iter().rev().map(u16::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_at_home() {
        let cases = [
            ("https://ca.example:8084/v1/cas/x", "/v1/cas/x"),
            ("http://evil.example/v1/cas/x?a=b", "/v1/cas/x?a=b"),
            ("/v1/cas/x", "/v1/cas/x"),
            ("https://ca.example", "/"),
            ("@evil.example/v1", "/v1"),
        ];
        for (href, path) in cases {
            assert_eq!(path_of(href), path);
        }
    }

    #[test]
    fn serial_numbers_are_decimal() {
        let cases: [(&[u8], &str); 4] = [
            (&[], "0"),
            (&[0, 255], "255"),
            (&[1, 0, 0], "65536"),
            (
                &[0xff; 20],
                "1461501637330902918203684832716283019655932542975",
            ),
        ];
        for (bytes, expected) in cases {
            assert_eq!(decimal(bytes), expected);
        }
    }
}
