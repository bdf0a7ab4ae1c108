//! Responders for http-01 (RFC 8555 §8.3) and tls-alpn-01 (RFC 8737).

use std::collections::HashMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Arc, RwLock};

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Serves `/.well-known/acme-challenge/TOKEN` for the tokens it is given, and whole answers for
/// paths where a test wants something else.
pub struct Http01 {
    port: u16,
    answers: Arc<RwLock<HashMap<String, Vec<u8>>>>,
    requests: Arc<RwLock<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Http01 {
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers: Arc<RwLock<HashMap<String, Vec<u8>>>> = Arc::default();
        let requests: Arc<RwLock<Vec<String>>> = Arc::default();
        let (shared, seen) = (answers.clone(), requests.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone(), seen.clone()));
            }
        });
        Self {
            port,
            answers,
            requests,
            task,
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn set(&self, token: &str, key_authorization: &str) {
        let body = response(
            "200 OK",
            "content-type: application/octet-stream\r\n",
            key_authorization,
        );
        self.set_raw(&format!("/.well-known/acme-challenge/{token}"), body);
    }

    pub fn set_raw(&self, path: &str, response: Vec<u8>) {
        self.answers
            .write()
            .unwrap()
            .insert(path.to_owned(), response);
    }

    pub fn remove(&self, token: &str) {
        let path = format!("/.well-known/acme-challenge/{token}");
        self.answers.write().unwrap().remove(&path);
    }

    /// The heads of the requests that came, oldest first.
    pub fn requests(&self) -> Vec<String> {
        self.requests.read().unwrap().clone()
    }

    /// Forgets the requests seen so far; a long run would collect them all.
    pub fn forget_requests(&self) {
        self.requests.write().unwrap().clear();
    }
}

impl Drop for Http01 {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A whole HTTP answer.
pub fn response(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

async fn serve(
    mut stream: TcpStream,
    answers: Arc<RwLock<HashMap<String, Vec<u8>>>>,
    requests: Arc<RwLock<Vec<String>>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 16 * 1024 {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let answer = answers.read().unwrap().get(path).cloned();
    requests.write().unwrap().push(head);
    let answer = answer.unwrap_or_else(|| response("404 Not Found", "", "no such challenge"));
    // A validator that has seen enough may hang up early.
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}

/// Answers TLS connections with the certificate that a name's challenge asks for.
pub struct TlsAlpn01 {
    port: u16,
    certificates: Arc<Certificates>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Certificates(RwLock<HashMap<String, Arc<CertifiedKey>>>);

impl TlsAlpn01 {
    pub async fn start() -> Self {
        Self::start_with_protocol(b"acme-tls/1").await
    }

    /// For a server that speaks something else, which must not validate.
    pub async fn start_with_protocol(protocol: &[u8]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let certificates = Arc::<Certificates>::default();
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(certificates.clone());
        config.alpn_protocols = vec![protocol.to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    if let Ok(mut tls) = acceptor.accept(stream).await {
                        let _ = tls.read(&mut [0; 64]).await;
                    }
                });
            }
        });
        Self {
            port,
            certificates,
            task,
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The right certificate (RFC 8737 §3).
    pub fn set(&self, name: &str, key_authorization: &str) {
        let hash = digest(&SHA256, key_authorization.as_bytes());
        self.set_certificate(name, vec![name.to_owned()], Some(hash.as_ref()), true);
    }

    /// Any certificate: for these names, with this hash or none, critical or not.
    pub fn set_certificate(
        &self,
        sni: &str,
        names: Vec<String>,
        hash: Option<&[u8]>,
        critical: bool,
    ) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        if let Some(hash) = hash {
            let mut extension = CustomExtension::new_acme_identifier(&[0; 32]);
            if hash.len() == 32 {
                extension = CustomExtension::new_acme_identifier(hash);
            }
            extension.set_criticality(critical);
            params.custom_extensions.push(extension);
        }
        let certificate = params.self_signed(&key).unwrap();
        let der = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let signer = any_supported_type(&der).unwrap();
        let certified = CertifiedKey::new(vec![certificate.der().clone()], signer);
        self.certificates
            .0
            .write()
            .unwrap()
            .insert(sni.to_owned(), Arc::new(certified));
    }
}

impl Drop for TlsAlpn01 {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap().get(hello.server_name()?).cloned()
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates")
    }
}
