//! [`Config`]: the `[handlers.NAME.config]` table.

use std::collections::BTreeMap;
use std::path::PathBuf;

use certdock_plugin_api::{Fault, Host, HumanDuration, SecretRef, config};
use zeroize::Zeroizing;

config! {
    /// The `[handlers.NAME.config]` table.
    pub struct Config {
        /// Where Certifier's REST API answers, without a path: `"https://certifier.example:8084"`.
        pub api_host: String,
        /// The user of the API.
        pub api_user: User,
        /// Its password: `{ env = "NAME" }` or `{ file = "PATH" }`.
        pub api_password: SecretRef,
        /// The CA that certificates are to come from, by its name in Certifier.
        pub ca_name: String,
        /// The certificate profile's id in Certifier, for requests that ask for no profile. Without
        /// it, the CA takes its own default.
        #[serde(default)]
        pub profile_id: Option<String>,
        /// The profiles that clients may ask for by name, each with its id in Certifier.
        #[serde(default)]
        pub profiles: BTreeMap<String, String>,
        /// A PEM file with the certificates that the API's TLS certificate is trusted by. Without
        /// it, those that the system trusts.
        #[serde(default)]
        pub ca_bundle: Option<PathBuf>,
        /// A PEM file with a client certificate for the API and its chain.
        #[serde(default)]
        pub client_certificate: Option<PathBuf>,
        /// A PEM file with its key.
        #[serde(default)]
        pub client_key: Option<PathBuf>,
        /// The proxy to go through, `"http://proxy.example:3128"`. Without it there is none, whatever
        /// the environment says.
        #[serde(default)]
        pub proxy: Option<String>,
        /// How long each step of a call may take: connecting, sending, answering. Keep it below the
        /// handler's `deadline`.
        #[serde(default = "twenty_seconds")]
        pub request_timeout: HumanDuration,
        /// For how long a pending request is asked after every five seconds; later, when the server
        /// thinks fit.
        #[serde(default = "one_minute")]
        pub polling_timeout: HumanDuration,
        /// How long what the API said of its CAs is believed.
        #[serde(default = "ten_minutes")]
        pub cache_lifetime: HumanDuration,
    }

    /// A user's name, or where it is kept.
    #[serde(untagged, expecting = "a name, `{ env = \"NAME\" }` or `{ file = \"PATH\" }`")]
    pub enum User {
        /// The name.
        Plain(String),
        /// Where it is kept.
        Secret(SecretRef),
    }
}

impl User {
    pub(crate) fn get(&self, host: &Host) -> Result<Zeroizing<Vec<u8>>, Fault> {
        match self {
            Self::Plain(name) => Ok(Zeroizing::new(name.clone().into_bytes())),
            Self::Secret(secret) => host.secret(secret),
        }
    }
}

impl Config {
    /// Every profile's id with the key that it stands under.
    pub(crate) fn profile_keys(&self) -> Vec<(String, &str)> {
        let default = self.profile_id.iter();
        let default = default.map(|id| ("profile_id".to_owned(), id.as_str()));
        let named = self.profiles.iter();
        let named = named.map(|(name, id)| (format!("profiles.{name}"), id.as_str()));
        default.chain(named).collect()
    }
}

fn twenty_seconds() -> HumanDuration {
    HumanDuration::from_secs(20)
}

fn one_minute() -> HumanDuration {
    HumanDuration::from_secs(60)
}

fn ten_minutes() -> HumanDuration {
    HumanDuration::from_secs(600)
}
