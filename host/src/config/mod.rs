//! The configuration as the server uses it: read, merged, checked, with every path absolute.

mod alone;
mod check;
mod endpoint;
mod est;
mod est_template;
mod fixed;
mod isolation;
mod load;
mod mistake;
mod own_files;
mod places;
mod plugins;
mod read;
mod section;
mod tree;
mod value;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use certdock_plugin_api::SecretRef;
use ipnet::IpNet;

use crate::handlers::Patience;
use crate::ids::{EndpointName, HandlerName, PluginId};
use crate::order::ChallengeType;
use crate::plugins::{Isolation, Trust};
use crate::worker::{self, Setup};
use crate::x509::NamePattern;

pub use alone::{Alone, alone};
pub use check::{missing_plugin, switches};
pub use est_template::{CsrTemplate, TemplateKey};
pub use fixed::keep_fixed;
pub use load::{DEFAULT, Source, load, parse};
pub use mistake::{Mistake, Mistakes, Place};
pub use places::Places;
pub use value::duration;

/// The whole of it.
#[derive(Clone, Debug)]
pub struct Config {
    pub server: Server,
    pub store: Store,
    pub plugins: Plugins,
    pub admin: Admin,
    pub validation: Validation,
    pub handlers: BTreeMap<HandlerName, Handler>,
    pub acme: BTreeMap<EndpointName, AcmeEndpoint>,
    pub est: BTreeMap<EndpointName, EstLabel>,
    /// For mistakes that only a look at files shows.
    pub places: Places,
}

/// `[server]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub listen: Vec<SocketAddr>,
    /// Plain HTTP, for CRLs alone.
    pub http: Option<SocketAddr>,
    /// What URLs in answers begin with; no final slash.
    pub base_url: String,
    pub tls: Tls,
    pub limits: Limits,
}

/// `[server.tls]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// `certificate` and `key`: reloaded when they change.
    Files { certificate: PathBuf, key: PathBuf },
    /// `handler`: one of our own handlers, renewed by itself.
    Handler(HandlerName),
}

/// `[server.limits]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections at once.
    pub connections: usize,
    /// Bytes of a request body.
    pub body: usize,
    /// Bytes of a request's head.
    pub head: usize,
    /// From the first byte of a request's head to its last, and for the TLS handshake.
    pub head_timeout: Duration,
    /// From a request's head to the end of its answer.
    pub request_timeout: Duration,
    /// How long a graceful shutdown waits for requests under way.
    pub shutdown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            body: 64 * 1024,
            head: 16 * 1024,
            head_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(60),
            shutdown: Duration::from_secs(30),
        }
    }
}

/// `[store]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// `sqlite:PATH`
    Sqlite(PathBuf),
}

/// `[plugins]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugins {
    pub directory: PathBuf,
    /// `require`, `ownership`, `pins` and `keys`: which of the files there may run.
    pub trust: Trust,
}

/// `[admin]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The commands' way in: a Unix socket.
    pub socket: PathBuf,
    /// Health and metrics.
    pub listen: SocketAddr,
}

/// `[validation]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validation {
    /// `None`: the system's resolvers.
    pub resolver: Option<SocketAddr>,
    pub http01_port: u16,
    pub tls_alpn01_port: u16,
    /// Ports a redirect may lead to beside `http01_port`.
    pub redirect_ports: Vec<u16>,
    /// Ranges that validators may dial beside public ones.
    pub allow: Vec<IpNet>,
    /// Ranges they may not, whatever `allow` says.
    pub deny: Vec<IpNet>,
    /// The whole of one attempt.
    pub timeout: Duration,
    /// Checks at once.
    pub concurrency: usize,
}

/// `[handlers.NAME]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handler {
    pub plugin: PluginId,
    pub isolation: Isolation,
    /// Of its process.
    pub limits: worker::Limits,
    /// How long one call may take.
    pub deadline: Duration,
    /// Calls at once.
    pub threads: usize,
    /// Calls waiting; one more is answered busy.
    pub queue: usize,
    /// `on_unknown`, `poll_interval`, `slowest_poll`, `give_up_after`
    pub patience: Patience,
    /// What a CA that sends something to `/push/HANDLER` has to know; without it none may.
    pub push_secret: Option<SecretRef>,
    /// The plugin's own table, as JSON text.
    pub config: String,
    /// What relative paths in `config` are relative to.
    pub base_dir: PathBuf,
    /// Files and folders of the server itself, and others' secrets.
    pub keep_out: Vec<PathBuf>,
    /// Files by which it knows its clients.
    pub apart: Vec<PathBuf>,
    /// Where keys of `config` stand, for messages.
    pub origin: Origin,
}

impl Handler {
    /// Whether it is the same, wherever it is written.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let other = Self {
            origin: self.origin.clone(),
            ..other.clone()
        };
        *self == other
    }

    /// What opening it takes, under its name.
    #[must_use]
    pub fn setup(&self, name: &HandlerName) -> Setup {
        // A worker is not where the server is.
        let absolute = |path: &PathBuf| match path.as_os_str().is_empty() {
            true => std::env::current_dir().unwrap_or_default(),
            false => std::path::absolute(path).unwrap_or_else(|_| path.clone()),
        };
        let mut limits = self.limits.clone();
        for path in limits.read.iter_mut().chain(&mut limits.write) {
            *path = absolute(path);
        }
        Setup {
            name: name.to_string(),
            config: self.config.clone(),
            base_dir: absolute(&self.base_dir),
            keep_out: self.keep_out.iter().map(absolute).collect(),
            apart: self.apart.iter().map(absolute).collect(),
            deadline: self.deadline,
            threads: self.threads,
            limits,
        }
    }
}

/// Where a `[handlers.NAME]` table was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    pub file: PathBuf,
    /// The table's own dotted path.
    pub key: String,
    /// Line of the table's header.
    pub line: usize,
    /// Lines of the keys below it, by dotted path: `plugin`, `config.ca_key`, `config.chain[0]`.
    pub keys: BTreeMap<String, usize>,
}

impl Origin {
    /// A mistake of the handler's `plugin`, `deadline` or other key.
    #[must_use]
    pub fn mistake(&self, key: &str, text: impl Into<String>) -> Mistake {
        let place = Place {
            file: self.file.as_path().into(),
            line: self.line_of(key),
        };
        let path = match (self.key.as_str(), key) {
            (table, "") => table.to_owned(),
            (table, key) => format!("{table}.{key}"),
        };
        Mistake::new(Some(place), path, text)
    }

    /// A mistake of a key in the plugin's own table, as a plugin names it; empty is the table itself.
    #[must_use]
    pub fn config_mistake(&self, key: &str, text: impl Into<String>) -> Mistake {
        match key {
            "" => self.mistake("config", text),
            key => self.mistake(&format!("config.{key}"), text),
        }
    }

    /// The line of the key, or of the nearest table around it that is written out.
    fn line_of(&self, key: &str) -> usize {
        let mut path = key;
        loop {
            if let Some(line) = self.keys.get(path) {
                return *line;
            }
            match path.rsplit_once(['.', '[']) {
                Some((around, _)) => path = around,
                None => return self.line,
            }
        }
    }
}

/// `[acme.NAME]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeEndpoint {
    pub handler: HandlerName,
    /// The handler's profile; `None` is its default.
    pub profile: Option<String>,
    pub challenges: Vec<ChallengeType>,
    pub eab: EabPolicy,
    /// RFC 8555 §7.1.1 `meta`
    pub terms_of_service: Option<String>,
    pub website: Option<String>,
    pub caa_identities: Vec<String>,
    /// How long an order, and a pending authorization, may stay open.
    pub order_lifetime: Duration,
    /// How long a valid authorization may be used.
    pub authorization_lifetime: Duration,
    /// Names in one order.
    pub max_identifiers: usize,
    pub wildcards: bool,
    /// Names that may be asked for: "example.com" is that name, "*.example.com" every name below it.
    /// Empty: any.
    pub allowed_names: Vec<String>,
    /// Names that may not, whatever `allowed_names` says.
    pub denied_names: Vec<String>,
    /// The longest validity a client may ask for by notBefore and notAfter.
    pub max_validity: Duration,
    /// How long a client that finalizes is kept waiting before it is told to come back.
    pub finalize_wait: Duration,
    pub revocation: RevocationPolicy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationPolicy {
    /// A CA that is down means 503.
    AtOnce,
    /// It is accepted, and tried until it is done.
    Queued,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EabPolicy {
    Off,
    Optional,
    Required,
}

/// `[est.NAME]`: a label of RFC 7030 §3.2.2
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EstLabel {
    pub handler: HandlerName,
    /// The handler's profile; `None` is its default.
    pub profile: Option<String>,
    pub auth: ClientAuth,
    /// Certificates of CAs, PEM, that clients' certificates may come from.
    pub client_ca: Vec<PathBuf>,
    /// Handlers whose CAs clients' certificates may come from; what these revoked is known at once.
    pub client_ca_handlers: Vec<HandlerName>,
    /// Revocation lists, PEM or DER, of the CAs in `client_ca`. If there are any, each CA needs one.
    pub client_crl: Vec<PathBuf>,
    /// Whether a client may ask for the names in the certificate that it shows.
    pub certificate_names: bool,
    /// Names that every client may ask for, beside those of its user.
    pub names: Vec<NamePattern>,
    /// Names that nobody may ask for, whatever else is allowed.
    pub denied_names: Vec<NamePattern>,
    pub wildcards: bool,
    /// Names in one certificate.
    pub max_names: usize,
    /// How long before its end a certificate may be renewed; `None` is at any time.
    pub renewal_window: Option<Duration>,
    /// Whether a renewal may ask for another subject or other names (RFC 6402 §2.8).
    pub change_subject: bool,
    pub channel_binding: ChannelBinding,
    /// What the CSR should have in it (RFC 7030 §4.5.2).
    pub csrattrs: Vec<CsrAttribute>,
    /// The same as a template (RFC 9908).
    pub template: Option<CsrTemplate>,
    /// Who signs the answers of fullcmc.
    pub ra: Option<RegistrationAuthority>,
}

/// How an EST client says who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    Basic,
    Certificate,
    /// Whichever it has.
    Either,
    /// The two together.
    Both,
}

impl ClientAuth {
    #[must_use]
    pub fn uses_certificates(self) -> bool {
        !matches!(self, Self::Basic)
    }

    #[must_use]
    pub fn uses_passwords(self) -> bool {
        !matches!(self, Self::Certificate)
    }
}

/// What becomes of a CSR's challengePassword (RFC 7030 §3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelBinding {
    /// It must be the connection's tls-exporter value if it is there.
    WhenPresent,
    /// It must be there, and right.
    Required,
    Ignored,
}

/// An entry of the csrattrs answer. OIDs are in dotted form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsrAttribute {
    pub oid: String,
    /// None: the OID alone; else an attribute with these values.
    pub values: Vec<String>,
}

/// `ra_certificate` and `ra_key`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationAuthority {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[cfg(test)]
mod tests;
