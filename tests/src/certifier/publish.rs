//! [`Publish`]: tells somebody of each new certificate, as an operator's publishing script would.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
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
    /// The file with the roots that the server's certificate is trusted by, PEM. Read when it is
    /// needed, for the server may make it on its first start.
    pub roots: PathBuf,
    /// How long after a certificate is issued: the operator's script may run from time to time only.
    pub delay: Duration,
}

/// Tries of one certificate; a server that is down just then is found later by its own polling.
const TRIES: u32 = 3;

/// A certificate, DER, and when it was issued.
pub(super) type Issued = (Instant, Vec<u8>);

/// Starts the publisher.
pub(super) fn start(runtime: &Runtime, target: Publish) -> UnboundedSender<Issued> {
    let (sender, mut certificates) = unbounded_channel::<Issued>();
    runtime.spawn(async move {
        let mut connection = None;
        while let Some((issued, der)) = certificates.recv().await {
            tokio::time::sleep_until((issued + target.delay).into()).await;
            for _ in 0..TRIES {
                match send(&target, &mut connection, &der).await {
                    Ok(()) => break,
                    Err(error) => eprintln!("not published: {error:#}"),
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    });
    sender
}

async fn send(target: &Publish, open: &mut Option<Connection>, der: &[u8]) -> Result<()> {
    let connection = match open {
        Some(connection) => connection,
        None => {
            let roots = std::fs::read_to_string(&target.roots).context("reading the root")?;
            open.insert(Connection::new(tls::client_config(&roots)))
        }
    };
    let bearer = format!("Bearer {}", target.secret);
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/x-pem-file"),
    ];
    let pem = super::to_pem(der).into_bytes();
    let answer = connection
        .send(Method::POST, &target.url, &headers, pem)
        .await?;
    answer.expect(200).map(drop)
}
