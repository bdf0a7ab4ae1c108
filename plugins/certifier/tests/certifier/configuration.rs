//! What `certdock check` says of each mistake, and the configurations that are right.

use certdock_certifier::{Certifier, Config};
use certdock_plugin_api::{CaHandler as _, ConfigNote, Severity};
use certdock_tests::certifier::{Call, Fault, FaultKind, Options, Simulator};
use certdock_tests::tls::Identity;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{config, host};

fn notes(config: &Value) -> Vec<ConfigNote> {
    let config: Config = serde_json::from_value(config.clone()).unwrap();
    Certifier::validate_config(&config, &host().host())
}

#[test]
fn the_right_one_is_right() {
    let simulator = Simulator::start(Options::default());
    let mut config = config(&simulator);
    config["profile_id"] = "100".into();
    config["profiles"] = json!({ "a": "101", "b": "102" });
    assert_eq!(notes(&config), []);
    config["api_user"] = json!({ "env": "USER" });
    assert_eq!(notes(&config)[0].key, "api_user");
    assert_eq!(simulator.counts().requests, 0, "nothing was asked for");
}

#[test]
fn each_mistake_is_one_sentence_under_its_key() {
    let simulator = Simulator::start(Options::default());
    let closed = format!("http://127.0.0.1:{}", certdock_tests::ports::free());
    let cases = [
        (
            "api_host",
            json!("certifier.example"),
            "api_host",
            Severity::Error,
            "address",
        ),
        (
            "api_host",
            json!("https://a/v1"),
            "api_host",
            Severity::Error,
            "without a path",
        ),
        (
            "api_host",
            json!("https://user:pw@a"),
            "api_host",
            Severity::Error,
            "address",
        ),
        (
            "api_host",
            json!(closed),
            "api_host",
            Severity::Warning,
            "start its REST service",
        ),
        (
            "api_user",
            json!("nobody"),
            "api_password",
            Severity::Remote,
            "`api_user`",
        ),
        (
            "api_password",
            json!({ "env": "WRONG" }),
            "api_password",
            Severity::Remote,
            "correct them",
        ),
        (
            "api_password",
            json!({ "env": "NONE" }),
            "api_password",
            Severity::Error,
            "NONE",
        ),
        (
            "ca_name",
            json!("Simulated"),
            "ca_name",
            Severity::Remote,
            "\"Simulated\"",
        ),
        (
            "profile_id",
            json!("999"),
            "profile_id",
            Severity::Remote,
            "\"999\"",
        ),
        (
            "profiles",
            json!({ "a": "100", "b": "998" }),
            "profiles.b",
            Severity::Remote,
            "\"998\"",
        ),
        (
            "proxy",
            json!("ftp//x y"),
            "proxy",
            Severity::Error,
            "http://proxy",
        ),
        (
            "proxy",
            json!(closed),
            "proxy",
            Severity::Warning,
            "can't be reached",
        ),
        (
            "ca_bundle",
            json!("/none.pem"),
            "ca_bundle",
            Severity::Error,
            "/none.pem",
        ),
        (
            "ca_bundle",
            json!("/dev/null"),
            "ca_bundle",
            Severity::Error,
            "no certificate",
        ),
        (
            "client_key",
            json!("/none.pem"),
            "client_certificate",
            Severity::Error,
            "both",
        ),
    ];
    for (key, value, at, severity, word) in cases {
        let mut config = config(&simulator);
        config[key] = value;
        let notes = notes(&config);
        assert_eq!(notes.len(), 1, "{config}: {notes:?}");
        assert_eq!(
            (notes[0].key.as_str(), notes[0].severity),
            (at, severity),
            "{notes:?}"
        );
        assert!(notes[0].message.contains(word), "{notes:?}");
        assert!(!notes[0].message.contains('\n'), "{notes:?}");
    }
}

#[test]
fn a_ca_that_does_not_work_is_told_from_what_is_none() {
    let simulator = Simulator::start(Options::default());
    let hang = FaultKind::HangBefore(std::time::Duration::from_secs(30));
    let cases = [
        (FaultKind::Status(500), Severity::Warning),
        (FaultKind::Status(503), Severity::Warning),
        (FaultKind::CutBefore, Severity::Warning),
        (hang, Severity::Warning),
        (FaultKind::HtmlBefore, Severity::Remote),
        (FaultKind::Status(302), Severity::Remote),
        (FaultKind::Status(404), Severity::Remote),
    ];
    for (kind, severity) in cases {
        simulator.add_fault(Fault::once(Call::Cas, kind));
        let notes = notes(&config(&simulator));
        assert_eq!(notes.len(), 1, "{kind:?}: {notes:?}");
        let found = (notes[0].key.as_str(), notes[0].severity);
        assert_eq!(found, ("api_host", severity), "{kind:?}: {notes:?}");
    }
}

/// The HTTP library panics at addresses of more than 64 KiB.
#[test]
fn a_name_that_no_address_holds_is_refused() {
    let simulator = Simulator::start(Options::default());
    let mut config = config(&simulator);
    config["ca_name"] = "x".repeat(100_000).into();
    let notes = notes(&config);
    assert_eq!(notes[0].severity, Severity::Remote, "{notes:?}");
}

#[test]
fn tls_is_checked_both_ways() {
    let dir = TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.into_os_string().into_string().unwrap()
    };
    let (server, client) = (Identity::new(), Identity::new());
    let simulator = Simulator::start(Options {
        tls: Some(server.clone()),
        client_roots: Some(client.root.clone()),
        ..Options::default()
    });
    let mut config = config(&simulator);
    assert_eq!(
        notes(&config)[0].key,
        "ca_bundle",
        "the system does not trust it"
    );
    config["ca_bundle"] = file("root.pem", &server.root).into();
    assert_eq!(notes(&config)[0].key, "api_host", "no client certificate");
    config["client_certificate"] = file("client.pem", &client.certificate).into();
    config["client_key"] = file("client.key", &client.key).into();
    assert_eq!(notes(&config), []);
    config["client_key"] = file("other.key", &Identity::new().key).into();
    assert_eq!(notes(&config)[0].key, "client_key");
}

#[test]
fn the_sample_parses_and_shows_every_key() {
    let sample = include_str!("../../../../config/certifier.toml");
    toml::from_str::<Config>(sample).unwrap();
    // With the comments' signs taken off, every example is right, too.
    let is_key = |line: &str| {
        line.split_once(" = ")
            .is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
    };
    let examples = sample.lines().map(|line| match line.strip_prefix("# ") {
        Some(example) if is_key(example) => example,
        _ => line,
    });
    let examples = examples.collect::<Vec<_>>().join("\n");
    toml::from_str::<Config>(&examples).unwrap();
    let schema = certdock_plugin_api::schemars::schema_for!(Config);
    let schema = serde_json::to_value(schema).unwrap();
    for key in schema["properties"].as_object().unwrap().keys() {
        assert!(
            examples
                .lines()
                .any(|line| line.starts_with(&format!("{key} = "))),
            "{key}"
        );
    }
}
