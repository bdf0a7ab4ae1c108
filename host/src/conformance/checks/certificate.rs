//! What was issued, looked at as the server looks at it before anybody gets it.

use certdock_plugin_api::Chain;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use crate::conformance::bench::Bench;
use crate::conformance::check::Check;
use crate::conformance::sample::Sample;
use crate::conformance::verdict::{Stop, Verdict, ensure};
use crate::time::UnixTime;
use crate::x509::{
    CertName, ChainError, IssuedCertificate, VerifiedIssuers, certificate_names, certifier,
    complete, public_key_of,
};

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "certificate.readable",
        "the certificate is one, in DER, with nothing after it",
        readable,
    )
    .needs("enroll.issues")
    .after(&["ca.answers"])
    .issues(),
    Check::new(
        "certificate.key",
        "it certifies the key of the request",
        key,
    )
    .needs("certificate.readable")
    .issues(),
    Check::new(
        "certificate.names",
        "it carries the names that were asked for, and no others",
        names,
    )
    .needs("certificate.readable")
    .issues(),
    Check::new("certificate.valid", "it is valid now", valid)
        .needs("certificate.readable")
        .issues(),
    Check::new("certificate.no-ca", "it is no CA's", no_ca)
        .needs("certificate.readable")
        .issues(),
    Check::new(
        "certificate.serial",
        "its serial number is positive and hard to guess",
        serial,
    )
    .needs("certificate.readable")
    .issues(),
    Check::new(
        "certificate.chain",
        "each certificate of its chain was issued by the next, up to the CA's",
        chain,
    )
    .needs("certificate.readable")
    .issues(),
    Check::new(
        "certificate.size",
        "the chain is short and small enough for any client",
        size,
    )
    .needs("certificate.readable")
    .issues(),
    Check::new(
        "certificate.alternates",
        "other chains begin with the same certificate and hold as well",
        alternates,
    )
    .needs("certificate.readable")
    .issues(),
];

struct Issued {
    sample: Sample,
    chain: Chain,
    leaf: Vec<u8>,
    ca_certs: Vec<Vec<u8>>,
}

fn issue(bench: &Bench) -> Result<Issued, Stop> {
    let sample = Sample::new(&bench.settings().names)?;
    let open = bench.open()?;
    let chain = open.issue(&sample, bench.settings().patience)?;
    let leaf = chain.certificates.first().cloned();
    Ok(Issued {
        sample,
        leaf: leaf.ok_or_else(|| Stop::failed("the chain is empty"))?,
        chain,
        ca_certs: open
            .ca_certs_get()?
            .map(|answer| answer.certificates)
            .unwrap_or_default(),
    })
}

impl Issued {
    fn parse(&self) -> Result<X509Certificate<'_>, Stop> {
        match X509Certificate::from_der(&self.leaf) {
            Ok(([], certificate)) => Ok(certificate),
            _ => Err(Stop::failed("what it issues is no certificate in DER")),
        }
    }

    /// The server's own check, where everything but one thing is taken from the certificate itself.
    fn check(&self, key: Option<&[u8]>, names: Option<&[CertName]>) -> Result<(), ChainError> {
        let own_key = public_key_of(&self.leaf).unwrap_or_default();
        let own_names = self
            .parse()
            .ok()
            .and_then(|own| certificate_names(&own).ok());
        let own_names = own_names.unwrap_or_default();
        let key = key.unwrap_or(&own_key);
        let names = names.unwrap_or(&own_names);
        IssuedCertificate::check(&self.leaf, key, names, (None, None), UnixTime::now()).map(drop)
    }
}

fn readable(bench: &Bench) -> Verdict {
    let issued = issue(bench)?;
    Ok(issued.parse()?.subject().to_string())
}

fn wrong(error: &ChainError) -> Stop {
    Stop::Failed(error.to_string())
}

fn key(bench: &Bench) -> Verdict {
    let issued = issue(bench)?;
    match issued.check(Some(&issued.sample.public_key), None) {
        Err(error @ ChainError::OtherKey) => Err(wrong(&error)),
        _ => Ok(String::new()),
    }
}

fn names(bench: &Bench) -> Verdict {
    let issued = issue(bench)?;
    match issued.check(None, Some(&issued.sample.names)) {
        Err(error @ ChainError::Names(_)) => Err(wrong(&error)),
        _ => Ok(String::new()),
    }
}

fn valid(bench: &Bench) -> Verdict {
    let issued = issue(bench)?;
    match issued.check(None, None) {
        Err(error @ ChainError::Validity(..)) => Err(wrong(&error)),
        _ => {
            let read = IssuedCertificate::read(&issued.leaf);
            Ok(read
                .map(|read| format!("until {}", read.not_after))
                .unwrap_or_default())
        }
    }
}

fn no_ca(bench: &Bench) -> Verdict {
    match issue(bench)?.check(None, None) {
        Err(error @ ChainError::IsCa) => Err(wrong(&error)),
        _ => Ok(String::new()),
    }
}

/// RFC 5280 §4.1.2.2: positive, 20 octets at most. 64 bits of chance are what public CAs owe.
fn serial(bench: &Bench) -> Verdict {
    let issued = issue(bench)?;
    let certificate = issued.parse()?;
    let serial = certificate.raw_serial();
    let negative = serial.first().is_none_or(|first| first & 0x80 != 0);
    let zero = serial.iter().all(|byte| *byte == 0);
    ensure(!negative && !zero && serial.len() <= 20, || {
        format!(
            "its serial number is not what RFC 5280 wants: {}",
            certificate.raw_serial_as_string()
        )
    })?;
    ensure(serial.len() >= 8, || {
        format!(
            "its serial number has {} bits at most; it could be guessed beforehand, so take 64 random \
             bits or more",
            serial.len() * 8
        )
    })?;
    Ok(format!("{} bits", serial.len() * 8))
}

/// As the server completes and checks it.
fn chain(bench: &Bench) -> Verdict {
    let issued = issue(bench)?;
    let mut chain = complete(issued.chain.certificates, &issued.ca_certs);
    if let [alone] = chain.as_slice()
        && let Some(issuer) = certifier(alone, &issued.ca_certs).cloned()
    {
        chain.push(issuer);
    }
    VerifiedIssuers::default()
        .check(&chain)
        .map_err(|error| wrong(&error))?;
    ensure(chain.len() > 1, || {
        "nothing leads from it to the CA: send the issuers along, or give them in ca_certs_get"
            .to_owned()
    })?;
    let top = chain.last().cloned().unwrap_or_default();
    let known = issued.ca_certs.contains(&top) || certifier(&top, &issued.ca_certs).is_some();
    ensure(known || issued.ca_certs.is_empty(), || {
        "its chain leads to a CA that is not among those of ca_certs_get".to_owned()
    })?;
    Ok(format!("{} certificates", chain.len()))
}

/// Clients take a hundred kilobytes of certificates in a TLS handshake (OpenSSL's default), and no
/// real chain has as many members.
fn size(bench: &Bench) -> Verdict {
    const MOST: usize = 8;
    const LARGEST: usize = 100 * 1024;
    let Issued { chain, .. } = issue(bench)?;
    for chain in std::iter::once(&chain.certificates).chain(&chain.alternates) {
        let bytes: usize = chain.iter().map(Vec::len).sum();
        ensure(chain.len() <= MOST && bytes <= LARGEST, || {
            format!("a chain has {} certificates in {bytes} bytes", chain.len())
        })?;
    }
    let bytes: usize = chain.certificates.iter().map(Vec::len).sum();
    Ok(format!(
        "{} certificates in {bytes} bytes",
        chain.certificates.len()
    ))
}

fn alternates(bench: &Bench) -> Verdict {
    let Issued { chain, leaf, .. } = issue(bench)?;
    for alternate in &chain.alternates {
        ensure(alternate.first() == Some(&leaf), || {
            ChainError::OtherLeaf.to_string()
        })?;
        VerifiedIssuers::default()
            .check(alternate)
            .map_err(|error| wrong(&error))?;
    }
    match chain.alternates.len() {
        0 => Err(Stop::skipped("it gives one chain only")),
        count => Ok(format!("{count} of them")),
    }
}
