//! Health, metrics, logs and CRLs.

use certdock_tests::World;
use certdock_tests::acme::b64;
use certdock_tests::certificate::ders;
use certdock_tests::issue::issue;
use certdock_tests::program::{Program, python_tool};
use http::Method;
use serde_json::json;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics_are_on_the_admin_listener_alone() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    issue(&mut client, &account, &["m.test"], &world.http01)
        .await
        .unwrap();
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(world.server.admin(path).unwrap().0, 200, "{path}");
        let url = format!("{}{path}", world.server.settings.base_url());
        assert_eq!(
            client.plain(Method::GET, &url).await.unwrap().status,
            404,
            "{path}"
        );
    }
    let (_, metrics) = world.server.admin("/metrics").unwrap();
    assert!(metrics.contains("# TYPE certdock_"), "{metrics}");
    assert!(
        !metrics.contains("m.test"),
        "a name in the metrics: {metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_crl_names_what_was_revoked() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    let issued = issue(&mut client, &account, &["r.test"], &world.http01)
        .await
        .unwrap();
    let ders = ders(&issued.chain);
    let url = format!("{}/crl/local", world.server.settings.base_url());
    let before = client
        .plain(Method::GET, &url)
        .await
        .unwrap()
        .expect(200)
        .unwrap();
    assert_eq!(before.header("content-type"), Some("application/pkix-crl"));
    let (_, empty) = CertificateRevocationList::from_der(&before.body).unwrap();
    assert_eq!(empty.iter_revoked_certificates().count(), 0);

    let revoke = client.directory.url("revokeCert").to_owned();
    let request = json!({ "certificate": b64(&ders[0]), "reason": 1 });
    client
        .post(&account, &revoke, &request)
        .await
        .unwrap()
        .expect(200)
        .unwrap();
    let after = client
        .plain(Method::GET, &url)
        .await
        .unwrap()
        .expect(200)
        .unwrap();
    let (_, crl) = CertificateRevocationList::from_der(&after.body).unwrap();
    let (_, leaf) = x509_parser::parse_x509_certificate(&ders[0]).unwrap();
    let (_, issuer) = x509_parser::parse_x509_certificate(&ders[1]).unwrap();
    let entry = crl.iter_revoked_certificates().next().expect("an entry");
    assert_eq!(entry.raw_serial(), leaf.raw_serial());
    assert_eq!(entry.reason_code().unwrap().1.0, 1);
    assert_eq!(crl.issuer(), issuer.subject());
    assert!(crl.crl_number() > empty.crl_number());
    assert!(crl.next_update().is_some());
    crl.verify_signature(issuer.public_key()).unwrap();

    for nobody in ["/crl/nobody", "/crl/%ff", "/crl/"] {
        let url = format!("{}{nobody}", world.server.settings.base_url());
        let answer = client.plain(Method::GET, &url).await.unwrap();
        assert_eq!(answer.status, 404, "{nobody}");
    }
}

/// A certificate passes the PKIX linter with no error.
#[tokio::test(flavor = "multi_thread")]
async fn certificates_pass_the_linter() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    let issued = issue(&mut client, &account, &["lint.test"], &world.http01)
        .await
        .unwrap();
    for (number, der) in ders(&issued.chain).into_iter().enumerate() {
        let file = world.server.dir().join(format!("lint{number}.pem"));
        std::fs::write(&file, pem::encode(&pem::Pem::new("CERTIFICATE", der))).unwrap();
        let lint = Program::new(python_tool("lint_pkix_cert"))
            .args(["lint", "-s", "ERROR"])
            .arg(&file);
        let outcome = lint.run().await;
        assert_eq!(
            outcome.status,
            Some(0),
            "{}\n{}",
            outcome.stdout,
            outcome.stderr
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_carries_a_request_id() {
    let world = World::start().await;
    let mut client = world.client().await;
    let url = world.server.directory();
    let answer = client.plain(Method::GET, &url).await.unwrap();
    let id = answer
        .header("x-request-id")
        .expect("a request id")
        .to_owned();
    assert!(id.len() >= 8, "{id}");
}
