//! Connections: TLS, authentication, faults, and who answers what.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::api::{self, Reply};
use super::fault::{Call, FaultKind};
use super::{Options, Shared, operator};

/// Largest body that is read.
const LARGEST: usize = 1024 * 1024;

/// Why a connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("cut")]
struct Cut;

pub(super) async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).unwrap();
    let tls = acceptor(&shared.options);
    while let Ok((stream, _)) = listener.accept().await {
        shared.ledger().counts.connections += 1;
        let _ = stream.set_nodelay(true);
        let (shared, tls) = (Arc::clone(&shared), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => connection(stream, shared).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        connection(stream, shared).await;
                    }
                }
            }
        });
    }
}

fn acceptor(options: &Options) -> Option<TlsAcceptor> {
    let identity = options.tls.as_ref()?;
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match &options.client_roots {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for root in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                roots.add(root.unwrap()).unwrap();
            }
            let provider = Arc::new(default_provider());
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let chain = CertificateDer::pem_slice_iter(identity.certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let config = builder.with_single_cert(chain.map(Result::unwrap).collect(), key);
    Some(TlsAcceptor::from(Arc::new(config.unwrap())))
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    shared: Arc<Shared>,
) {
    let service = service_fn(move |request| answer(Arc::clone(&shared), request));
    // An error is a connection that was cut, by us or by the client.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Cut> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, LARGEST).collect().await;
    let body = body.map_err(|_| Cut)?.to_bytes();
    let path = head.uri.path();
    if path != "/v1" && !path.starts_with("/v1/") {
        return Ok(operator::answer(&shared, &head.method, path, &body));
    }
    let call = api::Call {
        method: &head.method,
        path,
        query: head.uri.query().unwrap_or_default(),
        body: &body,
        base: &shared.base,
    };
    let fault = {
        let mut ledger = shared.ledger();
        ledger.counts.calls += 1;
        let fault = Call::of(call.method, path).and_then(|call| ledger.faults.strike(call));
        ledger.counts.faults += u64::from(fault.is_some());
        fault
    };
    match fault {
        Some(FaultKind::Status(status)) => {
            let status = StatusCode::from_u16(status).unwrap();
            return Ok(json(&Reply::error(status, "This fault was asked for")));
        }
        Some(FaultKind::CutBefore) => return Err(Cut),
        Some(FaultKind::HangBefore(span)) => return hang(span).await,
        Some(FaultKind::HtmlBefore) => return Ok(html()),
        _ => {}
    }
    if !authentic(&shared.options, &head.headers) {
        let refusal = Reply::error(StatusCode::UNAUTHORIZED, "Authentication required");
        return Ok(json(&refusal));
    }
    let reply = api::answer(&mut shared.ledger(), &shared.options, &call);
    shared.publish(reply.issued.as_deref());
    match fault {
        Some(FaultKind::CutAfter) => return Err(Cut),
        Some(FaultKind::HangAfter(span)) => return hang(span).await,
        Some(FaultKind::HtmlAfter) => return Ok(html()),
        _ => {}
    }
    tokio::time::sleep(reply.after).await;
    Ok(json(&reply))
}

async fn hang(span: Duration) -> Result<Response<Full<Bytes>>, Cut> {
    tokio::time::sleep(span).await;
    Err(Cut)
}

fn authentic(options: &Options, headers: &HeaderMap) -> bool {
    let given = headers.get(header::AUTHORIZATION);
    let pair = STANDARD.encode(format!("{}:{}", options.user, options.password));
    given.is_some_and(|value| value.as_bytes() == format!("Basic {pair}").as_bytes())
}

fn json(reply: &Reply) -> Response<Full<Bytes>> {
    let mut response = response(reply.status, "application/json", reply.body.to_string());
    if reply.status == StatusCode::UNAUTHORIZED {
        let value = HeaderValue::from_static("Basic realm=\"certifier\"");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, value);
    }
    if reply.status.is_redirection() {
        let value = HeaderValue::from_static("/login");
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

fn html() -> Response<Full<Bytes>> {
    let page = "<html><body>This is no API.</body></html>";
    response(StatusCode::OK, "text/html", page.to_owned())
}

pub(super) fn response(
    status: StatusCode,
    kind: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
