//! The bare EST server: cacerts is a body that is there, simpleenroll is base64, one CSR check, one
//! signature and one durable record. Under `CHECKED` the signature is checked as well.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

use crate::necessary::{Necessary, RECORD, listen};

/// The path under which it does what a server must whose certificates are made by others.
pub(super) const CHECKED: &str = "/checked";

pub(super) async fn serve(port: u16, dir: PathBuf) {
    let necessary = Arc::new(Necessary::open(&dir));
    let ca_certificates = Bytes::from(STANDARD.encode([RECORD, RECORD].concat()));
    let answer = move |request| answer(necessary.clone(), ca_certificates.clone(), request);
    listen(port, &dir, answer).await;
}

async fn answer(
    necessary: Arc<Necessary>,
    ca_certificates: Bytes,
    request: Request<Incoming>,
) -> hyper::Result<Response<Full<Bytes>>> {
    let body = if request.method() == Method::POST {
        let is_checked = request.uri().path().starts_with(CHECKED);
        let body = request.into_body().collect().await?.to_bytes();
        let signature = necessary.check_and_sign(&STANDARD.decode(&body).unwrap());
        if is_checked {
            necessary.check(&signature);
        }
        necessary.record().await;
        Bytes::from(STANDARD.encode(RECORD))
    } else {
        ca_certificates
    };
    let response = Response::builder()
        .header(
            "content-type",
            "application/pkcs7-mime; smime-type=certs-only",
        )
        .header("content-transfer-encoding", "base64");
    Ok(response.body(Full::from(body)).unwrap())
}
