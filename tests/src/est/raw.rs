//! Requests byte by byte, for what no HTTP library would send, and over HTTP/2.

use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::client::Caller;
use crate::http::Answer;

const LIMIT: Duration = Duration::from_secs(20);

/// An answer as it came.
#[derive(Debug)]
pub struct RawAnswer {
    pub head: String,
    pub body: Vec<u8>,
}

impl RawAnswer {
    pub fn status(&self) -> u16 {
        let status = self.head.split(' ').nth(1);
        status.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// Writes these bytes over TLS and reads until the server closes. `Connection: close` is the
/// writer's business.
pub async fn exchange(port: u16, caller: &Caller, bytes: &[u8]) -> Result<RawAnswer> {
    exchange_bound(port, caller, |_| bytes.to_vec()).await
}

/// The same, with a request that is made once the connection's tls-exporter value is known
/// (RFC 9266 §4.2).
async fn exchange_bound(
    port: u16,
    caller: &Caller,
    request: impl FnOnce([u8; 32]) -> Vec<u8>,
) -> Result<RawAnswer> {
    let mut stream = connect(port, (*caller.client_config()).clone()).await?;
    let tls = stream.get_ref().1;
    let binding = tls.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b""))?;
    // A server may answer and close before it has read it all.
    let _ = stream.write_all(&request(binding)).await;
    let _ = stream.flush().await;
    let mut all = Vec::new();
    let read = tokio::time::timeout(LIMIT, stream.read_to_end(&mut all)).await;
    let read = read.context("the server did not close")?;
    let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") else {
        read?;
        anyhow::bail!("no complete head: {}", String::from_utf8_lossy(&all));
    };
    let body = all.split_off(end + 4);
    Ok(RawAnswer {
        head: String::from_utf8(all)?,
        body,
    })
}

/// Posts a CSR, DER, that is made for the connection it goes over (RFC 7030 §3.5), to
/// `LABEL/OPERATION`.
pub async fn post_bound(
    port: u16,
    path: &str,
    caller: &Caller,
    csr: impl FnOnce([u8; 32]) -> Vec<u8>,
) -> Result<RawAnswer> {
    let authorization = caller.authorization().context("no password")?;
    let request = |binding| {
        let body = STANDARD.encode(csr(binding));
        format!(
            "POST /.well-known/est/{path} HTTP/1.1\r\nHost: localhost\r\n\
             Connection: close\r\nAuthorization: {authorization}\r\n\
             Content-Type: application/pkcs10\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    };
    exchange_bound(port, caller, request).await
}

/// One request over HTTP/2.
pub async fn http2(port: u16, caller: &Caller, request: Request<Vec<u8>>) -> Result<Answer> {
    let mut config = (*caller.client_config()).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = connect(port, config).await?;
    let executor = TokioExecutor::new();
    let (mut sender, driver) =
        hyper::client::conn::http2::handshake(executor, TokioIo::new(stream)).await?;
    // Its end shows in the sender.
    tokio::spawn(driver);
    let (head, body) = request.into_parts();
    let request = Request::from_parts(head, Full::<Bytes>::from(body));
    let (head, body) = sender.send_request(request).await?.into_parts();
    Ok(Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: body.collect().await?.to_bytes(),
    })
}

async fn connect(port: u16, config: ClientConfig) -> Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from("localhost")?;
    Ok(TlsConnector::from(std::sync::Arc::new(config))
        .connect(name, stream)
        .await?)
}
