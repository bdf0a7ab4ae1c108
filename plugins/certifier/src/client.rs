//! [`Client`]: JSON over HTTP, and what a call that brings nothing means for who asked.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use certdock_plugin_api::{ConfigNote, Fault, Host};
use http::{Response, Uri, header};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use rustls::sign::CertifiedKey;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectionDetails, Connector, DefaultConnector, Transport};
use ureq::{Agent, Body, Proxy, Timeout};
use zeroize::Zeroizing;

use crate::config::Config;

/// Codes of faults that tell `check` which key is wrong.
pub(crate) const NO_CONNECTION: &str = "no-connection";
pub(crate) const NOT_WORKING: &str = "not-working";
pub(crate) const CREDENTIALS: &str = "credentials";
pub(crate) const UNKNOWN_PROFILE: &str = "profile-unknown";

/// Largest answer that is read, and how much of it is logged.
const LARGEST: u64 = 8 * 1024 * 1024;
const LOGGED: usize = 2048;

/// Longest query, in bytes: no server reads a longer one, and the HTTP library panics at it.
const LONGEST_QUERY: usize = 8 * 1024;

/// A client of one API with one user's credentials. Keeps connections open.
pub(crate) struct Client {
    agent: Agent,
    /// `scheme://host:port`
    origin: String,
    authorization: Zeroizing<String>,
    password: Zeroizing<String>,
    host: Host,
}

impl Client {
    /// Reads files and secrets, and reaches nobody.
    ///
    /// # Errors
    /// What is wrong with the configuration, under the key it is about.
    pub(crate) fn new(config: &Config, host: &Host) -> Result<Self, ConfigNote> {
        let user = config.api_user.get(host);
        let user = user.map_err(|fault| ConfigNote::error("api_user", fault.public))?;
        let password = host.secret(&config.api_password);
        let password = password.map_err(|fault| ConfigNote::error("api_password", fault.public))?;
        let password = Zeroizing::new(String::from_utf8_lossy(&password).into_owned());
        let pair = Zeroizing::new([&user, b":".as_slice(), password.as_bytes()].concat());
        let each = Some(config.request_timeout.get());
        let settings = Agent::config_builder()
            .tls_config(tls(config, host)?)
            .proxy(proxy(config)?)
            .user_agent(concat!("certdock-certifier/", env!("CARGO_PKG_VERSION")))
            .accept("application/json")
            // A redirect is not followed: it could lead the password elsewhere.
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
        let connector = TellsConnecting(DefaultConnector::default());
        Ok(Self {
            agent: Agent::with_parts(settings, connector, DefaultResolver::default()),
            origin: origin(&config.api_host)?,
            authorization: Zeroizing::new(format!("Basic {}", STANDARD.encode(&*pair))),
            password,
            host: host.clone(),
        })
    }

    pub(crate) fn get<T: DeserializeOwned>(
        &self,
        purpose: &str,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, Fault> {
        if query.iter().map(|(_, value)| value.len()).sum::<usize>() > LONGEST_QUERY {
            return Err(Fault::malformed("what to ask the CA for is too long"));
        }
        let request = self.agent.get(format!("{}{path}", self.origin));
        let request = request.header(header::AUTHORIZATION, &*self.authorization);
        let answer = request.query_pairs(query.iter().copied()).call();
        self.finish(purpose, false, &format!("GET {path} {query:?}"), answer)
    }

    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        purpose: &str,
        path: &str,
        body: &Value,
    ) -> Result<T, Fault> {
        let request = self.agent.post(format!("{}{path}", self.origin));
        let request = request.header(header::AUTHORIZATION, &*self.authorization);
        let answer = request
            .content_type("application/json")
            .send(body.to_string());
        self.finish(purpose, true, &format!("POST {path} {body}"), answer)
    }

    /// Reads the answer: its status first, then its body. An order is what changes something.
    fn finish<T: DeserializeOwned>(
        &self,
        purpose: &str,
        order: bool,
        sent: &str,
        answer: Result<Response<Body>, ureq::Error>,
    ) -> Result<T, Fault> {
        let answer = answer.and_then(|mut response| {
            let body = response
                .body_mut()
                .with_config()
                .limit(LARGEST)
                .read_to_vec()?;
            Ok((response, body))
        });
        let received = match &answer {
            Ok((head, body)) => format!("{} {}", head.status(), String::from_utf8_lossy(body)),
            Err(error) => error.to_string(),
        };
        let received = self.without_secrets(&received);
        let fields = [
            ("sent", &*self.without_secrets(sent)),
            ("received", &received),
        ];
        self.host.debug(purpose, &fields);
        let said = format!("{purpose}: {received}");
        let (head, body) = answer.map_err(|error| no_answer(order, &error).private(&said))?;
        let json: Value = serde_json::from_slice(&body).unwrap_or_default();
        let status = match json
            .get("status")
            .and_then(Value::as_u64)
            .map(u16::try_from)
        {
            // Some versions may say no in the body alone. A request's own status is a word.
            Some(Ok(status @ 400..=599)) if head.status().is_success() => status,
            _ => head.status().as_u16(),
        };
        let mut fault = if (200..300).contains(&status) {
            match T::deserialize(&json) {
                Ok(answer) => return Ok(answer),
                Err(_) => unanswered(order),
            }
        } else {
            let message = json.get("message").and_then(Value::as_str);
            let message = message.unwrap_or("it does not say why");
            refused(order, status, &self.without_secrets(message))
        };
        let wait = head.headers().get(header::RETRY_AFTER);
        let wait = wait.and_then(|wait| wait.to_str().ok()?.parse().ok());
        fault.retry_after = wait.map(Duration::from_secs);
        Err(fault.private(said))
    }

    /// What may be logged: one line, not too long, in which the password is struck out.
    fn without_secrets(&self, text: &str) -> String {
        let end = text.floor_char_boundary(LOGGED);
        let text = text.get(..end).unwrap_or_default().replace('\n', " ");
        let secrets = [
            self.password.as_str(),
            self.authorization.trim_start_matches("Basic "),
        ];
        let secrets = secrets.iter().filter(|secret| !secret.is_empty());
        secrets.fold(text, |text, secret| text.replace(secret, "***"))
    }
}

fn no_answer(order: bool, error: &ureq::Error) -> Fault {
    match error {
        ureq::Error::Other(other) if other.is::<NotConnected>() => {
            Fault::upstream("the CA can't be reached").code(NO_CONNECTION)
        }
        ureq::Error::HostNotFound | ureq::Error::Timeout(Timeout::Resolve) => {
            Fault::upstream("the CA can't be reached").code(NO_CONNECTION)
        }
        _ => unanswered(order).code(NOT_WORKING),
    }
}

/// No answer to a question is a pity. No answer to an order leaves open whether it was followed.
fn unanswered(order: bool) -> Fault {
    match order {
        true => Fault::unknown_outcome("the CA's answer did not arrive"),
        false => Fault::upstream("the CA did not answer"),
    }
}

/// The public sentence tells no addresses, but what the CA has to say to the client.
fn refused(order: bool, status: u16, message: &str) -> Fault {
    let words = message.to_lowercase();
    match (status, order) {
        (401, _) | (403, false) => {
            Fault::misconfigured("the CA does not let this server in").code(CREDENTIALS)
        }
        (300..=399, _) => Fault::misconfigured("the address of the CA leads elsewhere"),
        (408 | 429 | 503, _) => Fault::busy("the CA has no capacity now").code(NOT_WORKING),
        // A gateway that has lost the CA, which may have heard the order.
        (502 | 504, _) => unanswered(order).code(NOT_WORKING),
        (500.., _) => Fault::upstream("the CA failed").code(NOT_WORKING),
        (_, false) => Fault::upstream("the CA does not know its own objects"),
        // Nothing but the words tells.
        _ if words.contains("profile") => {
            Fault::misconfigured("the CA does not know the profile").code(UNKNOWN_PROFILE)
        }
        _ if words.contains("already revoked") => Fault::already_revoked(),
        (403, _) => Fault::denied(format!("the CA refused: {message}")),
        _ => Fault::malformed(format!("the CA refused: {message}")),
    }
}

/// Tells an error of connecting, before which nothing is sent, from all others.
#[derive(Debug)]
struct TellsConnecting(DefaultConnector);

#[derive(Debug)]
struct NotConnected(ureq::Error);

impl Connector for TellsConnecting {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<()>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let connected = self.0.connect(details, chained);
        connected.map_err(|error| ureq::Error::Other(Box::new(NotConnected(error))))
    }
}

impl std::error::Error for NotConnected {}

impl std::fmt::Display for NotConnected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

fn origin(api_host: &str) -> Result<String, ConfigNote> {
    let origin = api_host.trim_end_matches('/');
    let uri: Result<Uri, _> = origin.parse();
    let good = uri.is_ok_and(|uri| {
        let known = matches!(uri.scheme_str(), Some("http" | "https"));
        known && uri.path() == "/" && uri.query().is_none() && !origin.contains('@')
    });
    let message = "this is no address; write \"https://certifier.example:8084\", without a path";
    let wrong = || ConfigNote::error("api_host", message);
    good.then(|| origin.to_owned()).ok_or_else(wrong)
}

fn proxy(config: &Config) -> Result<Option<Proxy>, ConfigNote> {
    let proxy = config.proxy.as_deref().map(Proxy::new).transpose();
    let message = "this is no proxy's address; write \"http://proxy.example:3128\"";
    proxy.map_err(|_| ConfigNote::error("proxy", message))
}

fn tls(config: &Config, host: &Host) -> Result<TlsConfig, ConfigNote> {
    let roots = match &config.ca_bundle {
        Some(path) => RootCerts::from(certificates("ca_bundle", path, host)?),
        None => RootCerts::PlatformVerifier,
    };
    let client = match (&config.client_certificate, &config.client_key) {
        (None, None) => None,
        (Some(chain), Some(key)) => Some(client_certificate(chain, key, host)?),
        _ => {
            let message = "a client certificate takes both `client_certificate` and `client_key`";
            return Err(ConfigNote::error("client_certificate", message));
        }
    };
    Ok(TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(default_provider()))
        .root_certs(roots)
        .client_cert(client)
        .build())
}

fn client_certificate(chain: &Path, key: &Path, host: &Host) -> Result<ClientCert, ConfigNote> {
    let chain = certificates("client_certificate", chain, host)?;
    let pem = Zeroizing::new(read("client_key", key, host)?);
    let ders = chain.iter();
    let ders = ders.map(|found| found.der().to_vec().into()).collect();
    // Asked for beforehand, since ureq panics if the two don't fit.
    let fits = PrivateKeyDer::from_pem_slice(&pem)
        .is_ok_and(|key| CertifiedKey::from_der(ders, key, &default_provider()).is_ok());
    let key = PrivateKey::from_pem(&pem).ok().filter(|_| fits);
    let message = "the file does not hold the key of `client_certificate` in PEM";
    let key = key.ok_or_else(|| ConfigNote::error("client_key", message))?;
    Ok(ClientCert::new_with_certs(&chain, key))
}

fn certificates(
    key: &str,
    path: &Path,
    host: &Host,
) -> Result<Vec<Certificate<'static>>, ConfigNote> {
    let pem = read(key, path, host)?;
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

fn read(key: &str, path: &Path, host: &Host) -> Result<Vec<u8>, ConfigNote> {
    let path = host.resolve(path);
    let message = |error| format!("{} can't be read: {error}", path.display());
    std::fs::read(&path).map_err(|error| ConfigNote::error(key, message(error)))
}
