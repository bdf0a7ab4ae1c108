//! [`Authority`]: the CA's key and certificates, read from their files and checked to fit together.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use certdock_plugin_api::{Fault, Host};
use der::flagset::FlagSet;
use der::oid::AssociatedOid;
use der::{Decode, Encode};
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private, Public};
use openssl::x509::{X509, X509Ref, X509VerifyResult};
use x509_cert::TbsCertificate;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, KeyUsages, SubjectKeyIdentifier};
use zeroize::Zeroizing;

use crate::certificate::{seconds, subject_key_identifier};
use crate::config::{Config, Report};
use crate::create;
use crate::key::SigningKey;

/// A CA that can sign.
pub(crate) struct Authority {
    pub(crate) key: SigningKey,
    pub(crate) public_key: PKey<Public>,
    pub(crate) facts: Facts,
    /// DER: the issuing CA, then each next issuer.
    pub(crate) chain: Vec<Vec<u8>>,
    /// The same without a root above the issuing CA: what a server is to send to its clients.
    pub(crate) served: Vec<Vec<u8>>,
    /// Other such chains, each from a certificate for the issuing CA on.
    pub(crate) alternates: Vec<Vec<Vec<u8>>>,
}

/// What is taken from the issuing CA's certificate.
pub(crate) struct Facts {
    /// Its subject's `Name`, DER: the issuer of all that it signs, byte by byte.
    pub(crate) subject: Vec<u8>,
    pub(crate) key_identifier: Vec<u8>,
    /// Seconds since 1970, both inclusive.
    pub(crate) not_before: u64,
    pub(crate) not_after: u64,
}

impl Authority {
    /// What whoever trusts this CA is given: its chain, and the other certificates that it has for its
    /// own key, so that trust survives a change of the root. Nobody else's: some take all of these for
    /// this CA.
    pub(crate) fn certificates(&self) -> Vec<Vec<u8>> {
        let mut all = self.chain.clone();
        for certificate in self.alternates.iter().filter_map(|chain| chain.first()) {
            if !all.contains(certificate) {
                all.push(certificate.clone());
            }
        }
        all
    }

    /// Reads all files. What is wrong goes to `report`; then there is no authority.
    pub(crate) fn load(config: &Config, host: &Host, report: &mut Report) -> Option<Self> {
        let key = load_key(config, host, report);
        let issuing = load_issuing(config, host, report);
        let upper = load_upper(config, host, report);
        let alternates = load_alternates(config, host, report);
        let ((certificate, facts), key, upper, alternates) = (issuing?, key?, upper?, alternates?);

        check_key(&key, &certificate, report)?;
        check_links(
            &[std::slice::from_ref(&certificate), &upper].concat(),
            "chain",
            report,
        )?;
        for (index, chain) in alternates.iter().enumerate() {
            check_alternate(
                chain,
                &certificate,
                &format!("alternate_chains[{index}]"),
                report,
            )?;
        }
        let chain = [vec![certificate.clone()], upper].concat();
        let key = SigningKey::new(key)
            .map_err(|reason| report.error("ca_key", format!("{reason}; use another key"), ""))
            .ok()?;
        let assemble = || {
            let alternates = alternates.iter().map(|chain| der(without_root(chain)));
            Ok::<_, ErrorStack>(Self {
                key,
                public_key: certificate.public_key()?,
                facts,
                chain: der(&chain)?,
                served: der(without_root(&chain))?,
                alternates: alternates.collect::<Result<_, _>>()?,
            })
        };
        assemble()
            .map_err(|error| {
                report.error("chain", "the certificates can't be read", error.to_string());
            })
            .ok()
    }
}

impl Facts {
    /// Reads a CA's certificate; a sentence says what makes it unfit.
    pub(crate) fn of(certificate: &X509Ref) -> Result<Self, String> {
        let der = certificate.to_der().map_err(|error| error.to_string())?;
        let parsed = x509_cert::Certificate::from_der(&der)
            .map_err(|error| format!("it is not proper DER: {error}"))?;
        let tbs = parsed.tbs_certificate();
        if !extension::<BasicConstraints>(tbs)?.is_some_and(|constraints| constraints.ca) {
            return Err("it is not a CA's: basicConstraints does not say so".into());
        }
        // RFC 5280 §4.2.1.3: without the extension, a key may be used for all.
        let usage = extension::<KeyUsage>(tbs)?.map_or(FlagSet::full(), |usage| usage.0);
        for (flag, name) in [
            (KeyUsages::KeyCertSign, "keyCertSign"),
            (KeyUsages::CRLSign, "cRLSign"),
        ] {
            if !usage.contains(flag) {
                return Err(format!("its keyUsage lacks {name}"));
            }
        }
        // RFC 5280 §4.1.2.4: an issuer has a name.
        if tbs.subject().is_empty() {
            return Err("its subject is empty".into());
        }
        let identifier = match extension::<SubjectKeyIdentifier>(tbs)? {
            Some(identifier) => identifier,
            None => tbs
                .subject_public_key_info()
                .to_der()
                .and_then(|key| subject_key_identifier(&key))
                .map_err(|error| error.to_string())?,
        };
        Ok(Self {
            // OpenSSL keeps the bytes that it read a name from.
            subject: certificate
                .subject_name()
                .to_der()
                .map_err(|error| error.to_string())?,
            key_identifier: identifier.0.as_bytes().to_vec(),
            not_before: tbs.validity().not_before.to_unix_duration().as_secs(),
            not_after: tbs.validity().not_after.to_unix_duration().as_secs(),
        })
    }
}

/// The passphrase of the configuration, if there is one.
pub(crate) fn passphrase(
    config: &Config,
    host: &Host,
) -> Result<Option<Zeroizing<Vec<u8>>>, Fault> {
    let reference = config.ca_key_passphrase.as_ref();
    reference
        .map(|reference| host.secret(reference))
        .transpose()
        .map_err(|fault| {
            Fault::misconfigured("the passphrase can't be read; check where it is said to be")
                .private(fault.to_string())
        })
}

/// Reads a private key, PEM; a sentence says why it can't be read and what to do.
pub(crate) fn parse_key(pem: &[u8], passphrase: Option<&[u8]>) -> Result<PKey<Private>, String> {
    let asked = Cell::new(false);
    // Without a callback OpenSSL would ask on the terminal.
    let parsed = PKey::private_key_from_pem_callback(pem, |buffer| {
        asked.set(true);
        let passphrase = passphrase.unwrap_or_default();
        match buffer.get_mut(..passphrase.len()) {
            Some(room) => room.copy_from_slice(passphrase),
            None => return Err(ErrorStack::get()),
        }
        Ok(passphrase.len())
    });
    parsed.map_err(|_| match (asked.get(), passphrase) {
        (true, Some(_)) => "the passphrase does not open it; correct ca_key_passphrase".into(),
        (true, None) => "it is encrypted; say where its passphrase is in ca_key_passphrase".into(),
        (false, _) => "it holds no private key in PEM form; give the CA's private key".into(),
    })
}

fn load_key(config: &Config, host: &Host, report: &mut Report) -> Option<PKey<Private>> {
    let passphrase = passphrase(config, host)
        .map_err(|fault| report.error("ca_key_passphrase", fault.public, fault.private))
        .ok();
    let path = host.resolve(&config.ca_key);
    let pem = Zeroizing::new(read(&path, "ca_key", report)?);
    if fs::metadata(&path).is_ok_and(|metadata| metadata.mode() & 0o007 != 0) {
        report.warning(
            "ca_key",
            "everybody may use the key's file; set its mode to 0600",
        );
    }
    parse_key(&pem, passphrase?.as_ref().map(|secret| secret.as_slice()))
        .map_err(|reason| report.error("ca_key", reason, path.display().to_string()))
        .ok()
}

fn load_issuing(config: &Config, host: &Host, report: &mut Report) -> Option<(X509, Facts)> {
    const KEY: &str = "ca_certificate";
    let path = host.resolve(&config.ca_certificate);
    let certificate = load_certificates(&path, KEY, report)?.into_iter().next()?;
    let facts = Facts::of(&certificate)
        .map_err(|reason| {
            report.error(
                KEY,
                format!("the certificate can't issue others: {reason}; give a CA's certificate"),
                path.display().to_string(),
            );
        })
        .ok()?;
    if certificate.subject_key_id().is_none() {
        report.warning(
            KEY,
            "the CA certificate has no subject key identifier (RFC 5280 §4.2.1.2); have it \
             issued again with one",
        );
    }
    let now = seconds(host.now());
    if now > facts.not_after {
        report.error(KEY, "the CA certificate has expired; have it renewed", "");
        return None;
    }
    if now < facts.not_before {
        report.error(
            KEY,
            "the CA certificate is not valid yet; check the clock",
            "",
        );
        return None;
    }
    if facts.not_after - now < config.validity.get().as_secs() {
        report.warning(
            KEY,
            "the CA certificate ends sooner than `validity` from now, so certificates are cut \
             short; have it renewed",
        );
    }
    Some((certificate, facts))
}

/// What stands in `chain`, or the root that `create` made.
fn load_upper(config: &Config, host: &Host, report: &mut Report) -> Option<Vec<X509>> {
    let made = create::root_certificate(config);
    if config.create && config.chain.is_empty() && host.resolve(&made).exists() {
        return load_all(&[made], "new_ca.root_certificate", host, report);
    }
    load_all(&config.chain, "chain", host, report)
}

fn load_alternates(config: &Config, host: &Host, report: &mut Report) -> Option<Vec<Vec<X509>>> {
    let mut all = Vec::new();
    for (index, files) in config.alternate_chains.iter().enumerate() {
        all.push(load_all(
            files,
            &format!("alternate_chains[{index}]"),
            host,
            report,
        ));
    }
    all.into_iter().collect()
}

fn load_all(files: &[PathBuf], key: &str, host: &Host, report: &mut Report) -> Option<Vec<X509>> {
    let mut all = Some(Vec::new());
    for file in files {
        match (
            load_certificates(&host.resolve(file), key, report),
            &mut all,
        ) {
            (Some(more), Some(all)) => all.extend(more),
            _ => all = None,
        }
    }
    all
}

fn load_certificates(path: &Path, key: &str, report: &mut Report) -> Option<Vec<X509>> {
    let pem = read(path, key, report)?;
    match X509::stack_from_pem(&pem) {
        Ok(certificates) if !certificates.is_empty() => Some(certificates),
        _ => {
            report.error(
                key,
                "the file holds no certificate in PEM form; give one",
                path.display().to_string(),
            );
            None
        }
    }
}

fn read(path: &Path, key: &str, report: &mut Report) -> Option<Vec<u8>> {
    fs::read(path)
        .map_err(|error| {
            report.error(
                key,
                "the file can't be read; check its path and permissions",
                format!("{}: {error}", path.display()),
            );
        })
        .ok()
}

fn check_key(key: &PKey<Private>, certificate: &X509, report: &mut Report) -> Option<()> {
    if certificate
        .public_key()
        .is_ok_and(|public| key.public_eq(&public))
    {
        return Some(());
    }
    report.error(
        "ca_key",
        "the key does not belong to ca_certificate; give the two that match",
        "",
    );
    None
}

/// Each certificate must be issued by the next.
fn check_links(chain: &[X509], key: &str, report: &mut Report) -> Option<()> {
    for (subject, issuer) in chain.iter().zip(chain.iter().skip(1)) {
        let signed = issuer
            .public_key()
            .and_then(|key| subject.verify(&key))
            .unwrap_or(false);
        if issuer.issued(subject) != X509VerifyResult::OK || !signed {
            report.error(
                key,
                format!(
                    "{:?} is not issued by {:?}, which comes next; give the issuers in order, \
                     the root last",
                    subject.subject_name(),
                    issuer.subject_name()
                ),
                "",
            );
            return None;
        }
    }
    Some(())
}

fn check_alternate(chain: &[X509], issuing: &X509, key: &str, report: &mut Report) -> Option<()> {
    let same = |first: &X509| {
        let names = (
            first.subject_name().to_der(),
            issuing.subject_name().to_der(),
        );
        let keys = (first.public_key(), issuing.public_key());
        matches!(names, (Ok(one), Ok(other)) if one == other)
            && matches!(keys, (Ok(one), Ok(other)) if one.public_eq(&other))
    };
    if !chain.first().is_some_and(same) {
        report.error(
            key,
            "the chain must begin with a certificate for the name and key of ca_certificate",
            "",
        );
        return None;
    }
    check_links(chain, key, report)
}

fn without_root(chain: &[X509]) -> &[X509] {
    let root = |certificate: &X509| certificate.issued(certificate) == X509VerifyResult::OK;
    match chain.split_last() {
        Some((last, rest)) if !rest.is_empty() && root(last) => rest,
        _ => chain,
    }
}

fn der(chain: &[X509]) -> Result<Vec<Vec<u8>>, ErrorStack> {
    chain
        .iter()
        .map(|certificate| certificate.to_der())
        .collect()
}

fn extension<T>(tbs: &TbsCertificate) -> Result<Option<T>, String>
where
    T: for<'a> Decode<'a, Error = der::Error> + AssociatedOid,
{
    let found = tbs
        .get_extension::<T>()
        .map_err(|error| format!("it is not proper: {error}"))?;
    Ok(found.map(|(_, value)| value))
}
