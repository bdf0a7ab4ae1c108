//! One kept-alive HTTPS connection.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

/// The answer to one request, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The values of a header that may stand several times, such as `Link`.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {} {}", self.status, self.text()))
    }

    /// The problem's type without its common prefix (RFC 8555 §6.7), empty if there is none.
    pub fn problem(&self) -> String {
        let json: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let kind = json["type"].as_str().unwrap_or_default();
        kind.strip_prefix("urn:ietf:params:acme:error:")
            .unwrap_or(kind)
            .to_owned()
    }

    /// The answer itself if its status is the one expected.
    pub fn expect(self, status: u16) -> Result<Self> {
        if self.status != status {
            bail!("expected {status}, got {}: {}", self.status, self.text());
        }
        Ok(self)
    }
}

/// A connection that is opened when it is needed, and again when the server has closed it.
pub struct Connection {
    tls: Arc<ClientConfig>,
    sender: Option<(String, SendRequest<Full<Bytes>>)>,
    pub timeout: Duration,
    /// One of this machine's own addresses to come from.
    pub from: Option<Ipv4Addr>,
}

impl Connection {
    pub fn new(tls: Arc<ClientConfig>) -> Self {
        Self {
            tls,
            sender: None,
            timeout: Duration::from_secs(30),
            from: None,
        }
    }

    pub async fn send(
        &mut self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Answer> {
        let limit = self.timeout;
        let answer = tokio::time::timeout(limit, self.exchange(method, url, headers, body)).await;
        if !matches!(answer, Ok(Ok(_))) {
            // Half an exchange leaves nothing to go on with.
            self.sender = None;
        }
        answer.with_context(|| format!("{url}: no answer within {} s", limit.as_secs()))?
    }

    async fn exchange(
        &mut self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Answer> {
        let uri: Uri = url.parse().with_context(|| format!("{url} is not a URL"))?;
        let authority = uri.authority().context("a URL without a host")?.as_str();
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, authority);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body))?;
        let response = self.open(authority).await?.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        })
    }

    async fn open(&mut self, authority: &str) -> Result<&mut SendRequest<Full<Bytes>>> {
        let usable = match &mut self.sender {
            Some((open, sender)) => open == authority && sender.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            let host = authority
                .rsplit_once(':')
                .map_or(authority, |(host, _)| host);
            let to = authority.replace("localhost:", "127.0.0.1:");
            let stream = match self.from {
                None => TcpStream::connect(to).await?,
                Some(from) => {
                    let socket = TcpSocket::new_v4()?;
                    socket.bind((from, 0).into())?;
                    socket.connect(to.parse()?).await?
                }
            };
            stream.set_nodelay(true)?;
            let name = ServerName::try_from(host.to_owned())?;
            let stream = TlsConnector::from(self.tls.clone())
                .connect(name, stream)
                .await?;
            let (sender, driver) = handshake(TokioIo::new(stream)).await?;
            // Its end shows in the sender.
            tokio::spawn(driver);
            self.sender = Some((authority.to_owned(), sender));
        }
        self.sender
            .as_mut()
            .map(|(_, sender)| sender)
            .context("a connection was just opened")
    }
}
