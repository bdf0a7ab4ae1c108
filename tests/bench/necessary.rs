//! What every server that issues certificates must do, and nothing more: TLS, a CSR check, a
//! signature, and a record made durable together with those of others.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, Signature,
    UnparsedPublicKey,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, X509CertificationRequest};

/// About what an order, an authorization or a certificate takes on the disk, and in an answer.
pub(crate) const RECORD: [u8; 600] = [b'r'; 600];

pub(crate) struct Necessary {
    ca: EcdsaKeyPair,
    writer: Sender<oneshot::Sender<()>>,
}

impl Necessary {
    pub(crate) fn open(dir: &Path) -> Self {
        let (writer, records) = channel();
        let file = File::create(dir.join("records")).unwrap();
        std::thread::spawn(move || write(&records, file));
        Self {
            ca: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(),
            writer,
        }
    }

    /// Reads the CSR, checks its signature, and signs as much as a certificate is.
    pub(crate) fn check_and_sign(&self, der: &[u8]) -> Signature {
        let (_, csr) = X509CertificationRequest::from_der(der).unwrap();
        csr.verify_signature().unwrap();
        self.ca.sign(&SystemRandom::new(), &RECORD).unwrap()
    }

    /// Checks what was signed, as whoever did not sign himself must.
    pub(crate) fn check(&self, signature: &Signature) {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, self.ca.public_key());
        key.verify(&RECORD, signature.as_ref()).unwrap();
    }

    pub(crate) async fn record(&self) {
        let (done, wait) = oneshot::channel();
        self.writer.send(done).unwrap();
        wait.await.unwrap();
    }
}

/// Group commit: whatever waits goes into one write and one fdatasync.
fn write(records: &Receiver<oneshot::Sender<()>>, mut file: File) {
    while let Ok(first) = records.recv() {
        let mut waiting = vec![first];
        waiting.extend(records.try_iter());
        file.write_all(&RECORD.repeat(waiting.len())).unwrap();
        file.sync_data().unwrap();
        for done in waiting {
            // Whoever waited may have gone.
            let _ = done.send(());
        }
    }
}

/// Serves HTTP/1.1 with the identity in a folder.
pub(crate) async fn listen<F, A>(port: u16, dir: &Path, answer: F)
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = hyper::Result<Response<Full<Bytes>>>> + Send + 'static,
{
    let acceptor = acceptor(dir);
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        let (answer, acceptor) = (answer.clone(), acceptor.clone());
        tokio::spawn(async move {
            stream.set_nodelay(true).unwrap();
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            // How a client leaves is its own affair.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .await;
        });
    }
}

fn acceptor(dir: &Path) -> TlsAcceptor {
    let chain = CertificateDer::from_pem_file(dir.join("tls.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(dir.join("tls.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
