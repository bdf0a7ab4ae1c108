//! [`Builder`]: from a handler's configuration to a client, with what is wrong under its own key.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use certdock_plugin_api::{ConfigNote, Host};
use http::Uri;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use rustls::sign::CertifiedKey;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Proxy};
use zeroize::Zeroizing;

use crate::client::Client;
use crate::connector::{Connects, Resolves};

/// Makes a [`Client`]. Reads files, and reaches nobody.
///
/// What can be wrong comes with the name of the configuration's key that says so, and every error is a
/// [`ConfigNote`] under that key.
pub struct Builder<'a> {
    host: &'a Host,
    user_agent: &'a str,
    timeout: Duration,
    authorization: Option<Zeroizing<String>>,
    secrets: Vec<Zeroizing<String>>,
    roots: RootCerts,
    client_certificate: Option<ClientCert>,
    proxy: Option<Proxy>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(host: &'a Host, user_agent: &'a str) -> Self {
        Self {
            host,
            user_agent,
            timeout: Duration::from_secs(20),
            authorization: None,
            secrets: Vec::new(),
            roots: RootCerts::PlatformVerifier,
            client_certificate: None,
            proxy: None,
        }
    }

    /// How long each step of a call may take: resolving, connecting, sending, answering. Twenty
    /// seconds unless told; keep it well below the handler's `deadline`.
    #[must_use]
    pub fn timeout(mut self, each: Duration) -> Self {
        self.timeout = each;
        self
    }

    /// Credentials of the scheme Basic (RFC 7617). The password is struck out of what is logged.
    #[must_use]
    pub fn basic(mut self, user: &[u8], password: &[u8]) -> Self {
        let pair = Zeroizing::new([user, b":", password].concat());
        let encoded = Zeroizing::new(STANDARD.encode(&*pair));
        self.authorization = Some(Zeroizing::new(format!("Basic {}", *encoded)));
        let password = Zeroizing::new(String::from_utf8_lossy(password).into_owned());
        self.secrets.extend([password, encoded]);
        self
    }

    /// Trusts the certificates in a PEM file, and those only; without a file, the system's.
    ///
    /// # Errors
    /// If the file can't be read or holds no certificate.
    pub fn ca_bundle(mut self, key: &str, file: Option<&Path>) -> Result<Self, ConfigNote> {
        if let Some(file) = file {
            self.roots = RootCerts::from(certificates(self.host, key, file)?);
        }
        Ok(self)
    }

    /// Shows a client certificate: the keys of a PEM file with the chain and of one with the private
    /// key, each with its path.
    ///
    /// # Errors
    /// If one is there without the other, can't be read, or if they don't belong together.
    pub fn client_certificate(
        mut self,
        (chain_key, chain): (&str, Option<&Path>),
        (key_key, key): (&str, Option<&Path>),
    ) -> Result<Self, ConfigNote> {
        let (chain, key) = match (chain, key) {
            (None, None) => return Ok(self),
            (Some(chain), Some(key)) => (certificates(self.host, chain_key, chain)?, key),
            _ => {
                let message =
                    format!("a client certificate takes both `{chain_key}` and `{key_key}`");
                return Err(ConfigNote::error(chain_key, message));
            }
        };
        let pem = Zeroizing::new(read(self.host, key_key, key)?);
        let ders = chain.iter().map(|found| found.der().to_vec().into());
        let ders = ders.collect();
        // Asked for beforehand, since ureq panics if the two don't fit.
        let fits = PrivateKeyDer::from_pem_slice(&pem)
            .is_ok_and(|key| CertifiedKey::from_der(ders, key, &default_provider()).is_ok());
        let key = PrivateKey::from_pem(&pem).ok().filter(|_| fits);
        let message = format!("the file does not hold the key of `{chain_key}` in PEM");
        let key = key.ok_or_else(|| ConfigNote::error(key_key, message))?;
        self.client_certificate = Some(ClientCert::new_with_certs(&chain, key));
        Ok(self)
    }

    /// The proxy to go through, `"http://proxy.example:3128"`; without one, none.
    ///
    /// # Errors
    /// If it is no such address.
    pub fn proxy(mut self, key: &str, proxy: Option<&str>) -> Result<Self, ConfigNote> {
        let message = "this is no proxy's address; write \"http://proxy.example:3128\"";
        let proxy = proxy.map(Proxy::new).transpose();
        self.proxy = proxy.map_err(|_| ConfigNote::error(key, message))?;
        Ok(self)
    }

    /// The client of the API that answers at `origin`, which has no path:
    /// `"https://ca.example:8084"`.
    ///
    /// # Errors
    /// If that is no such address.
    pub fn build(self, key: &str, origin: &str) -> Result<Client, ConfigNote> {
        let origin = origin.trim_end_matches('/');
        let uri: Result<Uri, _> = origin.parse();
        let good = uri.is_ok_and(|uri| {
            let known = matches!(uri.scheme_str(), Some("http" | "https"));
            known && uri.path() == "/" && uri.query().is_none() && !origin.contains('@')
        });
        if !good {
            let message = "this is no address; write \"https://ca.example:8084\", without a path";
            return Err(ConfigNote::error(key, message));
        }
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(default_provider()))
            .root_certs(self.roots)
            .client_cert(self.client_certificate)
            .build();
        let each = Some(self.timeout);
        let settings = Agent::config_builder()
            .tls_config(tls)
            .proxy(self.proxy)
            .user_agent(self.user_agent)
            .accept("application/json")
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_resolve(each)
            .timeout_connect(each)
            .timeout_send_request(each)
            .timeout_send_body(each)
            .timeout_recv_response(each)
            .timeout_recv_body(each)
            .build();
        let (connector, resolver) = (Connects::default(), Resolves::default());
        Ok(Client {
            agent: Agent::with_parts(settings, connector, resolver),
            origin: origin.to_owned(),
            authorization: self.authorization,
            secrets: self.secrets,
            host: self.host.clone(),
        })
    }
}

fn certificates(
    host: &Host,
    key: &str,
    file: &Path,
) -> Result<Vec<Certificate<'static>>, ConfigNote> {
    let pem = read(host, key, file)?;
    let items = parse_pem(&pem).map_while(Result::ok);
    let found: Vec<_> = items
        .filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect();
    let message = "the file holds no certificate in PEM; name one that does";
    let empty = found.is_empty().then(|| ConfigNote::error(key, message));
    empty.map_or(Ok(found), Err)
}

fn read(host: &Host, key: &str, file: &Path) -> Result<Vec<u8>, ConfigNote> {
    let path = host.resolve(file);
    let message = |error| format!("{} can't be read: {error}", path.display());
    std::fs::read(&path).map_err(|error| ConfigNote::error(key, message(error)))
}
