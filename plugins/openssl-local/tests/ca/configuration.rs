//! What `validate_config` reports is what `open` refuses, with the key and what to do.

use std::os::unix::fs::PermissionsExt;

use certdock_openssl_local::OpensslLocal;
use certdock_plugin_api::{CaHandler, FaultClass, Severity};

use crate::support::{DAY, World, config, key, leaf, request};

/// A world with a CA in place: ca.pem, ca.key, root.pem.
fn established() -> World {
    let world = World::new();
    drop(world.create("[new_ca]\nvalidity = '1000d'"));
    world
}

/// The one error: its key and message. `open` says the same.
fn refusal(world: &World, more: &str) -> (String, String) {
    let notes = OpensslLocal::validate_config(&config(more), &world.host());
    let errors: Vec<_> = notes
        .into_iter()
        .filter(|note| note.severity == Severity::Error)
        .collect();
    let fault = world
        .open(more)
        .err()
        .unwrap_or_else(|| panic!("{more:?} opens: {errors:?}"));
    assert_eq!(errors.len(), 1, "{more:?}: {errors:?}");
    assert_eq!(fault.class, FaultClass::Misconfigured);
    assert!(
        fault.public.starts_with(&format!("{}: ", errors[0].key)),
        "{fault}"
    );
    let folder = world.folder.path().to_str().unwrap();
    assert!(
        !fault.public.contains(folder),
        "the public half names a path: {fault}"
    );
    (errors[0].key.clone(), errors[0].message.clone())
}

#[test]
fn a_good_configuration_has_no_findings() {
    let world = established();
    let more = "chain = ['root.pem']\nallowed_names = ['*.a.example']\n[profiles.x]\n";
    assert_eq!(
        OpensslLocal::validate_config(&config(more), &world.host()),
        []
    );
    leaf(&world.open(more).unwrap(), &request("e1", &["b.a.example"]));
}

#[test]
fn words_that_mean_nothing_are_refused() {
    let world = established();
    for (more, key, part) in [
        (
            "[profiles.x]\nkey_usage = ['signature']",
            "profiles.x.key_usage",
            "digitalSignature",
        ),
        (
            "[profiles.x]\nkey_usage = ['keyCertSign']",
            "profiles.x.key_usage",
            "end entity",
        ),
        (
            "[profiles.x]\nkey_usage = []",
            "profiles.x.key_usage",
            "at least one",
        ),
        (
            "[profiles.x]\nextended_key_usage = ['tls']",
            "profiles.x.extended_key_usage",
            "serverAuth",
        ),
        (
            "[profiles.x]\nextended_key_usage = ['1.2.x']",
            "profiles.x.extended_key_usage",
            "OID",
        ),
        (
            "[profiles.x]\npolicies = ['9.9.9']",
            "profiles.x.policies",
            "OID",
        ),
        (
            "[profiles.x]\nvalidity = '0s'",
            "profiles.x.validity",
            "longer",
        ),
        (
            "[profiles.x]\ncrl_distribution_points = ['https://x.example/']",
            "profiles.x.crl_distribution_points",
            "http://",
        ),
        (
            "[profiles.x]\nca_issuers = ['http://']",
            "profiles.x.ca_issuers",
            "http://",
        ),
        (
            "[profiles.x]\nocsp = ['http://ä.example']",
            "profiles.x.ocsp",
            "http://",
        ),
        ("default_profile = 'y'", "default_profile", "[profiles.y]"),
        ("validity = '0s'", "validity", "longer"),
        ("validity = '99999d'", "validity", "100 years"),
        ("crl_validity = '0s'", "crl_validity", "longer"),
        ("backdate = '91d'", "backdate", "validity"),
        (
            "allowed_names = ['a*.example']",
            "allowed_names[0]",
            "*.a.example",
        ),
        (
            "denied_names = ['a.example', '']",
            "denied_names[1]",
            "*.a.example",
        ),
        (
            "create = true\n[new_ca]\ncommon_name = ''",
            "new_ca.common_name",
            "1 to 64",
        ),
        (
            "create = true\n[new_ca]\ncommon_name = 'certdock root CA'",
            "new_ca.common_name",
            "differ",
        ),
        (
            "create = true\n[new_ca]\nroot_key = 'ca.key'",
            "new_ca",
            "different",
        ),
        ("create = true\nchain = ['a', 'b']", "chain", "once"),
        (
            "create = true\n[new_ca]\nroot_validity = '1d'",
            "new_ca.root_validity",
            "shorter",
        ),
    ] {
        let notes = OpensslLocal::validate_config(&config(more), &world.host());
        let fault = world
            .open(more)
            .err()
            .unwrap_or_else(|| panic!("{more} opens"));
        assert_eq!(fault.class, FaultClass::Misconfigured);
        let note = notes.iter().find(|note| note.key == key);
        let note = note.unwrap_or_else(|| panic!("{more}: {notes:?}"));
        assert!(note.message.contains(part), "{more}: {}", note.message);
        assert_eq!(note.severity, Severity::Error);
    }
}

#[test]
fn files_that_are_missing_or_garbage_are_named() {
    let world = established();
    let rewritten = [
        ("ca.pem", "ca_certificate"),
        ("ca.key", "ca_key"),
        ("root.pem", "chain"),
    ];
    for (file, key) in rewritten {
        let good = std::fs::read(world.path(file)).unwrap();
        std::fs::remove_file(world.path(file)).unwrap();
        let (found, message) = refusal(&world, "chain = ['root.pem']");
        assert_eq!(found, key);
        assert!(message.contains("check its path"), "{message}");
        assert!(message.contains(file), "{message}");
        for garbage in [&b""[..], b"garbage", &good[..good.len() / 2]] {
            world.write(file, garbage);
            assert_eq!(refusal(&world, "chain = ['root.pem']").0, key);
        }
        world.write(file, good);
    }
    world.open("chain = ['root.pem']").unwrap();
}

#[test]
fn keys_open_with_the_right_passphrase_only() {
    let world = established();
    world.write("pass", "geheim\n");
    world.secret("PASS", "geheim");
    world.secret("WRONG", "falsch");
    world.secret("NUL", "ge\0heim");
    world.secret("LONG", &"x".repeat(5000));
    let plain = std::fs::read(world.path("ca.key")).unwrap();
    world.openssl(&[
        "pkcs8",
        "-topk8",
        "-in",
        "ca.key",
        "-out",
        "pkcs8",
        "-v2",
        "aes256",
        "-passout",
        "pass:geheim",
    ]);
    world.openssl(&[
        "ec",
        "-in",
        "ca.key",
        "-out",
        "sec1",
        "-aes256",
        "-passout",
        "pass:geheim",
    ]);
    for file in ["pkcs8", "sec1"] {
        world.write("ca.key", std::fs::read(world.path(file)).unwrap());
        world.open("ca_key_passphrase = { env = 'PASS' }").unwrap();
        for wrong in ["WRONG", "NUL", "LONG"] {
            let (key, message) = refusal(
                &world,
                &format!("ca_key_passphrase = {{ env = '{wrong}' }}"),
            );
            assert_eq!(key, "ca_key");
            assert!(message.contains("correct ca_key_passphrase"), "{message}");
        }
        let (key, message) = refusal(&world, "");
        assert_eq!(key, "ca_key");
        assert!(message.contains("encrypted"), "{message}");
        assert_eq!(
            refusal(&world, "ca_key_passphrase = { env = 'NONE' }").0,
            "ca_key_passphrase"
        );
    }
    // A passphrase that is not needed does no harm.
    world.write("ca.key", plain);
    world.open("ca_key_passphrase = { env = 'PASS' }").unwrap();
    assert!(!world.logs().contains("geheim"));
}

#[test]
fn key_and_certificate_must_match_and_be_fit() {
    let world = established();
    let good = std::fs::read(world.path("ca.key")).unwrap();
    for (kind, part) in [
        ("ec-p256", "does not belong"),
        ("rsa-2048", "does not belong"),
    ] {
        world.write("ca.key", key(kind).private_key_to_pem_pkcs8().unwrap());
        let (found, message) = refusal(&world, "");
        assert_eq!(found, "ca_key");
        assert!(message.contains(part), "{message}");
    }
    world.write("ca.key", good);

    // An end entity's certificate, and CAs that lack a right.
    for (extensions, part) in [
        ("basicConstraints=critical,CA:FALSE", "basicConstraints"),
        ("subjectKeyIdentifier=hash", "basicConstraints"),
        (
            "basicConstraints=critical,CA:TRUE\nkeyUsage=cRLSign",
            "keyCertSign",
        ),
        (
            "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign",
            "cRLSign",
        ),
    ] {
        world.write("ext", extensions);
        world.openssl(&[
            "req", "-new", "-key", "ca.key", "-subj", "/CN=x", "-out", "ca.csr",
        ]);
        world.openssl(&[
            "x509",
            "-req",
            "-in",
            "ca.csr",
            "-CA",
            "root.pem",
            "-CAkey",
            "root.key",
            "-CAcreateserial",
            "-extfile",
            "ext",
            "-days",
            "9000",
            "-out",
            "ca.pem",
        ]);
        let (found, message) = refusal(&world, "");
        assert_eq!(found, "ca_certificate");
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_ca_must_be_in_its_validity() {
    let world = established();
    world.advance(950 * DAY);
    let notes = OpensslLocal::validate_config(&config(""), &world.host());
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert_eq!(
        (notes[0].key.as_str(), notes[0].severity),
        ("ca_certificate", Severity::Warning)
    );
    world.open("").unwrap();
    assert!(
        world
            .logs()
            .contains("level: Warn, message: \"ca_certificate: "),
        "{}",
        world.logs()
    );
    world.advance(50 * DAY);
    let (key, message) = refusal(&world, "");
    assert_eq!(key, "ca_certificate");
    assert!(message.contains("expired"), "{message}");
}

#[test]
fn a_key_for_everybody_is_warned_of() {
    let world = established();
    for (mode, expected) in [(0o600, 0), (0o640, 0), (0o644, 1)] {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(world.path("ca.key"), permissions).unwrap();
        let notes = OpensslLocal::validate_config(&config(""), &world.host());
        assert_eq!(notes.len(), expected, "{mode:o}: {notes:?}");
        assert!(notes.iter().all(|note| note.severity == Severity::Warning));
    }
}

#[test]
fn validation_changes_nothing() {
    let world = World::new();
    assert_eq!(
        OpensslLocal::validate_config(&config("create = true"), &world.host()),
        []
    );
    assert_eq!(std::fs::read_dir(world.folder.path()).unwrap().count(), 0);
    assert_eq!(refusal_keys(&world), ["ca_key", "ca_certificate"]);
}

/// Without `create`, both files are missing, and both are reported at once.
fn refusal_keys(world: &World) -> Vec<String> {
    let notes = OpensslLocal::validate_config(&config(""), &world.host());
    notes.into_iter().map(|note| note.key).collect()
}
