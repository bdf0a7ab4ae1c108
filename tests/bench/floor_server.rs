//! The bare server: for each order six signed requests over TLS, one DNS query and HTTP fetch, one
//! CSR check, one signature, and three records made durable together with those of others.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED, EcdsaKeyPair, UnparsedPublicKey,
};
use bytes::Bytes;
use certdock_tests::acme::unb64;
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, X509CertificationRequest};

/// Requests of an order: newOrder, authorization, challenge, order, finalize, certificate.
pub(crate) const STEPS: usize = 6;
pub(crate) const TOKEN: &str = "floor";
pub(crate) const KEY_FILE: &str = "account.jwk";

pub(crate) fn authorization_value() -> &'static str {
    "floor.floor"
}

/// About what an order, an authorization or a certificate takes on the disk, and in an answer.
const RECORD: [u8; 600] = [b'r'; 600];

struct Floor {
    account: Vec<u8>,
    ca: EcdsaKeyPair,
    dns: SocketAddr,
    http01_port: u16,
    writer: Sender<oneshot::Sender<()>>,
}

pub(crate) async fn serve(port: u16, dns: SocketAddr, http01_port: u16, dir: PathBuf) {
    let (writer, records) = channel();
    let file = File::create(dir.join("records")).unwrap();
    std::thread::spawn(move || write(&records, file));
    let floor = Arc::new(Floor {
        account: point(&dir.join(KEY_FILE)),
        ca: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(),
        dns,
        http01_port,
        writer,
    });
    let acceptor = acceptor(&dir);
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        let (floor, acceptor) = (floor.clone(), acceptor.clone());
        tokio::spawn(async move {
            stream.set_nodelay(true).unwrap();
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = service_fn(|request| answer(floor.clone(), request));
            // How a client leaves is its own affair.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
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

/// The account's public key as an uncompressed point.
fn point(file: &Path) -> Vec<u8> {
    let jwk: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let coordinate = |name: &str| unb64(jwk[name].as_str().unwrap());
    [vec![4], coordinate("x"), coordinate("y")].concat()
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

async fn answer(
    floor: Arc<Floor>,
    request: Request<Incoming>,
) -> hyper::Result<Response<Full<Bytes>>> {
    let step: usize = request.uri().path()[1..].parse().unwrap();
    let body = request.into_body().collect().await?.to_bytes();
    let payload = verify(&floor, &body);
    match step {
        0 => record(&floor).await,
        2 => {
            validate(&floor).await;
            record(&floor).await;
        }
        4 => {
            sign(&floor, &payload);
            record(&floor).await;
        }
        _ => {}
    }
    let response = Response::builder()
        .header("replay-nonce", "AAAAAAAAAAAAAAAAAAAAAA")
        .header("content-type", "application/json");
    Ok(response.body(Full::from(&RECORD[..])).unwrap())
}

fn verify(floor: &Floor, body: &[u8]) -> Value {
    let jws: Value = serde_json::from_slice(body).unwrap();
    let part = |name: &str| jws[name].as_str().unwrap();
    let signed = format!("{}.{}", part("protected"), part("payload"));
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &floor.account);
    key.verify(signed.as_bytes(), &unb64(part("signature")))
        .unwrap();
    let _: Value = serde_json::from_slice(&unb64(part("protected"))).unwrap();
    serde_json::from_slice(&unb64(part("payload"))).unwrap()
}

async fn record(floor: &Floor) {
    let (done, wait) = oneshot::channel();
    floor.writer.send(done).unwrap();
    wait.await.unwrap();
}

async fn validate(floor: &Floor) {
    let mut query = Message::new(1, MessageType::Query, OpCode::Query);
    let name = Name::from_ascii("floor.bench.test.").unwrap();
    query.add_query(Query::query(name, RecordType::A));
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket
        .send_to(&query.to_vec().unwrap(), floor.dns)
        .await
        .unwrap();
    let mut answer = [0; 1500];
    let length = socket.recv(&mut answer).await.unwrap();
    assert_eq!(
        Message::from_vec(&answer[..length]).unwrap().answers.len(),
        1
    );

    let mut stream = TcpStream::connect(("127.0.0.1", floor.http01_port))
        .await
        .unwrap();
    let request = format!(
        "GET /.well-known/acme-challenge/{TOKEN} HTTP/1.1\r\nhost: floor.bench.test\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.ends_with(authorization_value().as_bytes()));
}

/// Reads the CSR, checks its signature, and signs as much as a certificate is.
fn sign(floor: &Floor, payload: &Value) {
    let der = unb64(payload["csr"].as_str().unwrap());
    let (_, csr) = X509CertificationRequest::from_der(&der).unwrap();
    csr.verify_signature().unwrap();
    floor.ca.sign(&SystemRandom::new(), &RECORD).unwrap();
}
