//! [`create`]: a root and an issuing CA on the first start.
//!
//! Each of the four files appears whole or not at all, and none is ever overwritten: it is written
//! beside its place and linked there, which fails if something is there already. What is there then
//! is used. So an interrupted start is completed by the next one, and hosts that start at once end
//! up with the same CA. The issuing certificate comes last: where it is, nothing is made.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use certdock_plugin_api::{Fault, Host};
use der::oid::ObjectIdentifier;
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::rand::rand_bytes;
use openssl::rsa::Rsa;
use openssl::symm::Cipher;
use openssl::x509::X509;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, KeyUsages};
use x509_cert::serial_number::SerialNumber;
use zeroize::Zeroizing;

use crate::authority::{Facts, parse_key, passphrase};
use crate::certificate::{
    COMMON_NAME, Draft, authority_key_identifier, extension, name, seconds, subject_key_identifier,
    unencodable,
};
use crate::config::{Config, KeyType, NewCa, Report};
use crate::key::SigningKey;

/// Makes what is missing, if the issuing CA's certificate is.
pub(crate) fn create(config: &Config, host: &Host) -> Result<(), Fault> {
    if !pending(config, host) {
        return Ok(());
    }
    let places = Places::new(config, host);
    let passphrase = passphrase(config, host).map_err(|mut fault| {
        fault.public = format!("ca_key_passphrase: {}", fault.public);
        fault.code("configuration")
    })?;
    let maker = Maker {
        config: &config.new_ca,
        passphrase: passphrase.as_ref().map(|secret| secret.as_slice()),
        now: seconds(host.now()),
    };

    if places.root_certificate.exists() && !places.root_key.exists() {
        return Err(unmade(
            "new_ca.root_key",
            "the root's certificate is there but its key is not; give the key, or remove the \
             certificate to have both made",
            &places.root_key,
        ));
    }
    let root_key = maker.key(&places.root_key, "new_ca.root_key")?;
    let root = maker.certificate(&places.root_certificate, "new_ca.root_certificate", || {
        maker.root(&root_key)
    })?;
    let root = Facts::of(&root).map_err(|reason| {
        let message = format!("the root that is there can't issue others: {reason}; remove it");
        unmade(
            "new_ca.root_certificate",
            &message,
            &places.root_certificate,
        )
    })?;
    let issuing_key = maker.key(&places.key, "ca_key")?;
    maker.certificate(&places.certificate, "ca_certificate", || {
        maker.issuing(&issuing_key, &root, &root_key)
    })?;
    host.info(
        "made a root and an issuing CA",
        &[
            ("certificate", &places.certificate.to_string_lossy()),
            ("root", &places.root_certificate.to_string_lossy()),
        ],
    );
    Ok(())
}

/// Whether the first start is still to come.
pub(crate) fn pending(config: &Config, host: &Host) -> bool {
    config.create && !host.resolve(&config.ca_certificate).exists()
}

/// Where the root's certificate is or will be, as the configuration writes paths.
pub(crate) fn root_certificate(config: &Config) -> PathBuf {
    config
        .new_ca
        .root_certificate
        .clone()
        .or_else(|| config.chain.first().cloned())
        .unwrap_or_else(|| config.ca_certificate.with_file_name("root.pem"))
}

/// Checks what `create` would make, and where.
pub(crate) fn check(config: &Config, report: &mut Report) {
    if !config.create {
        return;
    }
    let new = &config.new_ca;
    for (key, name) in [
        ("common_name", Some(&new.common_name)),
        ("root_common_name", Some(&new.root_common_name)),
        ("organization", new.organization.as_ref()),
    ] {
        // RFC 5280 appendix A.1: ub-common-name, ub-organization-name
        if name.is_some_and(|name| !(1..=64).contains(&name.chars().count())) {
            report.error(
                format!("new_ca.{key}"),
                "it must have 1 to 64 characters",
                "",
            );
        }
    }
    if new.common_name == new.root_common_name {
        report.error(
            "new_ca.common_name",
            "it must differ from root_common_name",
            "",
        );
    }
    if config.chain.len() > 1 || (new.root_certificate.is_some() && !config.chain.is_empty()) {
        report.error(
            "chain",
            "with `create`, name the root's certificate once: as the only file in `chain`, or as \
             new_ca.root_certificate",
            "",
        );
    }
    let files = [
        &root_key(config),
        &root_certificate(config),
        &config.ca_key,
        &config.ca_certificate,
    ];
    if files.iter().collect::<BTreeSet<_>>().len() < files.len() {
        report.error(
            "new_ca",
            "the two certificates and two keys need a file each; give them different names",
            "",
        );
    }
    report.seconds("new_ca.validity", new.validity);
    report.seconds("new_ca.root_validity", new.root_validity);
    if new.root_validity < new.validity {
        report.error(
            "new_ca.root_validity",
            "it must not be shorter than new_ca.validity",
            "",
        );
    }
}

struct Places {
    root_key: PathBuf,
    root_certificate: PathBuf,
    key: PathBuf,
    certificate: PathBuf,
}

impl Places {
    fn new(config: &Config, host: &Host) -> Self {
        Self {
            root_key: host.resolve(&root_key(config)),
            root_certificate: host.resolve(&root_certificate(config)),
            key: host.resolve(&config.ca_key),
            certificate: host.resolve(&config.ca_certificate),
        }
    }
}

fn root_key(config: &Config) -> PathBuf {
    let configured = config.new_ca.root_key.clone();
    configured.unwrap_or_else(|| config.ca_key.with_file_name("root.key"))
}

struct Maker<'a> {
    config: &'a NewCa,
    passphrase: Option<&'a [u8]>,
    now: u64,
}

impl Maker<'_> {
    /// The key in this file, made if there is none.
    fn key(&self, path: &Path, name: &str) -> Result<SigningKey, Fault> {
        let pem = existing_or_made(path, name, 0o600, || {
            let key = generate(self.config.key_type)?;
            match self.passphrase {
                Some(secret) => {
                    key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), secret)
                }
                None => key.private_key_to_pem_pkcs8(),
            }
            .map_err(failed)
        })?;
        parse_key(&pem, self.passphrase)
            .and_then(SigningKey::new)
            .map_err(|reason| unmade(name, &format!("the key that is there: {reason}"), path))
    }

    /// The certificate in this file, made if there is none.
    fn certificate(
        &self,
        path: &Path,
        name: &str,
        make: impl FnOnce() -> Result<Vec<u8>, Fault>,
    ) -> Result<X509, Fault> {
        let pem = existing_or_made(path, name, 0o644, || {
            X509::from_der(&make()?)
                .and_then(|certificate| certificate.to_pem())
                .map_err(failed)
        })?;
        X509::from_pem(&pem)
            .map_err(|_| unmade(name, "what is there is no certificate; remove it", path))
    }

    fn root(&self, key: &SigningKey) -> Result<Vec<u8>, Fault> {
        let name = self.name(&self.config.root_common_name)?;
        let public_key = key.public_key().map_err(failed)?;
        Draft {
            issuer: &name,
            subject: &name,
            not_before: self.now,
            not_after: self.now + self.config.root_validity.get().as_secs() - 1,
            extensions: ca_extensions(&public_key, None, None).map_err(unencodable)?,
            public_key: &public_key,
        }
        .sign(key, |_| random_serial())
    }

    fn issuing(
        &self,
        key: &SigningKey,
        root: &Facts,
        root_key: &SigningKey,
    ) -> Result<Vec<u8>, Fault> {
        let public_key = key.public_key().map_err(failed)?;
        let not_after = self.now + self.config.validity.get().as_secs() - 1;
        Draft {
            issuer: &root.subject,
            subject: &self.name(&self.config.common_name)?,
            not_before: self.now,
            not_after: not_after.min(root.not_after),
            extensions: ca_extensions(&public_key, Some(&root.key_identifier), Some(0))
                .map_err(unencodable)?,
            public_key: &public_key,
        }
        .sign(root_key, |_| random_serial())
    }

    fn name(&self, common_name: &str) -> Result<Vec<u8>, Fault> {
        let mut attributes = Vec::new();
        if let Some(organization) = &self.config.organization {
            attributes.push((ORGANIZATION, organization.as_str()));
        }
        attributes.push((COMMON_NAME, common_name));
        name(&attributes).map_err(unencodable)
    }
}

/// RFC 5280 §4.2.1: what a CA's certificate must carry.
fn ca_extensions(
    public_key: &[u8],
    issuer: Option<&[u8]>,
    path_len_constraint: Option<u8>,
) -> der::Result<Vec<Extension>> {
    let mut extensions = vec![
        extension(
            true,
            &BasicConstraints {
                ca: true,
                path_len_constraint,
            },
        )?,
        extension(true, &KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign))?,
        extension(false, &subject_key_identifier(public_key)?)?,
    ];
    if let Some(issuer) = issuer {
        extensions.push(extension(false, &authority_key_identifier(issuer)?)?);
    }
    Ok(extensions)
}

fn generate(kind: KeyType) -> Result<PKey<Private>, Fault> {
    match kind {
        KeyType::EcP256 => PKey::ec_gen("P-256"),
        KeyType::EcP384 => PKey::ec_gen("P-384"),
        KeyType::EcP521 => PKey::ec_gen("P-521"),
        KeyType::Ed25519 => PKey::generate_ed25519(),
        KeyType::Rsa2048 => Rsa::generate(2048).and_then(PKey::from_rsa),
        KeyType::Rsa3072 => Rsa::generate(3072).and_then(PKey::from_rsa),
        KeyType::Rsa4096 => Rsa::generate(4096).and_then(PKey::from_rsa),
    }
    .map_err(failed)
}

fn random_serial() -> Result<SerialNumber, Fault> {
    let mut number = [0; 20];
    rand_bytes(&mut number).map_err(failed)?;
    if let Some(first) = number.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    SerialNumber::new(&number).map_err(unencodable)
}

/// The file's content; if there is no file, what `make` makes is put there first. Whoever comes
/// first wins, and all get what is there in the end.
fn existing_or_made(
    path: &Path,
    name: &str,
    mode: u32,
    make: impl FnOnce() -> Result<Vec<u8>, Fault>,
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let unusable = |error: &io::Error| {
        let message = "the file can't be made or read; check its path and permissions";
        unmade(name, &format!("{message} ({})", error.kind()), path)
    };
    if !path.exists() {
        let content = Zeroizing::new(make()?);
        publish(path, &content, mode).map_err(|error| unusable(&error))?;
    }
    fs::read(path)
        .map(Zeroizing::new)
        .map_err(|error| unusable(&error))
}

/// Puts a new file in its place, whole and durable, unless one is there.
fn publish(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let mut random = [0; 8];
    rand_bytes(&mut random)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = folder.join(format!(".{name}.{:016x}", u64::from_be_bytes(random)));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&draft)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .and_then(|()| match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        })
        .and_then(|()| File::open(folder)?.sync_all());
    let removed = fs::remove_file(&draft);
    written.and(removed)
}

fn unmade(key: &str, message: &str, path: &Path) -> Fault {
    Fault::misconfigured(format!("{key}: {message}"))
        .code("configuration")
        .private(path.display().to_string())
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: ErrorStack) -> Fault {
    Fault::internal("the new CA could not be made").private(error.to_string())
}

const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
