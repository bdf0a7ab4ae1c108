//! A handler with more to do than it can: its queue is bounded, and whoever comes when it is full is told to
//! come back, with nothing kept of what was asked.

use std::fs;
use std::time::{Duration, Instant};

use certdock_tests::World;
use certdock_tests::acme::{Account, AccountKey, Answer, Client, b64};
use certdock_tests::certificate::check_chain;
use certdock_tests::est::{Caller, Csr};
use certdock_tests::http::Connection;
use certdock_tests::issue::{authorize_http01, csr, new_order, poll};
use http::Method;
use rcgen::KeyPair;
use serde_json::{Value, json};

/// One call at a time, and one that waits.
const BUSY: &str = "[handlers.busy]\nplugin = \"pending\"\nthreads = 1\nqueue = 1\n\
                    [handlers.busy.config]\ndirectory = \"busy\"\n\
                    [acme.busy]\nhandler = \"busy\"\n\
                    [est.busy]\nhandler = \"busy\"\nnames = [\"*.test\"]\n";

/// An order that is ready to be finalized.
struct Order {
    client: Client,
    account: Account,
    url: String,
    finalize: String,
    body: Value,
}

impl Order {
    async fn ready(world: &World, name: &str) -> Self {
        let directory = world.server.directory_of("busy");
        let mut client = Client::new(&directory, world.tls.clone()).await.unwrap();
        let account = client.new_account(AccountKey::es256()).await.unwrap();
        let answer = new_order(&mut client, &account, &[name]).await.unwrap();
        let order = answer.json();
        let authorization = order["authorizations"][0].as_str().unwrap();
        authorize_http01(&mut client, &account, authorization, &world.http01)
            .await
            .unwrap();
        let csr = csr(&KeyPair::generate().unwrap(), &[name]);
        Self {
            url: answer.header("location").unwrap().to_owned(),
            finalize: order["finalize"].as_str().unwrap().to_owned(),
            body: json!({ "csr": b64(&csr) }),
            client,
            account,
        }
    }

    async fn finalize(&mut self) -> Answer {
        let sent = self.client.post(&self.account, &self.finalize, &self.body);
        sent.await.unwrap()
    }

    async fn status(&mut self) -> Value {
        let answer = self.client.post_as_get(&self.account, &self.url).await;
        answer.unwrap().json()["status"].take()
    }

    async fn check_certificate(mut self, name: &str) {
        let busy = ["processing"];
        let answer = poll(&mut self.client, &self.account, &self.url, &busy).await;
        let order = answer.unwrap().json();
        let url = order["certificate"]
            .as_str()
            .unwrap_or_else(|| panic!("{order}"));
        let answer = self.client.post_as_get(&self.account, url).await.unwrap();
        check_chain(&answer.text(), &[name]);
    }
}

/// Waits until so many calls of the handler wait and run.
async fn load(world: &World, waiting: u32, running: u32) {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let (_, ready) = world.server.admin("/readyz").unwrap();
        let ready: Value = serde_json::from_str(&ready).unwrap();
        let busy = &ready["handlers"]["busy"];
        if (&busy["waiting"], &busy["running"]) == (&json!(waiting), &json!(running)) {
            return;
        }
        assert!(Instant::now() < end, "{busy}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_when_the_queue_is_full_is_told_to_come_back() {
    let mut world = World::prepare(|settings| settings.more = BUSY.to_owned()).await;
    world.server.add_plugin("libcertdock_pending.so");
    let officer = world.server.dir().join("busy");
    fs::create_dir_all(officer.join("approved")).unwrap();
    fs::write(officer.join("approved/all"), "").unwrap();
    world.server.restart();
    let outcome = world
        .server
        .command(&["est-user", "add", "device", "--json"]);
    let added: Value = serde_json::from_str(&outcome.run().await.success().stdout).unwrap();
    let device = Caller::new(&world.server.identity.root)
        .knowing("device", added["password"].as_str().unwrap());
    let mut orders = Vec::new();
    for name in ["running.test", "waiting.test", "refused.test"] {
        orders.push(Order::ready(&world, name).await);
    }
    let [mut running, mut waiting, mut refused] = <[Order; 3]>::try_from(orders).ok().unwrap();

    fs::write(officer.join("absent"), "").unwrap();
    let running = tokio::spawn(async move { (running.finalize().await.status, running) });
    load(&world, 0, 1).await;
    let waiting = tokio::spawn(async move { (waiting.finalize().await.status, waiting) });
    load(&world, 1, 1).await;

    let answer = refused.finalize().await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    let problem = answer.json();
    assert_eq!(problem["type"], "urn:ietf:params:acme:error:serverInternal");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("too much to do"), "{detail}");
    let wait = answer.header("retry-after").expect("Retry-After");
    assert!(wait.parse::<u64>().unwrap() > 0, "{wait}");
    assert_eq!(refused.status().await, "ready");

    let url = format!(
        "{}/.well-known/est/busy/simpleenroll",
        world.server.settings.base_url()
    );
    let authorization = device.authorization().unwrap();
    let headers = [
        ("content-type", "application/pkcs10"),
        ("authorization", authorization.as_str()),
    ];
    let body = pem::encode(&pem::Pem::new("", Csr::new("device.test").der));
    let body: String = body.lines().filter(|line| !line.starts_with('-')).collect();
    let mut connection = Connection::new(world.tls.clone());
    let answer = connection.send(Method::POST, &url, &headers, body.clone().into_bytes());
    let answer = answer.await.unwrap();
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(
        answer.text().contains("too much to do"),
        "{}",
        answer.text()
    );
    assert!(answer.header("retry-after").is_some());
    let database = rusqlite::Connection::open(world.server.dir().join("certdock.db")).unwrap();
    let enrollments = "SELECT count(*) FROM enrollments";
    let enrollments = database.query_row(enrollments, [], |row| row.get::<_, u32>(0));
    assert_eq!(enrollments, Ok(2));

    fs::remove_file(officer.join("absent")).unwrap();
    load(&world, 0, 0).await;
    for (finalized, name) in [(running, "running.test"), (waiting, "waiting.test")] {
        let (status, order) = finalized.await.unwrap();
        assert_eq!(status, 200);
        order.check_certificate(name).await;
    }
    assert_eq!(refused.finalize().await.status, 200);
    refused.check_certificate("refused.test").await;
    let answer = connection.send(Method::POST, &url, &headers, body.into_bytes());
    assert_eq!(answer.await.unwrap().status, 200);
}
