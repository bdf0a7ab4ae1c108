//! certbot, the newest from PyPI.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use certdock_tests::certificate::check_chain;
use certdock_tests::dns::Dns;
use certdock_tests::program::{Program, python_tool};
use certdock_tests::{World, ports};
use tempfile::TempDir;

struct Certbot {
    world: World,
    dir: TempDir,
}

impl Certbot {
    async fn start() -> Self {
        let world = World::with(|settings| settings.http01_port = ports::free()).await;
        Self {
            world,
            dir: TempDir::new().unwrap(),
        }
    }

    fn run(&self, command: &str) -> Program {
        let dir = self.dir.path();
        Program::new(python_tool("certbot"))
            .arg(command)
            .args([
                "--server",
                &self.world.server.directory(),
                "--non-interactive",
            ])
            .args(
                ["--no-random-sleep-on-renew"]
                    .iter()
                    .filter(|_| command == "renew"),
            )
            .arg("--config-dir")
            .arg(dir)
            .arg("--work-dir")
            .arg(dir.join("work"))
            .arg("--logs-dir")
            .arg(dir.join("logs"))
            .env("REQUESTS_CA_BUNDLE", self.world.server.root_pem())
    }

    fn certonly(&self, names: &[&str]) -> Program {
        let names = names.iter().flat_map(|name| ["--domain", name]);
        self.run("certonly")
            .args([
                "--agree-tos",
                "--email",
                "operator@example.com",
                "--no-eff-email",
            ])
            .args(names)
    }

    fn standalone(&self, names: &[&str]) -> Program {
        let port = self.world.server.settings.http01_port.to_string();
        self.certonly(names)
            .args(["--standalone", "--http-01-address", "127.0.0.1"])
            .args(["--http-01-port", &port])
    }

    fn file(&self, lineage: &str, name: &str) -> PathBuf {
        self.dir.path().join("live").join(lineage).join(name)
    }

    fn chain(&self, lineage: &str) -> String {
        fs::read_to_string(self.file(lineage, "fullchain.pem")).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gets_renews_and_revokes_by_http_01() {
    let certbot = Certbot::start().await;
    let names = ["certbot.test", "www.certbot.test"];
    certbot.standalone(&names).run().await.success();
    let first = certbot.chain("certbot.test");
    check_chain(&first, &names);

    certbot
        .run("renew")
        .arg("--force-renewal")
        .run()
        .await
        .success();
    let second = certbot.chain("certbot.test");
    check_chain(&second, &names);
    assert_ne!(first, second);

    let revoke = certbot
        .run("revoke")
        .args(["--reason", "superseded", "--no-delete-after-revoke"]);
    let certificate = certbot.file("certbot.test", "cert.pem");
    revoke
        .arg("--cert-path")
        .arg(certificate)
        .run()
        .await
        .success();
}

#[tokio::test(flavor = "multi_thread")]
async fn revokes_with_the_certificate_key() {
    let certbot = Certbot::start().await;
    certbot.standalone(&["keyed.test"]).run().await.success();
    let revoke = certbot.run("revoke").arg("--no-delete-after-revoke");
    let revoke = revoke
        .arg("--cert-path")
        .arg(certbot.file("keyed.test", "cert.pem"));
    revoke
        .arg("--key-path")
        .arg(certbot.file("keyed.test", "privkey.pem"))
        .run()
        .await
        .success();
}

/// The hook writes down what is to be published, and this test publishes it.
#[tokio::test(flavor = "multi_thread")]
async fn gets_a_wildcard_by_dns_01() {
    let certbot = Certbot::start().await;
    let wanted = certbot.dir.path().join("wanted");
    let hook = format!(
        "echo $CERTBOT_DOMAIN $CERTBOT_VALIDATION >> {wanted}; \
         until [ $(wc -l < {wanted}) = $(cat {wanted}.done 2>/dev/null || echo 0) ]; do sleep 0.1; done",
        wanted = wanted.display()
    );
    let names = ["*.wild.test", "wild.test"];
    let run = certbot
        .certonly(&names)
        .args([
            "--manual",
            "--preferred-challenges",
            "dns",
            "--manual-auth-hook",
            &hook,
        ])
        .run();
    let publish = publish(&certbot.world.dns, wanted);
    tokio::select! {
        outcome = run => { outcome.success(); }
        () = publish => panic!("certbot did not end in time"),
    }
    check_chain(&certbot.chain("wild.test"), &names);
}

async fn publish(dns: &Dns, wanted: PathBuf) {
    let end = Instant::now() + Duration::from_secs(100);
    let mut done = 0;
    while Instant::now() < end {
        let text = fs::read_to_string(&wanted).unwrap_or_default();
        for line in text.lines().skip(done) {
            let (name, value) = line.split_once(' ').unwrap();
            dns.add_txt(&format!("_acme-challenge.{name}"), value);
            done += 1;
        }
        fs::write(wanted.with_extension("done"), done.to_string()).unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
