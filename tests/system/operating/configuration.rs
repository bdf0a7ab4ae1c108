//! Mistakes in the configuration: named with file, line and key, exit status 2.

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use certdock_tests::World;
use certdock_tests::acme::Client;
use certdock_tests::issue::issue;
use certdock_tests::tls::client_config;
use serde_json::{Value, json};

/// A change of the configuration, and what the message must name: the text whose line it is, and
/// the key.
struct Case {
    name: &'static str,
    from: &'static str,
    to: &'static str,
    line_of: &'static str,
    key: &'static str,
}

const fn case(
    name: &'static str,
    from: &'static str,
    to: &'static str,
    line_of: &'static str,
    key: &'static str,
) -> Case {
    Case {
        name,
        from,
        to,
        line_of,
        key,
    }
}

const CASES: &[Case] = &[
    case(
        "an unknown key",
        "[store]",
        "[store]\nurls = 1",
        "urls = 1",
        "urls",
    ),
    case(
        "an unknown table",
        "[store]",
        "[shop]\na = 1\n[store]",
        "[shop]",
        "shop",
    ),
    case(
        "a wrong type",
        "http01_port = ",
        "concurrency = \"many\"\nhttp01_port = ",
        "concurrency",
        "concurrency",
    ),
    case(
        "a bad duration",
        "[handlers.local.config]",
        "deadline = \"soon\"\n[handlers.local.config]",
        "deadline",
        "deadline",
    ),
    case(
        "a bad address range",
        "allow = [\"127.0.0.0/8\"]",
        "allow = [\"127.0.0.0/99\"]",
        "allow",
        "allow",
    ),
    case(
        "a bad URL",
        "base_url = \"https",
        "base_url = \"ftp",
        "base_url",
        "base_url",
    ),
    case(
        "a missing file",
        "certificate = \"tls.pem\"",
        "certificate = \"none.pem\"",
        "none.pem",
        "certificate",
    ),
    case(
        "a file that is no key",
        "key = \"tls.key\"",
        "key = \"tls.pem\"",
        "key = \"tls.pem\"",
        "server.tls.key",
    ),
    case(
        "an EST label's file that holds no certificate",
        "[acme.default]",
        "[est.x]\nhandler = \"local\"\nclient_ca = \"tls.key\"\n[acme.default]",
        "client_ca",
        "est.x.client_ca",
    ),
    case(
        "an unknown handler",
        "handler = \"local\"",
        "handler = \"remote\"",
        "handler = \"remote\"",
        "handler",
    ),
    case(
        "a plugin that is not there",
        "plugin = \"openssl-local\"",
        "plugin = \"none\"",
        "plugin = \"none\"",
        "plugin",
    ),
    case(
        "a plugins directory that is not there",
        "directory = \"plugins\"",
        "directory = \"plugin\"",
        "directory = \"plugin\"",
        "plugins.directory",
    ),
    case(
        "an unknown challenge",
        "[acme.default]",
        "[acme.default]\nchallenges = [\"http-02\"]",
        "http-02",
        "challenges",
    ),
    case(
        "an unknown eab policy",
        "[acme.default]",
        "[acme.default]\neab = \"maybe\"",
        "maybe",
        "eab",
    ),
    case("an unknown store", "sqlite:", "oracle:", "oracle:", "url"),
    case(
        "a key twice",
        "[plugins]",
        "url = \"sqlite:b\"\n[plugins]",
        "sqlite:b",
        "duplicate key",
    ),
    case("not TOML", "[store]", "[store", "[store", ""),
];

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_named_and_exit_with_2() {
    let world = World::prepare(|_| {}).await;
    let right = world.server.settings.toml();
    // A file that can't be used, and is known to be another plugin's, is no excuse: the second of its id.
    let plugins = world.server.plugins();
    std::fs::copy(
        plugins.join("libcertdock_skeleton.so"),
        plugins.join("z.so"),
    )
    .unwrap();
    world.server.command(&["check"]).run().await.success();
    for case in CASES {
        assert!(
            right.contains(case.from),
            "{}: the sample has changed",
            case.name
        );
        let wrong = right.replacen(case.from, case.to, 1);
        world.server.write_config(&wrong);
        let line = 1 + wrong
            .lines()
            .position(|line| line.contains(case.line_of))
            .unwrap();
        for command in ["check", "serve"] {
            let run = world
                .server
                .command(&[command])
                .run_within(Duration::from_secs(20))
                .await;
            let said = format!("{} {}\n{}\n{}", command, case.name, run.stdout, run.stderr);
            assert_eq!(run.status, Some(2), "{said}");
            let wanted = format!("certdock.toml:{line}");
            assert!(run.stderr.contains(&wanted), "no {wanted}: {said}");
            assert!(run.stderr.contains(case.key), "no {}: {said}", case.key);
        }
    }
}

/// As it is, but for places and ports.
#[tokio::test(flavor = "multi_thread")]
async fn the_sample_serves() {
    const SAMPLE: &str = include_str!("../../../config/server.toml");
    let mut world = World::prepare(|_| {}).await;
    let (server, settings) = (&world.server, &world.server.settings);
    let folder = |name: &str| server.dir().join(name).display().to_string();
    let port = settings.port;
    // Not every machine has IPv6.
    let (v6, hosts) = match TcpListener::bind("[::1]:0") {
        Ok(_) => (format!(", \"[::]:{port}\""), vec!["127.0.0.1", "::1"]),
        Err(_) => (String::new(), vec!["127.0.0.1"]),
    };
    let mut text = SAMPLE.to_owned();
    for (from, to) in [
        ("0.0.0.0:443", format!("0.0.0.0:{port}")),
        (", \"[::]:443\"", v6),
        ("https://acme.example.com", settings.base_url()),
        ("/var/lib/certdock", folder("data")),
        ("/usr/lib/certdock/plugins", folder("plugins")),
        ("/run/certdock", folder("run")),
        (
            "# listen = \"127.0.0.1:14001\"",
            format!("listen = \"127.0.0.1:{}\"", settings.admin_port),
        ),
    ] {
        assert!(text.contains(from), "the sample has changed: {from}");
        text = text.replace(from, &to);
    }
    server.write_config(&text);
    // As a package or systemd would.
    std::fs::create_dir(server.dir().join("data")).unwrap();
    std::fs::create_dir(server.dir().join("run")).unwrap();
    server.command(&["check"]).run().await.success();
    world.server.restart();
    for host in hosts {
        TcpStream::connect((host, port)).expect(host);
    }
    let root = std::fs::read_to_string(world.server.dir().join("data/ca/root.pem")).unwrap();
    let directory = world.server.directory();
    Client::new(&directory, client_config(&root)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_thing_named_in_two_files_names_both() {
    let world = World::prepare(|_| {}).await;
    let dir = world.server.dir().join("conf.d");
    std::fs::create_dir(&dir).unwrap();
    let second = "[acme.default]\nhandler = \"local\"\n";
    std::fs::write(dir.join("10-second.toml"), second).unwrap();
    let run = world.server.command(&["check"]).run().await;
    assert_eq!(run.status, Some(2), "{run:?}");
    for file in ["certdock.toml", "10-second.toml"] {
        assert!(run.stderr.contains(file), "{run:?}");
    }
    std::fs::write(
        dir.join("10-second.toml"),
        second.replace("default", "second"),
    )
    .unwrap();
    world.server.command(&["check"]).run().await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_configuration_is_said() {
    let world = World::prepare(|_| {}).await;
    std::fs::remove_file(world.server.config()).unwrap();
    let run = world.server.command(&["check"]).run().await;
    assert_eq!(run.status, Some(2), "{run:?}");
    assert!(run.stderr.contains("certdock.toml"), "{run:?}");
}

/// What only a plugin says, be it because its file is another one by now, is no reason to leave the
/// others alone.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_finds_wrong_takes_down_its_own_handler() {
    // The skeleton can be opened with any URL; only its look at the configuration finds this one wrong.
    let more = "[handlers.picky]\nplugin = \"skeleton\"\n[handlers.picky.config]\nurl = \"http://ca\"\n\
                [handlers.odd]\nplugin = \"openssl-local\"\n[handlers.odd.config]\ncreate = true\n\
                ca_certificate = \"odd.pem\"\nca_key = \"odd.key\"\ncolour = 1\n";
    let mut world = World::prepare(|settings| settings.more = more.to_owned()).await;
    let text = world.server.settings.toml();
    let line = |of: &str| 1 + text.lines().position(|line| line == of).unwrap();
    let picky = format!("certdock.toml:{}", line("url = \"http://ca\""));
    let odd = format!("certdock.toml:{}", line("colour = 1"));
    let check = world.server.command(&["check"]).run().await;
    assert_eq!(check.status, Some(2), "{check:?}");
    for place in [&picky, &odd] {
        assert!(check.stderr.contains(place), "no {place}: {check:?}");
    }
    world.server.restart();
    let (mut client, account) = world.account().await;
    issue(&mut client, &account, &["other.test"], &world.http01)
        .await
        .unwrap();
    let log = world.server.log();
    let (_, text) = world.server.admin("/readyz").unwrap();
    let ready: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(ready["degraded"], json!(["odd", "picky"]), "{text}");
    for (handler, place, key) in [
        ("picky", &picky, "handlers.picky.config.url"),
        ("odd", &odd, "handlers.odd.config.colour"),
    ] {
        let reason = ready["handlers"][handler]["reason"].as_str().unwrap();
        for part in [place, key] {
            assert!(reason.contains(part), "no {part}: {text}");
            let warned = |line: &str| line.contains("WARN") && line.contains(part);
            assert!(log.lines().any(warned), "no {part}: {log}");
        }
    }
}
