//! [`Profile`]: what one kind of certificate carries, checked and encoded once at the start.

use std::collections::BTreeMap;

use certdock_plugin_api::Fault;
use der::Encode;
use der::asn1::Ia5String;
use der::flagset::FlagSet;
use der::oid::{AssociatedOid, ObjectIdentifier};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::certpolicy::PolicyInformation;
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{
    AccessDescription, AuthorityInfoAccessSyntax, CertificatePolicies, CrlDistributionPoints,
    ExtendedKeyUsage, KeyUsage, KeyUsages,
};

use crate::certificate::extension;
use crate::config::{Config, ProfileConfig, Report};
use crate::csr::KeyKind;

/// All profiles of a handler.
pub(crate) struct Profiles {
    by_name: BTreeMap<String, Profile>,
    default: String,
}

/// One profile.
pub(crate) struct Profile {
    /// The longest, and usual, validity in seconds.
    pub(crate) validity: u64,
    /// As configured; `None` is what suits TLS.
    key_usage: Option<FlagSet<KeyUsages>>,
    /// What is the same in every certificate.
    pub(crate) extensions: Vec<Extension>,
}

impl Profiles {
    /// Reads the profiles; what is wrong with them goes to `report`.
    pub(crate) fn new(config: &Config, report: &mut Report) -> Self {
        let mut by_name: BTreeMap<_, _> = config
            .profiles
            .iter()
            .map(|(name, profile)| {
                (
                    name.clone(),
                    Profile::new(name, profile, config.validity.get().as_secs(), report),
                )
            })
            .collect();
        let default = config
            .default_profile
            .clone()
            .unwrap_or_else(|| DEFAULT.into());
        if !by_name.contains_key(DEFAULT) {
            let usual = ProfileConfig::default();
            let profile = Profile::new(DEFAULT, &usual, config.validity.get().as_secs(), report);
            by_name.insert(DEFAULT.into(), profile);
        }
        if !by_name.contains_key(&default) {
            report.error(
                "default_profile",
                format!(
                    "there is no profile {default:?}; add [profiles.{default}] or name another"
                ),
                "",
            );
        }
        Self { by_name, default }
    }

    /// The profile asked for, or the default one.
    pub(crate) fn find(&self, name: Option<&str>) -> Result<&Profile, Fault> {
        let name = name.unwrap_or(&self.default);
        self.by_name.get(name).ok_or_else(|| {
            Fault::denied(format!("the CA has no profile {name:?}")).code("profile-unknown")
        })
    }
}

impl Profile {
    fn new(name: &str, config: &ProfileConfig, validity: u64, report: &mut Report) -> Self {
        let mut section = Section { name, report };
        let extensions = [
            section.extended_key_usage(config),
            section.policies(config),
            section.crl_distribution_points(config),
            section.authority_info_access(config),
        ];
        let key_usage = section.key_usage(config);
        let validity = config.validity.map_or(validity, |own| {
            report.seconds(format!("profiles.{name}.validity"), own)
        });
        Self {
            validity,
            key_usage,
            extensions: extensions.into_iter().flatten().collect(),
        }
    }

    /// The key usage for a key of this kind: what it can do of what is configured.
    pub(crate) fn key_usage(&self, kind: KeyKind) -> Result<KeyUsage, Fault> {
        let signature = KeyUsages::DigitalSignature | KeyUsages::NonRepudiation;
        // RFC 3279 §2.3.1, RFC 5480 §3, RFC 8410 §5
        let possible = match kind {
            KeyKind::Rsa => signature | KeyUsages::KeyEncipherment | KeyUsages::DataEncipherment,
            KeyKind::Ec => signature | KeyUsages::KeyAgreement,
            KeyKind::Ed25519 => signature,
        };
        let wanted = self
            .key_usage
            .unwrap_or(KeyUsages::DigitalSignature | KeyUsages::KeyEncipherment);
        let usage = wanted & possible;
        if usage.is_empty() {
            return Err(
                Fault::denied("the profile has no use for a key of this kind")
                    .code("key-unacceptable"),
            );
        }
        Ok(KeyUsage(usage))
    }
}

/// The profile every handler has.
const DEFAULT: &str = "default";

/// A profile's table while it is read.
struct Section<'a> {
    name: &'a str,
    report: &'a mut Report,
}

impl Section<'_> {
    fn key_usage(&mut self, config: &ProfileConfig) -> Option<FlagSet<KeyUsages>> {
        let names = config.key_usage.as_ref()?;
        let mut usages: FlagSet<KeyUsages> = FlagSet::default();
        for name in names {
            match KEY_USAGES.iter().find(|(known, _)| known == name) {
                Some((_, usage)) => usages |= *usage,
                None => self.error(
                    "key_usage",
                    format!(
                        "{name:?} is not a key usage of an end entity; there are {}",
                        KEY_USAGES.map(|(known, _)| known).join(", ")
                    ),
                ),
            }
        }
        if names.is_empty() {
            // RFC 5280 §4.2.1.3: at least one bit is set.
            self.error("key_usage", "name at least one usage, or leave the key out");
        }
        Some(usages)
    }

    fn extended_key_usage(&mut self, config: &ProfileConfig) -> Option<Extension> {
        let usual = vec!["serverAuth".to_owned()];
        let names = config.extended_key_usage.as_ref().unwrap_or(&usual);
        let mut oids = Vec::new();
        for name in names {
            let known = EXTENDED_KEY_USAGES.iter().find(|(known, _)| known == name);
            match known
                .map_or(name.as_str(), |(_, oid)| oid)
                .parse::<ObjectIdentifier>()
            {
                Ok(oid) if oids.contains(&oid) => {}
                Ok(oid) => oids.push(oid),
                Err(_) => self.error(
                    "extended_key_usage",
                    format!(
                        "{name:?} is not an extended key usage; write a dotted OID or one of {}",
                        EXTENDED_KEY_USAGES.map(|(known, _)| known).join(", ")
                    ),
                ),
            }
        }
        self.encode("extended_key_usage", oids, ExtendedKeyUsage)
    }

    fn policies(&mut self, config: &ProfileConfig) -> Option<Extension> {
        let mut policies: Vec<PolicyInformation> = Vec::new();
        for text in &config.policies {
            match text.parse() {
                // RFC 5280 §4.2.1.4: a policy must not appear twice.
                Ok(oid)
                    if policies
                        .iter()
                        .any(|policy| policy.policy_identifier == oid) => {}
                Ok(policy_identifier) => {
                    policies.push(PolicyInformation {
                        policy_identifier,
                        policy_qualifiers: None,
                    });
                }
                Err(_) => self.error(
                    "policies",
                    format!("{text:?} is not an OID; write it with dots, like \"2.23.140.1.2.1\""),
                ),
            }
        }
        self.encode("policies", policies, CertificatePolicies)
    }

    fn crl_distribution_points(&mut self, config: &ProfileConfig) -> Option<Extension> {
        let urls = self.urls("crl_distribution_points", &config.crl_distribution_points);
        let points = urls
            .into_iter()
            .map(|url| DistributionPoint {
                distribution_point: Some(DistributionPointName::FullName(vec![url])),
                reasons: None,
                crl_issuer: None,
            })
            .collect();
        self.encode("crl_distribution_points", points, CrlDistributionPoints)
    }

    fn authority_info_access(&mut self, config: &ProfileConfig) -> Option<Extension> {
        let mut descriptions = Vec::new();
        for (key, urls, access_method) in [
            ("ocsp", &config.ocsp, OCSP),
            ("ca_issuers", &config.ca_issuers, CA_ISSUERS),
        ] {
            descriptions.extend(self.urls(key, urls).into_iter().map(|access_location| {
                AccessDescription {
                    access_method,
                    access_location,
                }
            }));
        }
        self.encode("ca_issuers", descriptions, AuthorityInfoAccessSyntax)
    }

    fn urls(&mut self, key: &str, urls: &[String]) -> Vec<GeneralName> {
        let mut names = Vec::new();
        for url in urls {
            // RFC 5280 §4.2.1.13, §4.2.2.1: HTTP or LDAP; over HTTPS a client would have to check a
            // certificate to check a certificate.
            let host = ["http://", "ldap://"]
                .iter()
                .find_map(|scheme| url.strip_prefix(scheme));
            let good = host.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
                && url.bytes().all(|byte| byte.is_ascii_graphic());
            match Ia5String::new(url) {
                Ok(text) if good => names.push(GeneralName::UniformResourceIdentifier(text)),
                _ => self.error(
                    key,
                    format!("{url:?} is not a usable URL; it must begin with http:// or ldap://"),
                ),
            }
        }
        names
    }

    /// The extension of these items, unless there are none.
    fn encode<I, T: AssociatedOid + Encode>(
        &mut self,
        key: &str,
        items: Vec<I>,
        wrap: impl FnOnce(Vec<I>) -> T,
    ) -> Option<Extension> {
        if items.is_empty() {
            return None;
        }
        match extension(false, &wrap(items)) {
            Ok(extension) => Some(extension),
            Err(error) => {
                self.error(key, format!("it can't be encoded: {error}"));
                None
            }
        }
    }

    fn error(&mut self, key: &str, message: impl Into<String>) {
        self.report
            .error(format!("profiles.{}.{key}", self.name), message, "");
    }
}

const KEY_USAGES: [(&str, KeyUsages); 5] = [
    ("digitalSignature", KeyUsages::DigitalSignature),
    ("nonRepudiation", KeyUsages::NonRepudiation),
    ("keyEncipherment", KeyUsages::KeyEncipherment),
    ("dataEncipherment", KeyUsages::DataEncipherment),
    ("keyAgreement", KeyUsages::KeyAgreement),
];

const EXTENDED_KEY_USAGES: [(&str, &str); 5] = [
    ("serverAuth", "1.3.6.1.5.5.7.3.1"),
    ("clientAuth", "1.3.6.1.5.5.7.3.2"),
    ("codeSigning", "1.3.6.1.5.5.7.3.3"),
    ("emailProtection", "1.3.6.1.5.5.7.3.4"),
    ("OCSPSigning", "1.3.6.1.5.5.7.3.9"),
];

const OCSP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");
const CA_ISSUERS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.2");
