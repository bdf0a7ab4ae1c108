//! [`Issuer`]: the configured CA, and the way from a certificate up to its root.

use certdock_plugin_api::{Chain, Fault};

use crate::api::{Api, Object, path_of};

/// The code of the fault that says that there is no CA of the configured name.
pub(crate) const UNKNOWN_CA: &str = "ca-unknown";

/// More CAs above one certificate are a mistake.
const LONGEST: usize = 10;

/// A CA with its certificates, as the API described them.
pub(crate) struct Issuer {
    pub(crate) href: String,
    /// Its own certificate, then those above it.
    pub(crate) certificates: Vec<Vec<u8>>,
}

impl Issuer {
    pub(crate) fn find(api: &Api, name: &str) -> Result<Self, Fault> {
        let ca = api.ca_named(name)?.ok_or_else(|| {
            Fault::misconfigured("the CA is not there")
                .code(UNKNOWN_CA)
                .private(format!(
                    "listing CAs: none is named \"{name}\"; see to `ca_name`"
                ))
        })?;
        let certificates = upwards(api, path_of(&ca.href))?;
        let href = ca.href;
        Ok(Self { href, certificates })
    }

    /// A certificate with all that is above it. Most are the CA's own.
    pub(crate) fn chain(&self, api: &Api, certificate: &Object) -> Result<Chain, Fault> {
        let mut all = vec![der_of(certificate)?];
        match certificate.issuer() {
            Some(path) if path == path_of(&self.href) => all.extend_from_slice(&self.certificates),
            Some(path) => all.extend(upwards(api, path)?),
            None => {}
        }
        Ok(Chain::new(all))
    }
}

/// The certificate of the CA at this path and those above it.
fn upwards(api: &Api, ca: &str) -> Result<Vec<Vec<u8>>, Fault> {
    let mut all = Vec::new();
    let mut next = Some(ca.to_owned());
    while let Some(path) = next {
        let ca = api.read_ca(&path)?;
        let active = ca.certificate().ok_or_else(|| {
            Fault::upstream("the CA has no certificate")
                .private(format!("reading a CA: {path} has no active certificate"))
        })?;
        let certificate = api.read_certificate(active)?;
        let der = der_of(&certificate)?;
        // A root may name itself, and two CAs each other.
        if all.contains(&der) || all.len() == LONGEST {
            break;
        }
        all.push(der);
        next = certificate.issuer().map(str::to_owned);
    }
    Ok(all)
}

fn der_of(certificate: &Object) -> Result<Vec<u8>, Fault> {
    certificate.der().ok_or_else(|| {
        Fault::upstream("the CA's answer can't be used")
            .private("reading a certificate: certificateBase64 is missing or no base64")
    })
}
