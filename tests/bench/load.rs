//! The load: workers with a kept-alive connection each, making one order after another.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use certdock_tests::acme::{Account, AccountKey, Client};
use certdock_tests::certificate::dns_names;
use certdock_tests::challenge::Http01;
use certdock_tests::issue::{csr, issue_with_csr};
use hdrhistogram::Histogram;
use rcgen::KeyPair;

use crate::process;
use crate::subject::Subject;

const ACCOUNTS: usize = 4;

/// An order that takes longer hangs.
const ORDER_LIMIT: Duration = Duration::from_secs(20);

/// Names must be fresh over all runs against one server.
static NAMES: AtomicU64 = AtomicU64::new(0);

/// How much load.
pub(crate) struct Load {
    pub(crate) concurrency: usize,
    /// Orders to begin, and the time after which no more are begun.
    orders: u64,
    time: Duration,
    warm_up: u64,
}

impl Load {
    pub(crate) fn timed(concurrency: usize, time: Duration) -> Self {
        Self {
            concurrency,
            orders: u64::MAX,
            time,
            warm_up: 50,
        }
    }

    pub(crate) fn counted(concurrency: usize, orders: u64) -> Self {
        Self {
            concurrency,
            orders,
            time: Duration::from_secs(3600),
            warm_up: 0,
        }
    }
}

/// What came of it.
pub(crate) struct Run {
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) hung: u64,
    pub(crate) elapsed: Duration,
    pub(crate) cpu: Duration,
    pub(crate) peak_memory: u64,
    /// Microseconds of each complete order.
    pub(crate) latency: Histogram<u64>,
    /// The first failure, in words.
    pub(crate) error: Option<String>,
}

impl Run {
    pub(crate) fn rate(&self) -> f64 {
        self.completed as f64 / self.elapsed.as_secs_f64()
    }

    /// Milliseconds of the server's CPU for one order.
    pub(crate) fn cpu_per_order(&self) -> f64 {
        self.cpu.as_secs_f64() * 1000.0 / self.completed.max(1) as f64
    }

    pub(crate) fn milliseconds(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1000.0
    }
}

pub(crate) async fn run(subject: &Subject, load: &Load) -> Run {
    let accounts = accounts(subject)
        .await
        .expect("the server registers accounts");
    if load.warm_up > 0 {
        let warm_up = Load::counted(load.concurrency, load.warm_up);
        work(subject, &accounts, &warm_up).await;
    }
    work(subject, &accounts, load).await
}

pub(crate) async fn accounts(subject: &Subject) -> Result<Vec<Arc<Account>>> {
    let mut client = Client::new(&subject.directory, subject.tls.clone()).await?;
    let mut accounts = Vec::new();
    for _ in 0..ACCOUNTS {
        accounts.push(Arc::new(client.new_account(AccountKey::es256()).await?));
    }
    Ok(accounts)
}

pub(crate) async fn work(subject: &Subject, accounts: &[Arc<Account>], load: &Load) -> Run {
    let cpu = process::cpu(subject.pid);
    let started = Instant::now();
    let end = started + load.time;
    let left = Arc::new(AtomicU64::new(load.orders));
    let workers: Vec<_> = (0..load.concurrency)
        .map(|number| {
            let worker = Worker {
                directory: subject.directory.clone(),
                tls: subject.tls.clone(),
                account: accounts[number % accounts.len()].clone(),
                http01: subject.http01.clone(),
                left: left.clone(),
                end,
            };
            tokio::spawn(worker.run())
        })
        .collect();
    let mut tallies = Vec::new();
    for worker in workers {
        tallies.push(worker.await.unwrap());
    }
    let mut run = Run {
        completed: 0,
        failed: 0,
        hung: 0,
        elapsed: started.elapsed(),
        cpu: process::cpu(subject.pid) - cpu,
        peak_memory: process::peak_memory(subject.pid),
        latency: histogram(),
        error: None,
    };
    for tally in tallies {
        run.completed += tally.latency.len();
        run.failed += tally.failed;
        run.hung += tally.hung;
        run.latency.add(&tally.latency).unwrap();
        run.error = run.error.or(tally.error);
    }
    run
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).unwrap()
}

struct Worker {
    directory: String,
    tls: Arc<rustls::ClientConfig>,
    account: Arc<Account>,
    http01: Arc<Http01>,
    left: Arc<AtomicU64>,
    end: Instant,
}

struct Tally {
    failed: u64,
    hung: u64,
    latency: Histogram<u64>,
    error: Option<String>,
}

impl Worker {
    async fn run(self) -> Tally {
        let mut tally = Tally {
            failed: 0,
            hung: 0,
            latency: histogram(),
            error: None,
        };
        let key = KeyPair::generate().unwrap();
        let mut client = match Client::new(&self.directory, self.tls.clone()).await {
            Ok(client) => client,
            Err(error) => {
                tally.failed += 1;
                tally.error = Some(format!("{error:#}"));
                return tally;
            }
        };
        while Instant::now() < self.end && self.take() {
            let started = Instant::now();
            let order = tokio::time::timeout(ORDER_LIMIT, self.order(&mut client, &key)).await;
            self.http01.forget_requests();
            match order {
                Ok(Ok(())) => {
                    let micros = started.elapsed().as_micros();
                    tally
                        .latency
                        .saturating_record(u64::try_from(micros).unwrap_or(u64::MAX));
                }
                Ok(Err(error)) => {
                    tally.failed += 1;
                    tally.error.get_or_insert(format!("{error:#}"));
                }
                Err(_) => {
                    tally.hung += 1;
                    // A server that hangs once is not asked again by this worker.
                    return tally;
                }
            }
        }
        tally
    }

    fn take(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .is_ok()
    }

    async fn order(&self, client: &mut Client, key: &KeyPair) -> Result<()> {
        let name = format!("n{}.bench.test", NAMES.fetch_add(1, Ordering::Relaxed));
        let csr = csr(key, &[&name]);
        let (_, _, chain) =
            issue_with_csr(client, &self.account, &[&name], &csr, &self.http01).await?;
        let leaf = pem::parse(&chain).context("the certificate is not PEM")?;
        let names = dns_names(leaf.contents());
        anyhow::ensure!(
            names == [name.as_str()],
            "a certificate for {names:?} instead of {name}"
        );
        Ok(())
    }
}
