//! http-01 (RFC 8555 §8.3): the proof is a file on the name's web server.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use subtle::ConstantTimeEq;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use crate::order::{DnsName, Failure, FailureKind};
use crate::validation::Proof;
use crate::validation::dial::Dialer;
use crate::validation::target::{RedirectPorts, Target};
use crate::validation::unverified;

/// What http-01 needs beside the dialer.
#[derive(Debug)]
pub(super) struct Http01 {
    port: u16,
    redirect_ports: RedirectPorts,
    tls: Arc<ClientConfig>,
}

impl Http01 {
    /// # Errors
    /// The TLS library refuses its own defaults.
    pub(super) fn new(port: u16, redirect_ports: &[u16]) -> Result<Self, rustls::Error> {
        Ok(Self {
            port,
            redirect_ports: RedirectPorts::new(port, redirect_ports),
            // RFC 8555 §8.3 lets a redirect lead to https. What vouches for the content is the name
            // in the DNS, as with plain HTTP; a certificate may be what the client has yet to get.
            tls: Arc::new(unverified::client_config(b"http/1.1")?),
        })
    }

    /// # Errors
    /// What was missing or wrong.
    pub(super) async fn check(&self, dialer: &Dialer, proof: &Proof) -> Result<(), Failure> {
        let mut target = Target::first(&proof.name, self.port, &proof.token)?;
        let mut visited = Vec::new();
        loop {
            let next = match self.fetch(dialer, &target).await? {
                Answer::Content(content) => return compare(&content, &proof.key_authorization),
                Answer::Redirect(location) => target.redirect(&location, &self.redirect_ports)?,
            };
            visited.push(std::mem::replace(&mut target, next));
            if visited.contains(&target) {
                return Err(connection("the web server's redirects lead in a circle"));
            }
            if visited.len() > MAX_REDIRECTS {
                return Err(connection("the web server sent more than 10 redirects"));
            }
        }
    }

    async fn fetch(&self, dialer: &Dialer, target: &Target) -> Result<Answer, Failure> {
        let stream = dialer.connect(&target.host, target.port).await?;
        if !target.tls {
            return request(stream, target).await;
        }
        let stream = TlsConnector::from(Arc::clone(&self.tls))
            .connect(server_name(&target.host)?, stream)
            .await
            .map_err(|error| {
                tracing::debug!(host = %target.host, %error, "TLS handshake failed");
                Failure::new(
                    FailureKind::Tls,
                    format!("the TLS handshake with {} failed", target.host),
                )
            })?;
        request(stream, target).await
    }
}

/// The name for SNI.
pub(super) fn server_name(host: &DnsName) -> Result<ServerName<'static>, Failure> {
    ServerName::try_from(host.to_string())
        .map_err(|_| Failure::new(FailureKind::Tls, format!("{host} makes no TLS server name")))
}

/// RFC 8555 §8.3 leaves the number open; Boulder's.
const MAX_REDIRECTS: usize = 10;
/// A key authorization has about 87 bytes. What is longer isn't one.
const MAX_BODY: usize = 512;
/// The least that hyper takes.
const MAX_HEAD: usize = 8192;

enum Answer {
    Content(Bytes),
    Redirect(String),
}

/// One GET on a new connection.
async fn request(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    target: &Target,
) -> Result<Answer, Failure> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(target, &error))?;
    let exchange = async {
        let response = sender.send_request(get(target)?).await;
        read(response.map_err(|error| broken(target, &error))?, target).await
    };
    // The connection lives as long as the exchange: no task of its own that could outlast it.
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => return answer,
        _ = connection => {}
    }
    exchange.await
}

fn get(target: &Target) -> Result<Request<Empty<Bytes>>, Failure> {
    Request::get(target.path.clone())
        .header(header::HOST, target.authority())
        .header(header::ACCEPT, HeaderValue::from_static("*/*"))
        .header(header::CONNECTION, HeaderValue::from_static("close"))
        .header(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("certdock/", env!("CARGO_PKG_VERSION"))),
        )
        .body(Empty::new())
        .map_err(|_| connection("the web server's redirect makes no request"))
}

async fn read(response: Response<Incoming>, target: &Target) -> Result<Answer, Failure> {
    match response.status() {
        StatusCode::OK => Ok(Answer::Content(
            content(response.into_body(), target).await?,
        )),
        // 303 asks for something else than what was asked for; Boulder does not follow it either.
        StatusCode::MOVED_PERMANENTLY
        | StatusCode::FOUND
        | StatusCode::TEMPORARY_REDIRECT
        | StatusCode::PERMANENT_REDIRECT => response
            .headers()
            .get(header::LOCATION)
            .and_then(|location| std::str::from_utf8(location.as_bytes()).ok())
            .map(|location| Answer::Redirect(location.to_owned()))
            .ok_or_else(|| connection("the web server sent a redirect that leads nowhere")),
        status => Err(Failure::new(
            FailureKind::Unauthorized,
            format!(
                "the web server of {} answered with status {} instead of the key authorization",
                target.host,
                status.as_u16()
            ),
        )),
    }
}

/// At most one byte more than [`MAX_BODY`].
async fn content(mut body: Incoming, target: &Target) -> Result<Bytes, Failure> {
    let mut content = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(target, &error))?;
        if let Some(data) = frame.data_ref() {
            let room = MAX_BODY + 1 - content.len();
            content.extend_from_slice(data.get(..room).unwrap_or(data));
        }
        if content.len() > MAX_BODY {
            break;
        }
    }
    Ok(content.freeze())
}

/// RFC 8555 §8.3: white space at the end of the body is ignored. What was fetched is never told:
/// whoever chose where to fetch it from may not be whoever may read it.
fn compare(content: &[u8], key_authorization: &str) -> Result<(), Failure> {
    let trimmed = content.trim_ascii_end();
    if content.len() <= MAX_BODY && bool::from(trimmed.ct_eq(key_authorization.as_bytes())) {
        return Ok(());
    }
    Err(Failure::new(
        FailureKind::IncorrectResponse,
        "the web server answered with something other than the key authorization",
    ))
}

fn connection(detail: &str) -> Failure {
    Failure::new(FailureKind::Connection, detail)
}

fn broken(target: &Target, error: &hyper::Error) -> Failure {
    tracing::debug!(host = %target.host, %error, "exchange failed");
    Failure::new(
        FailureKind::Connection,
        format!(
            "the web server of {} broke off or does not speak HTTP",
            target.host
        ),
    )
}

#[cfg(test)]
mod tests;
