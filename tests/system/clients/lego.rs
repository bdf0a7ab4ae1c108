//! lego, as Debian has it.

use std::fs;

use certdock_tests::certificate::check_chain;
use certdock_tests::program::Program;
use certdock_tests::{World, ports};
use tempfile::TempDir;

struct Lego {
    world: World,
    dir: TempDir,
    name: &'static str,
}

impl Lego {
    async fn start(name: &'static str) -> Self {
        let world = World::with(|settings| {
            settings.http01_port = ports::free();
            settings.tls_alpn01_port = ports::free();
        });
        Self {
            world: world.await,
            dir: TempDir::new().unwrap(),
            name,
        }
    }

    fn run(&self, challenge: &[&str], command: &[&str]) -> Program {
        Program::new("lego")
            .args(["--server", &self.world.server.directory(), "--accept-tos"])
            .args([
                "--email",
                "operator@example.com",
                "--domains",
                self.name,
                "--path",
            ])
            .arg(self.dir.path())
            .args(challenge)
            .args(command)
            .env("LEGO_CA_CERTIFICATES", self.world.server.root_pem())
    }

    fn chain(&self) -> String {
        let file = format!("certificates/{}.crt", self.name);
        fs::read_to_string(self.dir.path().join(file)).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gets_renews_and_revokes_by_http_01() {
    let lego = Lego::start("lego.test").await;
    let port = format!("127.0.0.1:{}", lego.world.server.settings.http01_port);
    let http = ["--http", "--http.port", &port];
    lego.run(&http, &["run"]).run().await.success();
    let first = lego.chain();
    check_chain(&first, &["lego.test"]);

    lego.run(&http, &["renew", "--days", "365", "--no-random-sleep"])
        .run()
        .await
        .success();
    let second = lego.chain();
    check_chain(&second, &["lego.test"]);
    assert_ne!(first, second);

    lego.run(&http, &["revoke"]).run().await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn gets_a_certificate_by_tls_alpn_01() {
    let lego = Lego::start("alpn.lego.test").await;
    let port = format!("127.0.0.1:{}", lego.world.server.settings.tls_alpn01_port);
    lego.run(&["--tls", "--tls.port", &port], &["run"])
        .run()
        .await
        .success();
    check_chain(&lego.chain(), &["alpn.lego.test"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn gets_certificates_for_every_key_type() {
    for kind in ["rsa2048", "rsa4096", "ec256", "ec384"] {
        let lego = Lego::start("keys.lego.test").await;
        let port = format!("127.0.0.1:{}", lego.world.server.settings.http01_port);
        let options = ["--key-type", kind, "--http", "--http.port", &port];
        lego.run(&options, &["run"]).run().await.success();
        check_chain(&lego.chain(), &["keys.lego.test"]);
    }
}
