//! Certificates at once, and after an operator's word.

use std::time::Duration;

use certdock_tests::certificate::{check_chain, ders};
use certdock_tests::certifier::Mode;
use certdock_tests::program::{Program, python_tool};
use certdock_tests::{certifier, ports};
use tempfile::TempDir;

use super::{prepare, start};

#[tokio::test(flavor = "multi_thread")]
async fn certbot_gets_one_in_automatic_mode_and_revokes_it() {
    let own_port = |settings: &mut certdock_tests::settings::Settings| {
        settings.http01_port = ports::free();
    };
    let mut setup = prepare("", own_port, |_, _| {}).await;
    setup.world.server.restart();
    let server = &setup.world.server;
    let dir = TempDir::new().unwrap();
    let certbot = |command: &str| {
        Program::new(python_tool("certbot"))
            .args([command, "--non-interactive"])
            .args(["--server", &server.directory_of("certifier")])
            .arg("--config-dir")
            .arg(dir.path())
            .arg("--work-dir")
            .arg(dir.path().join("work"))
            .arg("--logs-dir")
            .arg(dir.path().join("logs"))
            .env("REQUESTS_CA_BUNDLE", server.root_pem())
            // Proxies are a matter of configuration.
            .env("NO_PROXY", "localhost")
    };
    let port = server.settings.http01_port.to_string();
    certbot("certonly")
        .args(["--agree-tos", "--register-unsafely-without-email"])
        .args(["--standalone", "--http-01-address", "127.0.0.1"])
        .args(["--http-01-port", &port, "--domain", "certifier.test"])
        .run()
        .await
        .success();
    let live = dir.path().join("live/certifier.test");
    let chain = std::fs::read_to_string(live.join("fullchain.pem")).unwrap();
    check_chain(&chain, &["certifier.test"]);
    assert!(ders(&chain).len() >= 3, "leaf, issuing, intermediate");

    certbot("revoke")
        .args(["--reason", "superseded", "--no-delete-after-revoke"])
        .arg("--cert-path")
        .arg(live.join("cert.pem"))
        .run()
        .await
        .success();
    let counts = setup.simulator.counts();
    assert_eq!((counts.issued, counts.revoked), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_waits_for_the_operator() {
    let setup = start("poll_interval = \"1s\"", |_, options| {
        options.mode = Mode::Manual;
    })
    .await;
    let mut approved = setup.finalize("approved.test").await;
    assert_eq!(approved.answer.json()["status"], "processing");
    assert!(approved.answer.header("retry-after").is_some());
    setup.simulator.approve(&setup.simulator.pending()[0]);
    check_chain(&approved.chain().await, &["approved.test"]);

    let mut rejected = setup.finalize("rejected.test").await;
    let request = &setup.simulator.pending()[0];
    setup.simulator.reject(request, "Not on a Friday");
    let (client, account) = (&mut rejected.client, &rejected.account);
    let order = certdock_tests::issue::poll(client, account, &rejected.url, &["processing"]);
    let order = order.await.unwrap().json();
    assert_eq!(order["status"], "invalid", "{order}");
    assert!(
        order["error"]["detail"]
            .as_str()
            .unwrap()
            .contains("Not on a Friday")
    );
    assert_eq!(setup.simulator.counts().issued, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn proxies_of_the_environment_mean_nothing() {
    let mut setup = prepare("", |_| {}, |_, _| {}).await;
    let mut command = std::process::Command::new(certdock_tests::server::binary());
    let dead = format!("http://127.0.0.1:{}", ports::free());
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"] {
        command.env(name, &dead);
    }
    setup.world.server.spawn_by(command);
    setup.world.server.wait_until_ready();
    let mut issued = setup.finalize("direct.test").await;
    check_chain(&issued.chain().await, &["direct.test"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_tells_of_the_ca() {
    let setup = start("", |_, _| {}).await;
    let ca = async |expected: bool| {
        let end = std::time::Instant::now() + Duration::from_secs(60);
        loop {
            let (status, text) = setup.world.server.admin("/readyz").unwrap();
            assert_eq!(status, 200, "the server itself is ready: {text}");
            let report: serde_json::Value = serde_json::from_str(&text).unwrap();
            let ca = &report["handlers"]["certifier"]["ca"];
            if ca["ok"] == expected {
                return ca.clone();
            }
            assert!(std::time::Instant::now() < end, "{text}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    ca(true).await;
    let down = certifier::FaultKind::Status(500);
    let down = certifier::Fault::always(certifier::Call::Cas, down);
    setup.simulator.add_fault(down);
    let found = ca(false).await;
    assert!(found["reason"].as_str().unwrap().contains("500"), "{found}");
}
