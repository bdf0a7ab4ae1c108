//! `certdock check` on each mistake: one sentence with line and key, and what a start makes of it.

use std::time::Duration;

use certdock_tests::certifier::{Call, Fault, FaultKind};
use certdock_tests::ports;

use super::{prepare, start};

struct Case {
    from: &'static str,
    to: &'static str,
    key: &'static str,
    word: &'static str,
}

const fn case(from: &'static str, to: &'static str, key: &'static str, word: &'static str) -> Case {
    Case {
        from,
        to,
        key,
        word,
    }
}

const CASES: &[Case] = &[
    case(
        "api_user = \"certdock\"",
        "api_user = \"nobody\"",
        "config.api_password",
        "401",
    ),
    case(
        "Simulated Issuing CA\"",
        "Another CA\"",
        "config.ca_name",
        "\"Another CA\"",
    ),
    case(
        "polling_timeout",
        "profile_id = \"999\"\npolling_timeout",
        "config.profile_id",
        "\"999\"",
    ),
    case(
        "polling_timeout",
        "profiles = { gold = \"998\" }\npolling_timeout",
        "config.profiles.gold",
        "\"998\"",
    ),
    case("certifier-password", "none", "config.api_password", "none"),
    case("push-secret", "empty", "push_secret", "at least 16"),
    case("push-secret", "none", "push_secret", "none"),
    case(
        "{ file = \"push-secret\" }",
        "\"hush\"",
        "push_secret",
        "never the secret itself",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_is_named_with_its_remedy() {
    let lines = "push_secret = { file = \"push-secret\" }";
    let setup = prepare(lines, |_| {}, |_, _| {}).await;
    let server = &setup.world.server;
    std::fs::write(server.dir().join("empty"), "").unwrap();
    let right = server.settings.toml();
    server.command(&["check"]).run().await.success();
    for case in CASES {
        assert!(right.contains(case.from), "{}", case.from);
        server.write_config(&right.replacen(case.from, case.to, 1));
        let run = server.command(&["check"]).run().await;
        assert_eq!(run.status, Some(2), "{}: {run:?}", case.to);
        let said = &run.stderr;
        assert!(said.contains("certdock.toml:"), "{}: {said}", case.to);
        for part in [case.key, case.word] {
            assert!(said.contains(part), "{}: no {part}: {said}", case.to);
        }
    }
    assert_eq!(setup.simulator.counts().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_answers_oddly_is_told_from_what_does_not_answer() {
    let setup = prepare("", |_| {}, |_, _| {}).await;
    let server = &setup.world.server;
    let hang = FaultKind::HangBefore(Duration::from_secs(30));
    let faults = [
        (FaultKind::HtmlBefore, 2, "does not speak"),
        (FaultKind::Status(302), 2, "does not speak"),
        (FaultKind::Status(503), 0, "does not work"),
        (FaultKind::CutBefore, 0, "does not work"),
        (hang, 0, "does not work"),
    ];
    for (kind, status, word) in faults {
        setup.simulator.add_fault(Fault::once(Call::Cas, kind));
        let run = server.command(&["check"]).run().await;
        assert_eq!(run.status, Some(status), "{kind:?}: {run:?}");
        let said = run.stderr.contains("api_host") && run.stderr.contains(word);
        assert!(said, "{kind:?}: {run:?}");
    }
    // A CA that is down may be up again: no mistake of the configuration.
    let right = server.settings.toml();
    let gone = format!("http://127.0.0.1:{}", ports::free());
    server.write_config(&right.replace(setup.simulator.url(), &gone));
    let run = server.command(&["check"]).run().await;
    assert_eq!(run.status, Some(0), "{run:?}");
    assert!(run.stderr.contains("can't be reached"), "{run:?}");
}

/// One CA's trouble is no reason to leave the others alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_starts_with_a_password_that_is_not_right() {
    let mut setup = prepare("", |_| {}, |_, _| {}).await;
    let right = setup.world.server.settings.toml();
    let wrong = right.replace("api_user = \"certdock\"", "api_user = \"nobody\"");
    setup.world.server.write_config(&wrong);
    setup.world.server.restart();
    assert!(
        setup
            .world
            .server
            .log()
            .contains("does not accept `api_user`")
    );
    let order = setup.finalize("refused.test").await;
    assert_eq!(order.problem(), "serverInternal", "{}", order.answer.text());
    let (mut client, account) = setup.world.account().await;
    certdock_tests::issue::issue(&mut client, &account, &["other.test"], &setup.world.http01)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_one_is_called_good() {
    let setup = start("", |_, _| {}).await;
    let check = setup.world.server.command(&["check"]).run().await.success();
    assert!(check.stdout.contains("good"), "{check:?}");
}
