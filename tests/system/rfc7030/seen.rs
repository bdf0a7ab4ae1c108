//! What operators see of EST, and what both shipped plugins make of it.

use certdock_tests::est::{Csr, EstWorld};
use rusqlite::Connection;

use super::check_refusal;

#[tokio::test(flavor = "multi_thread")]
async fn an_enrollment_is_in_the_list_the_journal_the_log_and_the_metrics() {
    let world = EstWorld::start().await;
    let user = world.user("device-17").await;
    let csr = Csr::new("seen.est.test");
    let answer = world.client(&user).enroll(&csr.der).await.unwrap();
    let answer = answer.expect(200).unwrap();
    let request_id = answer.header("x-request-id").unwrap();

    let issued = world.issued().await;
    assert_eq!(issued.len(), 1);
    assert_eq!(issued[0]["names"][0], "seen.est.test");

    let database = Connection::open(world.server.dir().join("certdock.db")).unwrap();
    let journaled: (String, String, String, String) = database
        .query_row(
            "SELECT protocol, requester, request_id, state FROM enrollments",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .unwrap();
    assert_eq!(journaled.0, "est");
    assert!(journaled.1.contains("device-17"), "{journaled:?}");
    assert_eq!(
        (journaled.2.as_str(), journaled.3.as_str()),
        (request_id, "issued")
    );

    let log = world.server.log();
    let told: Vec<_> = log
        .lines()
        .filter(|line| line.contains(request_id))
        .collect();
    assert!(
        told.iter().any(|line| line.contains("certificate-issued")),
        "{told:#?}"
    );

    let (_, metrics) = world.server.admin("/metrics").unwrap();
    let counted = |metric: &str, label: &str| {
        metrics
            .lines()
            .any(|line| line.starts_with(metric) && line.contains(label) && !line.ends_with(" 0"))
    };
    assert!(
        counted("certdock_enrollments_total", "outcome=\"issued\""),
        "{metrics}"
    );
    assert!(
        counted("certdock_http_requests_total", "simpleenroll"),
        "{metrics}"
    );
    assert!(!metrics.contains("device-17"), "{metrics}");
}

/// The template does nothing yet: EST clients hear that in one sentence, and are not told to come again.
#[tokio::test(flavor = "multi_thread")]
async fn the_skeleton_answers_est_with_a_clear_fault() {
    let world = EstWorld::with(|settings| {
        settings.more.push_str(
            "[handlers.template]\nplugin = \"skeleton\"\n\n\
             [est.template]\nhandler = \"template\"\nauth = \"basic\"\nnames = [\"*.est.test\"]\n",
        );
    })
    .await;
    let user = world.user("device").await;
    let mut client = world.client_of("template", &user);
    let csr = Csr::new("template.est.test");
    for answer in [
        client.cacerts().await.unwrap(),
        client.enroll(&csr.der).await.unwrap(),
    ] {
        check_refusal("skeleton", &answer, 501);
        assert!(
            answer.text().contains("not implemented"),
            "{}",
            answer.text()
        );
        assert!(answer.header("retry-after").is_none());
    }
    assert!(world.issued().await.is_empty());
}
