//! `kill -9` at any moment: what was acknowledged is there, and nothing is stuck.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use certdock_tests::World;
use certdock_tests::acme::{Account, AccountKey, Client};
use certdock_tests::challenge::Http01;
use certdock_tests::issue::{authorize_http01, csr, finalize, new_order};
use rcgen::KeyPair;
use serde_json::Value;

const KILLS: usize = 60;
const WORKERS: usize = 4;

/// What the server has said yes to.
#[derive(Default)]
struct Acknowledged {
    accounts: Vec<Arc<Account>>,
    orders: Vec<Order>,
    certificates: Vec<(Arc<Account>, String, String)>,
}

#[derive(Clone)]
struct Order {
    account: Arc<Account>,
    url: String,
    name: String,
}

type Shared = Arc<Mutex<Acknowledged>>;

#[tokio::test(flavor = "multi_thread")]
async fn sixty_kills_lose_nothing() {
    let mut world = World::prepare(|_| {}).await;
    let http01 = world.http01.clone();
    let shared = Shared::default();
    let mut random = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .subsec_nanos();
    let mut finished = 0;
    for round in 0..KILLS {
        world.server.restart();
        let open = shared.lock().unwrap().orders.split_off(finished);
        let mut client = world.client().await;
        for order in open {
            complete(&mut client, &order, &http01, &shared)
                .await
                .with_context(|| format!("round {round}: {}", order.url))
                .unwrap();
            shared.lock().unwrap().orders.push(order);
        }
        finished = shared.lock().unwrap().orders.len();
        let workers: Vec<_> = (0..WORKERS)
            .map(|number| {
                let load = load(
                    world.server.directory(),
                    world.tls.clone(),
                    format!("r{round}w{number}"),
                    http01.clone(),
                    shared.clone(),
                );
                tokio::spawn(load)
            })
            .collect();
        // Anything from the first connection to many orders.
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        tokio::time::sleep(Duration::from_micros(u64::from(random >> 8) % 400_000)).await;
        world.server.kill();
        for worker in workers {
            // It ended because its server did.
            worker.await.unwrap().unwrap_err();
        }
    }
    world.server.restart();
    verify(&world, &shared, &http01, finished).await;
}

/// Makes accounts and orders until the server is gone.
async fn load(
    directory: String,
    tls: Arc<rustls::ClientConfig>,
    prefix: String,
    http01: Arc<Http01>,
    shared: Shared,
) -> Result<()> {
    let mut client = Client::new(&directory, tls).await?;
    client.connection.timeout = Duration::from_secs(10);
    let account = Arc::new(client.new_account(AccountKey::es256()).await?);
    shared.lock().unwrap().accounts.push(account.clone());
    for number in 0..u32::MAX {
        let name = format!("{prefix}n{number}.crash.test");
        let made = new_order(&mut client, &account, &[&name])
            .await?
            .expect(201)?;
        let url = made
            .header("location")
            .context("an order without a URL")?
            .to_owned();
        let order = Order {
            account: account.clone(),
            url,
            name,
        };
        shared.lock().unwrap().orders.push(order.clone());
        complete(&mut client, &order, &http01, &shared).await?;
    }
    Ok(())
}

/// Takes an order from wherever it stands to its certificate.
async fn complete(
    client: &mut Client,
    order: &Order,
    http01: &Http01,
    shared: &Shared,
) -> Result<()> {
    let account = &order.account;
    let state = client
        .post_as_get(account, &order.url)
        .await?
        .expect(200)?
        .json();
    if state["status"] == "pending" {
        for url in state["authorizations"].as_array().into_iter().flatten() {
            let url = url.as_str().context("an authorization's URL")?;
            authorize_http01(client, account, url, http01).await?;
        }
    }
    let certificate = match state["certificate"].as_str() {
        Some(url) => url.to_owned(),
        None if state["status"] == "processing" => {
            let open = ["processing"];
            let end = certdock_tests::issue::poll(client, account, &order.url, &open)
                .await?
                .json();
            end["certificate"]
                .as_str()
                .with_context(|| format!("{end}"))?
                .to_owned()
        }
        None => {
            let csr = csr(&KeyPair::generate()?, &[&order.name]);
            finalize(client, account, &order.url, &state, &csr).await?
        }
    };
    let chain = client
        .post_as_get(account, &certificate)
        .await?
        .expect(200)?
        .text();
    shared
        .lock()
        .unwrap()
        .certificates
        .push((account.clone(), certificate, chain));
    Ok(())
}

async fn verify(world: &World, shared: &Shared, http01: &Http01, finished: usize) {
    let mut client = world.client().await;
    let open = shared.lock().unwrap().orders.split_off(finished);
    for order in open {
        complete(&mut client, &order, http01, shared).await.unwrap();
        shared.lock().unwrap().orders.push(order);
    }
    let acknowledged = std::mem::take(&mut *shared.lock().unwrap());
    assert!(
        acknowledged.orders.len() > KILLS,
        "{} orders",
        acknowledged.orders.len()
    );
    for account in &acknowledged.accounts {
        let answer = client.post_as_get(account, &account.kid).await.unwrap();
        assert_eq!(answer.status, 200, "{}: {}", account.kid, answer.text());
    }
    let mut certificates = HashSet::new();
    for order in &acknowledged.orders {
        let answer = client
            .post_as_get(&order.account, &order.url)
            .await
            .unwrap();
        let json: Value = answer.json();
        assert_eq!(json["status"], "valid", "{}: {json}", order.url);
        // No two orders, and no order twice.
        assert!(certificates.insert(json["certificate"].as_str().unwrap().to_owned()));
    }
    for (account, url, chain) in &acknowledged.certificates {
        let answer = client.post_as_get(account, url).await.unwrap();
        assert_eq!(&answer.text(), chain, "{url}");
        assert!(certificates.contains(url), "{url} belongs to no order");
    }
}
