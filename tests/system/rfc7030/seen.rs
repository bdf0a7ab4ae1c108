//! What operators see of EST, and what both shipped plugins make of it.

use std::time::Duration;

use certdock_tests::est::{Csr, EstWorld};
use rusqlite::Connection;
use serde_json::Value;

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
    for (answer, status) in [
        (client.cacerts().await.unwrap(), 501),
        // As any other request that its CA refused for good.
        (client.enroll(&csr.der).await.unwrap(), 500),
    ] {
        check_refusal("skeleton", &answer, status);
        assert!(
            answer.text().contains("not implemented"),
            "{}",
            answer.text()
        );
        assert!(answer.header("retry-after").is_none());
    }
    assert!(world.issued().await.is_empty());
}

/// The CA loses its answer each time: nobody knows whether it issued.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_decides_about_a_request_that_is_held() {
    let mut world = EstWorld::prepare(|settings| {
        settings.more.push_str(
            "[handlers.wayward]\nplugin = \"wayward\"\n\
             [handlers.wayward.config]\ndirectory = \"wayward\"\n\
             [est.wayward]\nhandler = \"wayward\"\nauth = \"basic\"\nnames = [\"*.est.test\"]\n",
        );
    });
    world.server.add_plugin("libcertdock_wayward.so");
    world.server.restart();
    let user = world.user("device").await;
    let csr = Csr::new("cut.est.test");
    let mut client = world.client_of("wayward", &user);
    let answer = client.enroll(&csr.der).await.unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());

    let command = async |args: &[&str]| -> Value {
        let args: Vec<_> = args.iter().chain(&["--json"]).copied().collect();
        let outcome = world.server.command(&args).run().await.success();
        serde_json::from_str(&outcome.stdout).unwrap()
    };
    let list = command(&["enrollment", "list"]).await;
    let held = &list["items"][0];
    for (fact, value) in [
        ("protocol", "est"),
        ("endpoint", "wayward"),
        ("requester", "user device"),
        ("state", "held"),
    ] {
        assert_eq!(held[fact], value, "{list}");
    }
    let id = held["id"].as_str().unwrap();

    command(&["enrollment", "retry", id]).await;
    let calls = world.server.dir().join("wayward/calls");
    let asked_twice = || {
        let calls = std::fs::read_to_string(&calls).unwrap();
        calls.matches("enroll cut").count() == 2
    };
    let mut patience = 100;
    while !asked_twice() || command(&["enrollment", "show", id]).await["state"] != "held" {
        patience -= 1;
        assert!(patience > 0, "it was not asked again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    command(&["enrollment", "cancel", id]).await;
    let answer = client.enroll(&csr.der).await.unwrap();
    check_refusal("cancelled", &answer, 500);
    assert!(answer.text().contains("cancelled"), "{}", answer.text());
    let list = command(&["enrollment", "list"]).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 0, "{list}");
    let again = ["enrollment", "retry", id];
    let again = world.server.command(&again).run().await;
    assert_eq!(again.status, Some(1));
    assert!(again.stderr.contains("ended"), "{}", again.stderr);
}
