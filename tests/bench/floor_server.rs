//! The bare server: for each order six signed requests over TLS, one DNS query and HTTP fetch, one
//! CSR check, one signature, and three records made durable together with those of others.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use bytes::Bytes;
use certdock_tests::acme::unb64;
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::necessary::{Necessary, RECORD, listen};

/// Requests of an order: newOrder, authorization, challenge, order, finalize, certificate.
pub(crate) const STEPS: usize = 6;
pub(crate) const TOKEN: &str = "floor";
pub(crate) const KEY_FILE: &str = "account.jwk";

pub(crate) fn authorization_value() -> &'static str {
    "floor.floor"
}

struct Floor {
    account: Vec<u8>,
    dns: SocketAddr,
    http01_port: u16,
    necessary: Necessary,
}

pub(crate) async fn serve(port: u16, dns: SocketAddr, http01_port: u16, dir: PathBuf) {
    let floor = Arc::new(Floor {
        account: point(&dir.join(KEY_FILE)),
        dns,
        http01_port,
        necessary: Necessary::open(&dir),
    });
    listen(port, &dir, move |request| answer(floor.clone(), request)).await;
}

/// The account's public key as an uncompressed point.
fn point(file: &Path) -> Vec<u8> {
    let jwk: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let coordinate = |name: &str| unb64(jwk[name].as_str().unwrap());
    [vec![4], coordinate("x"), coordinate("y")].concat()
}

async fn answer(
    floor: Arc<Floor>,
    request: Request<Incoming>,
) -> hyper::Result<Response<Full<Bytes>>> {
    let step: usize = request.uri().path()[1..].parse().unwrap();
    let body = request.into_body().collect().await?.to_bytes();
    let payload = verify(&floor, &body);
    match step {
        0 => floor.necessary.record().await,
        2 => {
            validate(&floor).await;
            floor.necessary.record().await;
        }
        4 => {
            let csr = unb64(payload["csr"].as_str().unwrap());
            floor.necessary.check_and_sign(&csr);
            floor.necessary.record().await;
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
