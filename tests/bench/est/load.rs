//! The load: eight workers, each asking again as soon as it is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certdock_tests::certificate::dns_names;
use certdock_tests::est::{certificates, decode_base64};
use certdock_tests::http::Connection;
use certdock_tests::issue::csr;
use http::Method;
use rcgen::KeyPair;
use rustls::ClientConfig;

use super::{Connections, Operation};
use crate::process;

pub(super) const CONCURRENCY: usize = 8;

/// Before anything is measured.
const WARM_UP: Duration = Duration::from_millis(500);

/// Names must be fresh over all runs: the server may know a request again.
static NAMES: AtomicU64 = AtomicU64::new(0);

/// A server under load.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) base: String,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) pid: u32,
    pub(super) authorization: Option<String>,
    /// Whether the answers are certificates.
    pub(super) check: bool,
}

impl Target {
    pub(super) fn under(&self, path: &str) -> Self {
        let base = format!("{}{path}", self.base);
        Self {
            base,
            ..self.clone()
        }
    }
}

/// What is asked, and for how long.
pub(super) struct Load {
    pub(super) operation: Operation,
    pub(super) connections: Connections,
    pub(super) time: Duration,
}

/// What came of it.
#[derive(Default)]
pub(super) struct Run {
    pub(super) completed: u64,
    pub(super) failed: u64,
    pub(super) elapsed: Duration,
    /// The server's.
    pub(super) cpu: Duration,
    /// The first failure, in words.
    pub(super) error: Option<String>,
}

impl Run {
    pub(super) fn rate(&self) -> f64 {
        self.completed as f64 / self.elapsed.as_secs_f64()
    }

    /// Milliseconds of the server's CPU for one request.
    pub(super) fn cpu_per_request(&self) -> f64 {
        self.cpu.as_secs_f64() * 1000.0 / self.completed.max(1) as f64
    }
}

impl Load {
    pub(super) async fn run(&self, target: &Target) -> Run {
        self.run_for(target, WARM_UP).await;
        self.run_for(target, self.time).await
    }

    async fn run_for(&self, target: &Target, time: Duration) -> Run {
        let cpu = process::cpu(target.pid);
        let started = Instant::now();
        let workers: Vec<_> = (0..CONCURRENCY)
            .map(|_| {
                let worker = Worker {
                    target: target.clone(),
                    operation: self.operation,
                    connections: self.connections,
                    connection: Connection::new(target.tls.clone()),
                    key: KeyPair::generate().unwrap(),
                };
                tokio::spawn(worker.run(started + time))
            })
            .collect();
        let mut run = Run::default();
        for worker in workers {
            let part = worker.await.unwrap();
            run.completed += part.completed;
            run.failed += part.failed;
            run.error = run.error.or(part.error);
        }
        run.elapsed = started.elapsed();
        run.cpu = process::cpu(target.pid) - cpu;
        run
    }
}

struct Worker {
    target: Target,
    operation: Operation,
    connections: Connections,
    connection: Connection,
    key: KeyPair,
}

impl Worker {
    async fn run(mut self, end: Instant) -> Run {
        let mut run = Run::default();
        while Instant::now() < end {
            if self.connections == Connections::New {
                self.connection = Connection::new(self.target.tls.clone());
            }
            let asked = match self.operation {
                Operation::CaCerts => self.cacerts().await,
                Operation::SimpleEnroll => self.enroll().await,
            };
            match asked {
                Ok(()) => run.completed += 1,
                Err(error) => {
                    run.failed += 1;
                    run.error.get_or_insert(format!("{error:#}"));
                }
            }
        }
        run
    }

    async fn cacerts(&mut self) -> Result<()> {
        let url = format!("{}/cacerts", self.target.base);
        let answer = self.connection.send(Method::GET, &url, &[], Vec::new());
        let answer = answer.await?.expect(200)?;
        ensure!(!decode_base64(&answer.body).is_empty(), "an empty body");
        Ok(())
    }

    async fn enroll(&mut self) -> Result<()> {
        let name = format!("n{}.est.test", NAMES.fetch_add(1, Ordering::Relaxed));
        let body = STANDARD.encode(csr(&self.key, &[&name])).into_bytes();
        let url = format!("{}/simpleenroll", self.target.base);
        let mut headers = vec![("content-type", "application/pkcs10")];
        if let Some(authorization) = &self.target.authorization {
            headers.push(("authorization", authorization));
        }
        let answer = self.connection.send(Method::POST, &url, &headers, body);
        let answer = answer.await?.expect(200)?;
        if self.target.check {
            let names = dns_names(&certificates(&answer.body)[0]);
            ensure!(
                names == [name.as_str()],
                "a certificate for {names:?} instead of {name}"
            );
        }
        Ok(())
    }
}
