//! What an order must cost: the same requests against a server that does nothing more.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use certdock_tests::acme::{AccountKey, Connection, b64};
use certdock_tests::challenge::Http01;
use certdock_tests::dns::Dns;
use certdock_tests::issue::csr;
use certdock_tests::program::build_dir;
use certdock_tests::tls::{Identity, client_config};
use http::Method;
use rcgen::KeyPair;
use serde_json::json;
use tempfile::TempDir;

use crate::floor_server::{KEY_FILE, STEPS, TOKEN, authorization_value};
use crate::process::Running;
use crate::{pebble, process};

pub(crate) const CONCURRENCY: usize = 8;

pub(crate) struct Floor {
    /// Milliseconds of CPU.
    pub(crate) cpu_per_order: f64,
    pub(crate) rate: f64,
}

pub(crate) async fn measure(time: Duration) -> Floor {
    let (dns, http01) = (Dns::start().await, Http01::start().await);
    http01.set(TOKEN, authorization_value());
    // Beside the data of the servers that are compared with it.
    let dir = tempfile::Builder::new()
        .prefix("floor-")
        .tempdir_in(build_dir())
        .unwrap();
    let identity = Identity::new();
    let key = Arc::new(AccountKey::es256());
    std::fs::write(dir.path().join("tls.pem"), &identity.certificate).unwrap();
    std::fs::write(dir.path().join("tls.key"), &identity.key).unwrap();
    std::fs::write(dir.path().join(KEY_FILE), key.jwk().to_string()).unwrap();
    let port = certdock_tests::ports::free();
    let server = start(port, &dns, &http01, &dir);
    pebble::wait_for(port);
    let tls = client_config(&identity.root);

    run(port, &key, &tls, Duration::from_millis(500)).await;
    let cpu = process::cpu(server.id());
    let started = Instant::now();
    let orders = run(port, &key, &tls, time).await;
    let cpu = process::cpu(server.id()) - cpu;
    Floor {
        cpu_per_order: cpu.as_secs_f64() * 1000.0 / orders.max(1) as f64,
        rate: orders as f64 / started.elapsed().as_secs_f64(),
    }
}

fn start(port: u16, dns: &Dns, http01: &Http01, dir: &TempDir) -> Running {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "floor-server",
            &port.to_string(),
            &dns.address().to_string(),
        ])
        .arg(http01.port().to_string());
    Running::start(command.arg(dir.path()))
}

async fn run(
    port: u16,
    key: &Arc<AccountKey>,
    tls: &Arc<rustls::ClientConfig>,
    time: Duration,
) -> u64 {
    let end = Instant::now() + time;
    let workers: Vec<_> = (0..CONCURRENCY)
        .map(|_| {
            let (key, tls) = (key.clone(), tls.clone());
            tokio::spawn(async move {
                let mut connection = Connection::new(tls);
                let subject = KeyPair::generate().unwrap();
                let mut orders = 0;
                while Instant::now() < end {
                    order(&mut connection, port, &key, &subject).await.unwrap();
                    orders += 1;
                }
                orders
            })
        })
        .collect();
    let mut orders = 0;
    for worker in workers {
        orders += worker.await.unwrap();
    }
    orders
}

async fn order(
    connection: &mut Connection,
    port: u16,
    key: &AccountKey,
    subject: &KeyPair,
) -> Result<()> {
    for step in 0..STEPS {
        let url = format!("https://localhost:{port}/{step}");
        let payload = json!({ "csr": b64(csr(subject, &["floor.bench.test"])) });
        let protected = json!({ "alg": key.alg(), "kid": "k", "nonce": "n", "url": url });
        let body = key.flattened(&protected, payload.to_string().as_bytes());
        let headers = [("content-type", "application/jose+json")];
        let body = body.to_string().into_bytes();
        connection
            .send(Method::POST, &url, &headers, body)
            .await?
            .expect(200)?;
    }
    Ok(())
}
