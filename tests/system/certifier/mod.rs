//! Certificates from Certifier: the real server with the real connector, and the simulator behind it.

mod check;
mod faults;
mod issuance;
mod push;

use std::fs;

use certdock_tests::World;
use certdock_tests::acme::{Account, AccountKey, Answer, Client, b64};
use certdock_tests::certifier::{Options, Simulator};
use certdock_tests::issue::{authorize_http01, csr, new_order, poll};
use certdock_tests::settings::Settings;
use rcgen::KeyPair;

const PUSH_SECRET: &str = "0123456789abcdef";

struct Setup {
    world: World,
    simulator: Simulator,
}

/// A server that is not started yet, with a handler and an ACME endpoint `certifier`; `lines` go into
/// the handler's table.
async fn prepare(
    lines: &str,
    settings: impl FnOnce(&mut Settings),
    options: impl FnOnce(&World, &mut Options),
) -> Setup {
    let mut world = World::prepare(settings).await;
    let mut choices = Options::default();
    options(&world, &mut choices);
    let simulator = Simulator::start(choices);
    let dir = world.server.dir();
    fs::write(dir.join("certifier-password"), simulator.password()).unwrap();
    fs::write(dir.join("push-secret"), PUSH_SECRET).unwrap();
    world.server.add_plugin("libcertdock_certifier.so");
    world.server.settings.more = format!(
        "[handlers.certifier]\nplugin = \"certifier\"\n{lines}\n\
         [handlers.certifier.config]\nrequest_timeout = \"2s\"\npolling_timeout = \"0s\"\n{}\n\
         [acme.certifier]\nhandler = \"certifier\"\n",
        simulator.config()
    );
    world.server.write_config(&world.server.settings.toml());
    Setup { world, simulator }
}

async fn start(lines: &str, options: impl FnOnce(&World, &mut Options)) -> Setup {
    let mut setup = prepare(lines, |_| {}, options).await;
    setup.world.server.restart();
    setup
}

/// One order that has been finalized.
struct Finalized {
    client: Client,
    account: Account,
    url: String,
    answer: Answer,
}

impl Setup {
    async fn finalize(&self, name: &str) -> Finalized {
        let directory = self.world.server.directory_of("certifier");
        let tls = self.world.tls.clone();
        let mut client = Client::new(&directory, tls).await.unwrap();
        let account = client.new_account(AccountKey::es256()).await.unwrap();
        let order = new_order(&mut client, &account, &[name]).await.unwrap();
        let order = order.expect(201).unwrap();
        let url = order.header("location").unwrap().to_owned();
        let order = order.json();
        let authorization = order["authorizations"][0].as_str().unwrap();
        authorize_http01(&mut client, &account, authorization, &self.world.http01)
            .await
            .unwrap();
        let csr = csr(&KeyPair::generate().unwrap(), &[name]);
        let body = serde_json::json!({ "csr": b64(&csr) });
        let finalize = order["finalize"].as_str().unwrap();
        let answer = client.post(&account, finalize, &body).await.unwrap();
        Finalized {
            client,
            account,
            url,
            answer,
        }
    }
}

impl Finalized {
    /// The problem that the order ended with, without its common prefix.
    fn problem(&self) -> String {
        let order = self.answer.json();
        assert_eq!(order["status"], "invalid", "{order}");
        let kind = order["error"]["type"].as_str().unwrap_or_default();
        kind.trim_start_matches("urn:ietf:params:acme:error:")
            .to_owned()
    }

    /// Waits until the order is valid; the chain, PEM.
    async fn chain(&mut self) -> String {
        let (client, account) = (&mut self.client, &self.account);
        let order = poll(client, account, &self.url, &["processing"]).await;
        let order = order.unwrap().json();
        let url = order["certificate"].as_str();
        let url = url.unwrap_or_else(|| panic!("no certificate: {order}"));
        let answer = client.post_as_get(account, url).await.unwrap();
        answer.expect(200).unwrap().text()
    }
}
