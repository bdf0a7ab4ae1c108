//! The first start with `create = true`, and those after it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Barrier;

use certdock_openssl_local::OpensslLocal;
use certdock_plugin_api::CaHandler;

use crate::support::{World, config, leaf, request};

fn files(world: &World) -> BTreeMap<String, Vec<u8>> {
    let folder = fs::read_dir(world.folder.path()).unwrap();
    folder
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read(&path).unwrap())
        })
        .collect()
}

#[test]
fn the_first_start_makes_a_ca_and_the_second_finds_it() {
    let world = World::new();
    drop(world.create("[new_ca]\norganization = 'Org'"));
    let made = files(&world);
    assert_eq!(
        made.keys().collect::<Vec<_>>(),
        ["ca.key", "ca.pem", "root.key", "root.pem"]
    );
    for (file, mode) in [("ca.key", 0o600), ("root.key", 0o600)] {
        let permissions = fs::metadata(world.path(file)).unwrap().permissions();
        assert_eq!(permissions.mode() & 0o777, mode, "{file}");
    }
    let text = world.openssl(&["x509", "-in", "ca.pem", "-noout", "-text"]);
    for part in [
        "Issuer: O = Org, CN = certdock root CA",
        "Subject: O = Org, CN = certdock issuing CA",
        "CA:TRUE, pathlen:0",
        "Certificate Sign, CRL Sign",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    drop(world.create("[new_ca]\norganization = 'Another'"));
    assert_eq!(files(&world), made);
}

#[test]
fn places_and_kinds_are_as_configured() {
    for kind in ["ec-p256", "ec-p384", "ec-p521", "ed25519", "rsa-2048"] {
        let world = World::new();
        let ca = world.create(&format!(
            "chain = ['deep/er/top.pem']\n[new_ca]\nkey_type = '{kind}'\nroot_key = 'top.key'"
        ));
        assert!(world.path("deep/er/top.pem").exists() && world.path("top.key").exists());
        assert!(!world.path("root.pem").exists() && !world.path("root.key").exists());
        assert_eq!(ca.ca_certs_get().unwrap().certificates.len(), 2);
    }
}

#[test]
fn made_keys_are_encrypted_with_the_passphrase() {
    let world = World::new();
    world.secret("PASS", "geheim");
    let secret = "ca_key_passphrase = { env = 'PASS' }\n";
    drop(world.create(secret));
    for file in ["ca.key", "root.key"] {
        let pem = fs::read_to_string(world.path(file)).unwrap();
        assert!(
            pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"),
            "{file}"
        );
    }
    world.create(secret);
    assert!(world.open("create = true").is_err());
}

#[test]
fn an_interrupted_start_is_completed() {
    let world = World::new();
    drop(world.create(""));
    let made = files(&world);
    // The order in which files appear; each time the last ones are missing.
    let order = ["root.key", "root.pem", "ca.key", "ca.pem"];
    for kept in 0..order.len() {
        for (index, file) in order.iter().enumerate() {
            world.write(file, &made[*file]);
            if index >= kept {
                fs::remove_file(world.path(file)).unwrap();
            }
        }
        let ca = world.create("");
        let completed = files(&world);
        for file in &order[..kept] {
            assert_eq!(completed[*file], made[*file], "{file} was overwritten");
        }
        world.verify(&leaf(&ca, &request("e1", &["a.example"])), &[]);
    }
}

#[test]
fn what_is_there_is_never_overwritten() {
    for (file, content) in [
        ("root.key", "mine"),
        ("ca.key", "mine"),
        ("root.pem", "mine"),
    ] {
        let world = World::new();
        world.write(file, content);
        let fault = world.open("create = true").err().unwrap();
        assert_eq!(
            fs::read_to_string(world.path(file)).unwrap(),
            content,
            "{fault}"
        );
        assert!(!world.path("ca.pem").exists());
    }
    // A certificate without its key: nothing is made, the key is asked for.
    let world = World::new();
    drop(world.create(""));
    fs::remove_file(world.path("ca.key")).unwrap();
    let fault = world.open("create = true").err().unwrap();
    assert!(fault.public.starts_with("ca_key: "), "{fault}");
    assert!(!world.path("ca.key").exists());
}

#[test]
fn hosts_that_start_at_once_share_one_ca() {
    for _ in 0..10 {
        let world = World::new();
        let hosts = 4;
        let barrier = Barrier::new(hosts);
        let opened: Vec<OpensslLocal> = std::thread::scope(|scope| {
            let start = || {
                barrier.wait();
                OpensslLocal::open(config("create = true"), world.host()).unwrap()
            };
            let running: Vec<_> = (0..hosts).map(|_| scope.spawn(start)).collect();
            running
                .into_iter()
                .map(|host| host.join().unwrap())
                .collect()
        });
        let certificates = opened[0].ca_certs_get().unwrap();
        assert!(
            opened
                .iter()
                .all(|host| host.ca_certs_get().unwrap() == certificates)
        );
        assert_eq!(files(&world).len(), 4, "drafts stay behind");
        let asked = request("e1", &["a.example"]);
        for host in &opened {
            world.verify(&leaf(host, &asked), &[]);
        }
    }
}

#[test]
fn a_folder_that_can_not_be_made_is_named() {
    let world = World::new();
    world.write("file", "");
    let config = toml::from_str("create = true\nca_certificate = 'file/ca.pem'\nca_key = 'ca.key'");
    let fault = OpensslLocal::open(config.unwrap(), world.host())
        .err()
        .unwrap();
    assert!(
        fault.public.starts_with("new_ca.root_certificate: "),
        "{fault}"
    );
    assert!(
        !fault.public.contains(world.folder.path().to_str().unwrap()),
        "{fault}"
    );
}
