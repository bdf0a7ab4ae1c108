//! [`Publish`]: tells somebody of each new certificate, as an operator's publishing script would.

use std::time::Duration;

use http::Method;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::acme::Connection;
use crate::tls;

/// Where new certificates are sent to, as PEM.
#[derive(Clone)]
pub struct Publish {
    /// An HTTPS URL.
    pub url: String,
    /// Sent as `Authorization: Bearer …`.
    pub secret: String,
    /// PEM of the roots that the server's certificate is trusted by.
    pub roots: String,
}

/// Tries of one certificate; a server that is down just then is found later by its own polling.
const TRIES: u32 = 3;

/// Starts the publisher; what is sent to it is a certificate, DER.
pub(super) fn start(runtime: &Runtime, target: Publish) -> UnboundedSender<Vec<u8>> {
    let (sender, mut certificates) = unbounded_channel::<Vec<u8>>();
    runtime.spawn(async move {
        let mut connection = Connection::new(tls::client_config(&target.roots));
        let bearer = format!("Bearer {}", target.secret);
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/x-pem-file"),
        ];
        while let Some(der) = certificates.recv().await {
            for _ in 0..TRIES {
                let pem = super::to_pem(&der).into_bytes();
                let sent = connection.send(Method::POST, &target.url, &headers, pem);
                match sent.await {
                    Ok(answer) if answer.status < 300 => break,
                    Ok(answer) => {
                        eprintln!("published and got {}: {}", answer.status, answer.text())
                    }
                    Err(error) => eprintln!("not published: {error:#}"),
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    });
    sender
}
