//! [`Config`], the `[handlers.NAME.config]` table, and [`Report`], which collects what is wrong
//! with it. What a key means is said here once; `config/openssl-local.toml` shows it in use.

use std::collections::BTreeMap;
use std::path::PathBuf;

use certdock_plugin_api::{ConfigNote, Fault, HumanDuration, SecretRef, Severity, config};

config! {
    /// The configuration of one local CA.
    pub struct Config {
        /// The issuing CA's certificate, PEM. With `create`, where it is made.
        pub ca_certificate: PathBuf,
        /// Its private key, PEM: PKCS #8 (encrypted or not), PKCS #1 or SEC 1.
        pub ca_key: PathBuf,
        /// What the private key is encrypted with.
        #[serde(default)]
        pub ca_key_passphrase: Option<SecretRef>,
        /// Certificates above the issuing CA in files, the next issuer first, the root last.
        #[serde(default)]
        pub chain: Vec<PathBuf>,
        /// Other chains that clients may choose. Each is complete: it begins with a certificate for
        /// the issuing CA's name and key (a cross-certificate, say).
        #[serde(default)]
        pub alternate_chains: Vec<Vec<PathBuf>>,
        /// Makes a root and an issuing CA on the first start, when `ca_certificate` does not exist.
        #[serde(default)]
        pub create: bool,
        /// What `create` makes.
        #[serde(default)]
        pub new_ca: NewCa,
        /// How long certificates last where the profile does not say; never beyond the CA's own
        /// end.
        #[serde(default = "default_validity")]
        pub validity: HumanDuration,
        /// How far before the request's time a certificate begins, for clients with a slow clock.
        #[serde(default = "no_time")]
        pub backdate: HumanDuration,
        /// How long a CRL is good for.
        #[serde(default = "default_crl_validity")]
        pub crl_validity: HumanDuration,
        /// The profile of requests that name none. Without it, the profile named `default`; that
        /// one exists even if it is not configured, and makes TLS server certificates.
        #[serde(default)]
        pub default_profile: Option<String>,
        /// Named profiles.
        #[serde(default)]
        pub profiles: BTreeMap<String, ProfileConfig>,
        /// Names that may be certified; empty allows all. `a.example` is that name alone,
        /// `*.a.example` is every name below it at any depth, `10.0.0.0/8` or `10.0.0.1` are
        /// addresses.
        #[serde(default)]
        pub allowed_names: Vec<String>,
        /// Names that may not, even if allowed. A wildcard that would cover a denied name is
        /// denied.
        #[serde(default)]
        pub denied_names: Vec<String>,
    }

    /// What a kind of certificate carries.
    #[derive(Default)]
    pub struct ProfileConfig {
        /// RFC 5280 §4.2.1.3 names: `digitalSignature`, `nonRepudiation`, `keyEncipherment`,
        /// `dataEncipherment`, `keyAgreement`. What the key can't do is left out. Unset: what suits
        /// TLS.
        #[serde(default)]
        pub key_usage: Option<Vec<String>>,
        /// RFC 5280 §4.2.1.12 names (`serverAuth`, `clientAuth`, `codeSigning`, `emailProtection`,
        /// `OCSPSigning`) or dotted OIDs. Unset: `serverAuth`. Empty: no such extension.
        #[serde(default)]
        pub extended_key_usage: Option<Vec<String>>,
        /// How long these certificates last; unset: the handler's `validity`.
        #[serde(default)]
        pub validity: Option<HumanDuration>,
        /// URLs of the CRL.
        #[serde(default)]
        pub crl_distribution_points: Vec<String>,
        /// URLs of the issuing CA's certificate.
        #[serde(default)]
        pub ca_issuers: Vec<String>,
        /// URLs of OCSP responders.
        #[serde(default)]
        pub ocsp: Vec<String>,
        /// Policy OIDs.
        #[serde(default)]
        pub policies: Vec<String>,
    }

    /// The root and issuing CA that `create` makes.
    #[serde(default)]
    pub struct NewCa {
        /// The organization in both names; unset: none.
        pub organization: Option<String>,
        /// The issuing CA's common name.
        pub common_name: String,
        /// The root's common name.
        pub root_common_name: String,
        /// The kind of both keys.
        pub key_type: KeyType,
        /// Where the root's certificate goes. Unset: the one file in `chain`, else `root.pem`
        /// beside `ca_certificate`.
        pub root_certificate: Option<PathBuf>,
        /// Where the root's key goes. Unset: `root.key` beside `ca_key`.
        pub root_key: Option<PathBuf>,
        /// How long the issuing CA lasts.
        pub validity: HumanDuration,
        /// How long the root lasts.
        pub root_validity: HumanDuration,
    }

    /// A kind of CA key.
    #[derive(Copy, PartialEq, Eq)]
    #[allow(missing_docs)]
    pub enum KeyType {
        #[serde(rename = "ec-p256")]
        EcP256,
        #[serde(rename = "ec-p384")]
        EcP384,
        #[serde(rename = "ec-p521")]
        EcP521,
        #[serde(rename = "ed25519")]
        Ed25519,
        #[serde(rename = "rsa-2048")]
        Rsa2048,
        #[serde(rename = "rsa-3072")]
        Rsa3072,
        #[serde(rename = "rsa-4096")]
        Rsa4096,
    }
}

impl Default for NewCa {
    fn default() -> Self {
        Self {
            organization: None,
            common_name: "certdock issuing CA".into(),
            root_common_name: "certdock root CA".into(),
            key_type: KeyType::EcP256,
            root_certificate: None,
            root_key: None,
            validity: HumanDuration::from_days(5 * 365),
            root_validity: HumanDuration::from_days(20 * 365),
        }
    }
}

/// Longer than any sensible validity, and far from what dates can say.
const LONGEST: HumanDuration = HumanDuration::from_days(36_525);

fn default_validity() -> HumanDuration {
    HumanDuration::from_days(90)
}

fn default_crl_validity() -> HumanDuration {
    HumanDuration::from_days(7)
}

fn no_time() -> HumanDuration {
    HumanDuration::from_secs(0)
}

/// What was found wrong with a configuration: reported by `validate_config`, refused by `open`.
#[derive(Default)]
pub(crate) struct Report(Vec<Finding>);

struct Finding {
    severity: Severity,
    key: String,
    message: String,
    /// For the operator alone: paths and what the system said.
    detail: String,
}

impl Report {
    /// Something that keeps the handler from being opened.
    pub(crate) fn error(
        &mut self,
        key: impl Into<String>,
        message: impl Into<String>,
        detail: impl Into<String>,
    ) {
        self.add(Severity::Error, key.into(), message.into(), detail.into());
    }

    /// Something to look at.
    pub(crate) fn warning(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.add(Severity::Warning, key.into(), message.into(), String::new());
    }

    /// The seconds of a duration that must not be nothing.
    pub(crate) fn seconds(&mut self, key: impl Into<String>, duration: HumanDuration) -> u64 {
        let seconds = duration.get().as_secs();
        if !(1..=LONGEST.get().as_secs()).contains(&seconds) {
            self.error(
                key,
                "it must be longer than nothing and at most 100 years",
                "",
            );
        }
        seconds
    }

    fn add(&mut self, severity: Severity, key: String, message: String, detail: String) {
        self.0.push(Finding {
            severity,
            key,
            message,
            detail,
        });
    }

    /// The first error as the fault that `open` answers with. Paths stay out of its public half.
    pub(crate) fn fault(&self) -> Option<Fault> {
        let finding = self
            .0
            .iter()
            .find(|finding| finding.severity == Severity::Error)?;
        let fault = Fault::misconfigured(format!("{}: {}", finding.key, finding.message));
        Some(fault.code("configuration").private(finding.detail.clone()))
    }

    /// The warnings, each as `key: message`.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        self.0
            .iter()
            .filter(|finding| finding.severity == Severity::Warning)
            .map(|finding| format!("{}: {}", finding.key, finding.message))
    }

    pub(crate) fn into_notes(self) -> Vec<ConfigNote> {
        self.0.into_iter().map(Finding::into_note).collect()
    }
}

impl Finding {
    fn into_note(self) -> ConfigNote {
        let message = if self.detail.is_empty() {
            self.message
        } else {
            format!("{} ({})", self.message, self.detail)
        };
        match self.severity {
            Severity::Warning => ConfigNote::warning(self.key, message),
            _ => ConfigNote::error(self.key, message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, toml::de::Error> {
        toml::from_str(text)
    }

    const LEAST: &str = "ca_certificate = 'ca.pem'\nca_key = 'ca.key'\n";

    #[test]
    fn defaults_are_those_documented() {
        let config = parse(LEAST).unwrap();
        assert_eq!(config.validity.get().as_secs(), 90 * 86_400);
        assert_eq!(config.crl_validity.get().as_secs(), 7 * 86_400);
        assert_eq!(config.backdate.get().as_secs(), 0);
        assert!(!config.create && config.allowed_names.is_empty());
        assert_eq!(config.new_ca.key_type, KeyType::EcP256);
    }

    #[test]
    fn every_table_refuses_an_unknown_key() {
        for extra in [
            "validty = '1d'",
            "[new_ca]\norganisation = 'x'",
            "[profiles.server]\nkeyusage = []",
            "ca_key_passphrase = { environment = 'X' }",
        ] {
            let error = parse(&format!("{LEAST}{extra}\n")).unwrap_err().to_string();
            assert!(error.contains("unknown"), "{extra}: {error}");
        }
    }

    #[test]
    fn durations_are_checked() {
        for (text, seconds) in [
            ("30s", Some(30)),
            ("90d", Some(7_776_000)),
            ("90", None),
            ("-1d", None),
            ("", None),
        ] {
            let parsed = parse(&format!("{LEAST}validity = '{text}'\n")).ok();
            assert_eq!(
                parsed.map(|config| config.validity.get().as_secs()),
                seconds,
                "{text}"
            );
        }
    }

    #[test]
    fn the_sample_parses_and_shows_every_key() {
        let sample = include_str!("../../../config/openssl-local.toml");
        parse(sample).unwrap();
        let schema =
            serde_json::to_value(certdock_plugin_api::schemars::schema_for!(Config)).unwrap();
        let tables = [
            &schema["properties"],
            &schema["$defs"]["ProfileConfig"]["properties"],
            &schema["$defs"]["NewCa"]["properties"],
        ];
        for key in tables
            .iter()
            .flat_map(|table| table.as_object().unwrap().keys())
        {
            assert!(
                sample.contains(key.as_str()),
                "{key} is missing from the sample"
            );
        }
    }
}
