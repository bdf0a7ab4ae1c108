//! Configurations as operators write them, right and wrong.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

mod est;
mod sample;

/// Every table and every key that is known.
const FULL: &str = r#"
[server]
listen = ["0.0.0.0:443", "[::]:443"]
http = "0.0.0.0:80"
base_url = "https://ACME.example.com/"
[server.tls]
handler = "local"
[server.limits]
connections = 100
body = 65536
head = 16384
head_timeout = "5s"
request_timeout = "1m"
shutdown = "10s"
[store]
url = "sqlite:certdock.db"
[plugins]
directory = "/usr/lib/certdock"
require = "signature"
ownership = "checked"
keys = ["RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"]
pins = { openssl-local = "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef" }
[admin]
socket = "admin.sock"
listen = "127.0.0.1:9000"
[validation]
resolver = "127.0.0.1:53"
http01_port = 80
tls_alpn01_port = 443
redirect_ports = [80, 443, 8443]
allow = ["10.0.0.0/8"]
deny = ["10.1.0.0/16"]
timeout = "7s"
concurrency = 3
[handlers.local]
plugin = "openssl-local"
isolation = "in-process"
deadline = "20s"
threads = 2
queue = 9
[handlers.local.config]
ca_key = "ca.key"
validity = 90
names = ["a", { b = 1.5 }]
[acme.default]
handler = "local"
profile = "server"
challenges = ["dns-01"]
eab = "required"
terms_of_service = "https://example.com/terms"
website = "https://example.com"
caa_identities = ["example.com"]
order_lifetime = "1d"
authorization_lifetime = "2d"
max_identifiers = 5
wildcards = false
allowed_names = ["Example.com", "*.example.com"]
denied_names = ["secret.example.com"]
max_validity = "30d"
"#;

pub(super) fn read(text: &str) -> Result<Config, String> {
    parse(Path::new("/etc/certdock/certdock.toml"), text).map_err(|mistakes| mistakes.to_string())
}

/// A configuration that differs from [`FULL`] by one replacement.
fn changed(from: &str, to: &str) -> Result<Config, String> {
    assert_eq!(FULL.matches(from).count(), 1, "{from}");
    read(&FULL.replace(from, to))
}

#[test]
fn a_push_secret_is_never_written_out() {
    let with = |value: &str| {
        let line = format!("queue = 9\npush_secret = {value}");
        read(&FULL.replace("queue = 9", &line)).map(|config| {
            let handler = &config.handlers["local"];
            handler.push_secret.clone()
        })
    };
    // Relative to `base_dir`, where it is fetched.
    let file = SecretRef::File("push-secret".into());
    assert_eq!(with("{ file = \"push-secret\" }").unwrap(), Some(file));
    let env = SecretRef::Env("PUSH".to_owned());
    assert_eq!(with("{ env = \"PUSH\" }").unwrap(), Some(env));
    assert_eq!(read(FULL).unwrap().handlers["local"].push_secret, None);
    for wrong in [
        "\"hush\"",
        "{}",
        "{ file = \"a\", env = \"b\" }",
        "{ value = \"hush\" }",
    ] {
        let said = with(wrong).unwrap_err().to_string();
        assert!(said.contains("handlers.local.push_secret"), "{said}");
        assert!(said.contains("never the secret itself"), "{said}");
    }
}

#[test]
fn every_key_arrives() {
    let config = read(FULL).unwrap();
    assert_eq!(config.server.listen.len(), 2);
    assert_eq!(config.server.base_url, "https://acme.example.com");
    assert!(matches!(&config.server.tls, Tls::Handler(name) if name.as_str() == "local"));
    assert_eq!(config.server.limits.head_timeout, Duration::from_secs(5));
    let Store::Sqlite(path) = &config.store;
    assert_eq!(path, Path::new("/etc/certdock/certdock.db"));
    assert_eq!(config.validation.redirect_ports, [80, 443, 8443]);
    let handler = &config.handlers["local"];
    assert_eq!((handler.threads, handler.queue), (2, 9));
    assert_eq!(handler.base_dir, Path::new("/etc/certdock"));
    assert_eq!(
        handler.config,
        r#"{"ca_key":"ca.key","names":["a",{"b":1.5}],"validity":90}"#
    );
    let endpoint = &config.acme["default"];
    assert_eq!(endpoint.allowed_names, ["example.com", "*.example.com"]);
    assert_eq!(endpoint.eab, EabPolicy::Required);
    assert!(!endpoint.wildcards);
}

#[test]
fn little_is_enough() {
    let config = read(
        "[server]\nlisten = '127.0.0.1:8443'\ntls.handler = 'a'\n[handlers.a]\nplugin = 'p'\n[acme.default]\nhandler = 'a'",
    )
    .unwrap();
    assert_eq!(config.server.base_url, "https://localhost:8443");
    assert_eq!(config.plugins.directory, Path::new("/etc/certdock/plugins"));
    assert_eq!(config.admin.listen, "127.0.0.1:14001".parse().unwrap());
    assert_eq!(config.handlers["a"].config, "{}");
    assert_eq!(config.acme["default"].challenges.len(), 3);
}

#[test]
fn a_plugins_note_finds_its_line() {
    let config = read(FULL).unwrap();
    let origin = &config.handlers["local"].origin;
    for (key, line, path) in [
        ("ca_key", 42, "handlers.local.config.ca_key"),
        ("names[1].b", 44, "handlers.local.config.names[1].b"),
        ("names[7].c", 44, "handlers.local.config.names[7].c"),
        ("missing", 41, "handlers.local.config.missing"),
        ("", 41, "handlers.local.config"),
    ] {
        assert_eq!(
            origin.config_mistake(key, "no").to_string(),
            format!("/etc/certdock/certdock.toml:{line}: {path}: no")
        );
    }
    let without =
        read(&FULL.replace("[handlers.local.config]", "[handlers.local.config.x]")).unwrap();
    let mistake = without.handlers["local"].origin.config_mistake("y", "no");
    assert_eq!(mistake.place.unwrap().line, 41);
}

#[test]
fn a_typo_in_any_table_is_refused() {
    for (key, hint) in [
        ("listen = [", "listen"),
        ("http = ", "http"),
        ("base_url", "base_url"),
        ("head_timeout", "head_timeout"),
        ("shutdown", "shutdown"),
        ("url = \"sqlite", "url"),
        ("directory", "directory"),
        ("socket", "socket"),
        ("resolver", "resolver"),
        ("deny", "deny"),
        ("deadline", "deadline"),
        ("threads", "threads"),
        ("profile", "profile"),
        ("wildcards", "wildcards"),
        ("max_validity", "max_validity"),
    ] {
        let (word, rest) = key
            .split_once(' ')
            .map_or((key, String::new()), |(word, rest)| {
                (word, format!(" {rest}"))
            });
        let error = changed(key, &format!("{word}x{rest}")).unwrap_err();
        let line = FULL.split(key).next().unwrap().lines().count() + 1;
        let place = format!("/etc/certdock/certdock.toml:{line}: ");
        assert!(error.contains(&place), "{key}: {error}");
        assert!(
            error.contains(&format!("did you mean '{hint}'?")),
            "{key}: {error}"
        );
    }
    for (table, typo, hint) in [
        ("[server]", "[sever]", "server"),
        ("[server.limits]", "[server.limit]", "limits"),
        ("[server.tls]", "[server.tsl]", "tls"),
        ("[store]", "[stroe]", "store"),
        ("[admin]", "[admim]", "admin"),
        ("[plugins]", "[plugin]", "plugins"),
        ("[validation]", "[validations]", "validation"),
        ("[handlers.local]", "[handler.local]", "handlers"),
        (
            "[handlers.local.config]",
            "[handlers.local.confg]",
            "config",
        ),
        ("[acme.default]", "[acem.default]", "acme"),
    ] {
        let error = changed(table, typo).unwrap_err();
        assert!(
            error.contains(&format!("did you mean '{hint}'?")),
            "{typo}: {error}"
        );
    }
}

#[test]
fn what_is_wrong_is_named_with_its_remedy() {
    for (from, to, expect) in [
        (
            "require = \"signature\"",
            "require = \"signed\"",
            ": plugins.require: 'signed' is not known here; known are none, pin, signature",
        ),
        (
            "keys = [\"RWQf",
            "keys = [\"XXQf",
            ": plugins.keys: 'XXQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3' is not a \
             minisign public key; write the second line of the vendor's .pub file",
        ),
        (
            "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
            "0123",
            ": plugins.pins: '0123' is not a SHA-256; write the 64 hexadecimal digits that \
             `certdock plugin inspect FILE` shows",
        ),
        (
            "pins = { openssl-local",
            "pins = { \"Open SSL\"",
            ": plugins.pins: 'Open SSL' is not a plugin's id; `certdock plugin list` shows them",
        ),
        (
            "handler = \"local\"\n[server.limits]",
            "[server.limits]",
            ":6: server.tls: the server needs a certificate; write certificate and key, or handler",
        ),
        (
            "handler = \"local\"\n[server.limits]",
            "certificate = 'a.pem'\n[server.limits]",
            ":6: server.tls: the certificate has no key",
        ),
        (
            "handler = \"local\"\n[server.limits]",
            "certificate = 'a.pem'\nkey = 'a.key'\n[server.limits]",
            ":7: server.tls.certificate: there is no file /etc/certdock/a.pem",
        ),
        (
            "handler = \"local\"\n[server.limits]",
            "handler = 'other'\n[server.limits]",
            ":7: server.tls.handler: there is no handler 'other': add [handlers.other]",
        ),
        (
            "handler = \"local\"\nprofile",
            "handler = \"locla\"\nprofile",
            ":46: acme.default.handler: there is no handler 'locla': add [handlers.locla] or name another; did you mean 'local'?",
        ),
        (
            "handler = \"local\"\nprofile",
            "profile",
            ":45: acme.default.handler: this key is missing",
        ),
        (
            "https://ACME.example.com/",
            "http://acme.example.com",
            "server.base_url: 'http://acme.example.com' can't begin our URLs; write https://",
        ),
        (
            "https://ACME.example.com/",
            "https://u@acme.example.com",
            "server.base_url",
        ),
        (
            "https://ACME.example.com/",
            "https://acme.example.com/x",
            "server.base_url",
        ),
        ("https://ACME.example.com/", "https://", "server.base_url"),
        (
            "0.0.0.0:80",
            "0.0.0.0:443",
            "server.http: 0.0.0.0:443 is taken by listen already",
        ),
        (
            "sqlite:certdock.db",
            "postgres://user:secret@db/x",
            "store.url: PostgreSQL is not available yet",
        ),
        (
            "sqlite:certdock.db",
            "sqlite:",
            "store.url: this names no store that is known; write \"sqlite:PATH\"",
        ),
        (
            "sqlite:certdock.db",
            "mysql://a:secret@b",
            "store.url: this names no store",
        ),
        (
            "\"in-process\"",
            "\"process\"\nlimits = { memory = \"lots\" }",
            "handlers.local.limits.memory: 'lots' is not a size such as \"512MiB\"",
        ),
        (
            "\"in-process\"",
            "\"process\"\nlimits = { memory = \"1MiB\" }",
            "handlers.local.limits.memory: '1MiB' is too little to start with",
        ),
        (
            "\"in-process\"",
            "\"in-process\"\nlimits = { files = 64 }",
            "handlers.local.limits: a handler inside the server has no limits of its own",
        ),
        (
            "\"in-process\"",
            "\"inprocess\"",
            "did you mean 'in-process'?",
        ),
        (
            "\"20s\"",
            "20",
            "handlers.local.deadline: this is a whole number; write a duration",
        ),
        (
            "threads = 2",
            "threads = 0",
            "handlers.local.threads: 0 is out of bounds; write 1 to 256",
        ),
        ("threads = 2", "threads = -1", "write 1 to 256"),
        (
            "http01_port = 80",
            "http01_port = 65536",
            "validation.http01_port: 65536 is not a port",
        ),
        (
            "\"10.0.0.0/8\"",
            "\"10.0.0.0/33\"",
            "validation.allow: '10.0.0.0/33' is not an address range",
        ),
        (
            "[\"dns-01\"]",
            "[]",
            "acme.default.challenges: without a challenge",
        ),
        ("[\"dns-01\"]", "[\"dns-01\", \"dns-01\"]", "named twice"),
        (
            "[\"dns-01\"]",
            "[\"dns-02\"]",
            "known are http-01, dns-01, tls-alpn-01",
        ),
        (
            "eab = \"required\"",
            "eab = \"require\"",
            "did you mean 'required'?",
        ),
        (
            "\"secret.example.com\"",
            "\"10.0.0.1\"",
            "acme.default.denied_names: '10.0.0.1': the name is an IP address",
        ),
        (
            "https://example.com/terms",
            "terms.html",
            "acme.default.terms_of_service",
        ),
        (
            "[acme.default]",
            "[acme.\"a/b\"]",
            "acme.a/b: 'a/b' is not a name",
        ),
        (
            "[plugins]",
            "[server]\n[plugins]",
            ":17: this is not TOML: duplicate key",
        ),
        (
            "url = \"sqlite:certdock.db\"",
            "url = 1\nurl = 2",
            ":17: this is not TOML: duplicate key",
        ),
        (
            "threads = 2",
            "threads = 99999999999999999999",
            "this number is too large",
        ),
        (
            "validity = 90",
            "validity = inf",
            "handlers.local.config.validity: this is not a finite number",
        ),
        (
            "[acme.default]",
            "[acme]\ndefault = 3\n[x]",
            "acme.default: this is a whole number; write a table, [acme.default]",
        ),
        (
            "\"admin.sock\"",
            &format!("\"{}\"", "x".repeat(120)),
            "admin.socket",
        ),
    ] {
        match changed(from, to) {
            Ok(_) => panic!("accepted: {to}"),
            Err(error) => {
                assert!(error.contains(expect), "{to}: {error}");
                assert!(!error.contains("secret@"), "{error}");
            }
        }
    }
}

#[test]
fn all_mistakes_are_told_in_order() {
    let error = read(&FULL.replace("threads", "thread").replace("listen", "lisen")).unwrap_err();
    let lines: Vec<&str> = error
        .lines()
        .filter_map(|line| line.split(": ").nth(1))
        .collect();
    assert_eq!(
        lines,
        ["server.lisen", "admin.lisen", "handlers.local.thread"]
    );
}

#[test]
fn fragments_are_merged_and_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("certdock.toml");
    let fragments = folder.path().join("conf.d");
    fs::create_dir(&fragments).unwrap();
    let write = |name: &str, text: &str| fs::write(fragments.join(name), text).unwrap();
    fs::write(
        &main,
        "[server]\ntls.handler = 'a'\n[handlers.a]\nplugin = 'p'",
    )
    .unwrap();
    write(
        "10-b.toml",
        "[handlers.b]\nplugin = 'p'\n[server.limits]\nconnections = 7",
    );
    write(
        "20-acme.toml",
        "[acme.default]\nhandler = 'b'\n[store]\nurl = 'sqlite:x.db'",
    );
    write("30-note.txt", "not TOML");
    write(".40-hidden.toml", "not TOML");
    let source = Source::File(main);
    let config = load(&source).unwrap();
    assert_eq!(config.handlers.len(), 2);
    assert_eq!(config.server.limits.connections, 7);
    let Store::Sqlite(path) = &config.store;
    assert_eq!(*path, fragments.join("x.db"));

    for (text, key, first) in [
        (
            "[handlers.a]\nplugin = 'q'",
            "handlers.a",
            "certdock.toml:3",
        ),
        (
            "[handlers.a.config]\nx = 1",
            "handlers.a",
            "certdock.toml:3",
        ),
        (
            "[handlers.b]\nplugin = 'p'",
            "handlers.b",
            "conf.d/10-b.toml:1",
        ),
        (
            "[acme.default]\nhandler = 'a'",
            "acme.default",
            "conf.d/20-acme.toml:1",
        ),
        (
            "[server]\nlimits.connections = 8",
            "server.limits.connections",
            "conf.d/10-b.toml:4",
        ),
    ] {
        write("50-twice.toml", text);
        let error = load(&source).unwrap_err().to_string();
        assert!(error.contains("50-twice.toml:"), "{error}");
        assert!(
            error.contains(&format!(" {key}: this stands in ")),
            "{error}"
        );
        assert!(error.contains(&format!("{first} already")), "{error}");
    }
    write("50-twice.toml", "[server\n");
    let error = load(&source).unwrap_err().to_string();
    assert!(
        error.contains("50-twice.toml:1: this is not TOML"),
        "{error}"
    );
}

#[test]
fn a_missing_file_is_told() {
    let error = load(&Source::File("/nowhere/certdock.toml".into())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no file /nowhere/certdock.toml; make it, or name another with --config"
    );
}

#[test]
fn a_file_that_is_named_is_found() {
    let path = PathBuf::from;
    assert_eq!(
        Source::find(Some(path("a")), Some(path("b"))),
        Source::File(path("a"))
    );
    assert_eq!(Source::find(None, Some(path("b"))), Source::File(path("b")));
    // An empty variable is no variable; neither place has a file where the tests run.
    assert_eq!(Source::find(None, Some(path(""))), Source::Embedded);
}

#[test]
fn a_handler_without_its_plugin_is_told() {
    let config = read(FULL).unwrap();
    let known = |ids: &[&str]| {
        ids.iter()
            .map(|id| id.parse().unwrap())
            .collect::<BTreeSet<_>>()
    };
    let handler = &config.handlers["local"];
    let missing = missing_plugin(&config.plugins, handler, &known(&["openssl-locl"]));
    assert_eq!(
        missing.to_string(),
        "/etc/certdock/certdock.toml:36: handlers.local.plugin: there is no plugin 'openssl-local' in \
         /usr/lib/certdock; put its file there; did you mean 'openssl-locl'?"
    );
}

#[test]
fn a_key_is_told_with_its_place() {
    let config = read(FULL).unwrap();
    let line = |of: &str| 1 + FULL.lines().position(|line| line.contains(of)).unwrap();
    for (key, at) in [
        ("plugins.directory", "directory ="),
        ("plugins.nothing", "[plugins]"),
        ("plugins", "[plugins]"),
    ] {
        let mistake = config.places.mistake(key, "is wrong").to_string();
        let expect = format!("/etc/certdock/certdock.toml:{}: {key}: is wrong", line(at));
        assert_eq!(mistake, expect);
    }
    assert_eq!(config.places.mistake("none.at.all", "x").place, None);
}

#[test]
fn switches_are_told() {
    let told = switches(&read(FULL).unwrap()).join("\n");
    assert!(
        told.contains("acme.default: an account needs an external key"),
        "{told}"
    );
    assert!(
        told.contains("validation: may dial addresses in 10.0.0.0/8"),
        "{told}"
    );
    let open = switches(&load(&Source::Embedded).unwrap()).join("\n");
    assert!(open.contains("anybody may open an account"), "{open}");
    assert!(open.contains("http-01 dials port 5002"), "{open}");
}

fn sample(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
    fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn samples_read() {
    for name in ["certdock.toml", "server.toml"] {
        read(&sample(name)).unwrap_or_else(|mistakes| panic!("{name}: {mistakes}"));
    }
}

/// The sample of all keys, with what is commented out in force.
#[test]
fn the_sample_tells_the_defaults() {
    let with_all: String = sample("server.toml")
        .lines()
        .map(|line| {
            let word = |key: &str| {
                key.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
            };
            let commented = line.strip_prefix("# ");
            let is_key = |text: &&str| text.split_once(" = ").is_some_and(|(key, _)| word(key));
            commented.filter(is_key).unwrap_or(line).to_owned() + "\n"
        })
        .collect();
    let all = read(&with_all).unwrap();
    let own = read(&sample("server.toml")).unwrap();
    // The examples are not defaults.
    let mut validation = all.validation.clone();
    validation.resolver = None;
    assert_eq!(format!("{validation:?}"), format!("{:?}", own.validation));
    let limits = |config: &Config| format!("{:?}", config.server.limits);
    assert_eq!(limits(&all), limits(&own));
    let mut endpoint = all.acme["default"].clone();
    endpoint.profile = None;
    endpoint.terms_of_service = None;
    endpoint.website = None;
    endpoint.caa_identities.clear();
    assert_eq!(
        format!("{endpoint:?}"),
        format!("{:?}", own.acme["default"])
    );
    let bounds = |config: &Config| {
        let handler = &config.handlers["local"];
        (
            handler.deadline,
            handler.threads,
            handler.queue,
            handler.isolation,
            handler.patience,
            worker::Limits {
                cpu: None,
                read: Vec::new(),
                write: Vec::new(),
                ..handler.limits.clone()
            },
        )
    };
    assert_eq!(bounds(&all), bounds(&own));
    assert_eq!(all.admin.listen, own.admin.listen);

    let mut label = all.est["default"].clone();
    label.profile = None;
    label.renewal_window = None;
    assert_eq!(format!("{label:?}"), format!("{:?}", own.est["default"]));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,400}") {
        let _ = read(&text);
    }

    #[test]
    fn no_toml_makes_it_panic(text in r#"(\[{1,2}(server|acme|handlers|est|store|x)(\.(tls|limits|a|"é"))?\]{1,2}\n|(listen|url|handler|config|plugin|a\.b) = (1|-0x1F|"é"|\[1, "x"\]|\{a = \{\}\}|1979-05-27|nan|true)\n){0,20}"#) {
        let _ = read(&text);
    }

    #[test]
    fn no_change_of_one_character_makes_it_panic(at in 0..FULL.len(), with in any::<char>()) {
        let text: String = FULL.chars().enumerate().map(|(i, c)| if i == at { with } else { c }).collect();
        let _ = read(&text);
    }
}
