//! [`Load`]: clients that ask for one certificate after the other, each of which must come.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::World;
use crate::acme::{AccountKey, Client};
use crate::issue::issue;

/// Clients at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    issued: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Result<(), String>>>,
}

impl Load {
    /// Returns once every client has an account.
    pub async fn start(world: &World, endpoint: &str, clients: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let issued = Arc::new(AtomicUsize::new(0));
        let directory = world.server.directory_of(endpoint);
        let mut running = Vec::new();
        for number in 0..clients {
            let mut client = Client::new(&directory, world.tls.clone()).await.unwrap();
            let account = client.new_account(AccountKey::es256()).await.unwrap();
            let (stop, issued) = (Arc::clone(&stop), Arc::clone(&issued));
            let http01 = Arc::clone(&world.http01);
            running.push(tokio::spawn(async move {
                let mut order = 0;
                while !stop.load(Ordering::SeqCst) {
                    order += 1;
                    let name = format!("c{number}-{order}.load.test");
                    issue(&mut client, &account, &[&name], &http01)
                        .await
                        .map_err(|error| format!("{name}: {error:#}"))?;
                    issued.fetch_add(1, Ordering::SeqCst);
                }
                Ok(())
            }));
        }
        Self {
            stop,
            issued,
            clients: running,
        }
    }

    /// Waits until so many more certificates have been issued.
    pub async fn goes_on(&self, more: usize) {
        let target = self.issued.load(Ordering::SeqCst) + more;
        let end = Instant::now() + Duration::from_secs(60);
        while self.issued.load(Ordering::SeqCst) < target {
            assert!(Instant::now() < end, "no certificates are issued any more");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Stops; how many certificates there were. Panics if any request failed.
    pub async fn finish(self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        let mut failures = Vec::new();
        for client in self.clients {
            failures.extend(client.await.unwrap().err());
        }
        assert!(
            failures.is_empty(),
            "{} clients failed: {failures:#?}",
            failures.len()
        );
        self.issued.load(Ordering::SeqCst)
    }
}
