//! Every kind of certificate and CRL that the CA makes, before pkilint's judgement.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use certdock_openssl_local::OpensslLocal;
use certdock_plugin_api::{CaHandler, RevocationReason, RevokeRequest};

use crate::support::{DAY, NOW, World, at, csr, key, leaf, request_for};

const CA_KEYS: [&str; 6] = [
    "rsa-2048", "rsa-3072", "ec-p256", "ec-p384", "ec-p521", "ed25519",
];
const SUBJECT_KEYS: [&str; 7] = [
    "rsa-2048", "rsa-3072", "rsa-4096", "ec-p256", "ec-p384", "ec-p521", "ed25519",
];

const PROFILES: &str = "
[profiles.full]
key_usage = ['digitalSignature', 'nonRepudiation', 'keyEncipherment', 'dataEncipherment', 'keyAgreement']
extended_key_usage = ['serverAuth', 'clientAuth', '1.3.6.1.4.1.99999.1']
validity = '30d'
crl_distribution_points = ['http://crl.example.com/a.crl', 'http://crl.example.org/a.crl']
ca_issuers = ['http://ca.example.com/ca.cer']
ocsp = ['http://ocsp.example.com']
policies = ['2.23.140.1.2.1', '1.3.6.1.4.1.99999.2']
[profiles.client]
extended_key_usage = ['clientAuth']
[profiles.bare]
extended_key_usage = []
[new_ca]
organization = 'Prüfstelle'
";

#[test]
fn pkilint_finds_nothing_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let subjects = SUBJECT_KEYS.map(|kind| (kind, key(kind)));
    for ca_kind in CA_KEYS {
        let world = World::new();
        let ca = world.create(&format!("{PROFILES}key_type = '{ca_kind}'\n"));
        let save = |name: &str, der: &[u8]| {
            fs::write(folder.path().join(format!("{ca_kind}_{name}")), der).unwrap();
        };
        for (kind, key) in &subjects {
            for profile in ["default", "full", "client", "bare"] {
                let mut request =
                    request_for(&format!("{kind}{profile}"), &csr(key, None), &["a.example"]);
                request.profile = Some(profile.into());
                let certificate = leaf(&ca, &request);
                world.verify(&certificate, &[]);
                save(&format!("{kind}_{profile}.crt"), &certificate);
            }
        }
        for (shape, certificate) in shapes(&ca) {
            world.verify(&certificate, &[]);
            save(&format!("{shape}.crt"), &certificate);
        }
        for file in ["root.pem", "ca.pem"] {
            save(&format!("{file}.crt"), &fs::read(world.path(file)).unwrap());
        }
        save("empty.crl", &ca.crl().unwrap().der);
        revoke_some(&ca);
        save("full.crl", &ca.crl().unwrap().der);
    }
    let files = fs::read_dir(folder.path()).unwrap().count();
    // 28 of key and profile, the shapes, two CAs and two lists, for each kind of CA key.
    assert_eq!(files, CA_KEYS.len() * (28 + 8 + 4));
    lint(folder.path(), files);
}

/// Names and times of all shapes.
fn shapes(ca: &OpensslLocal) -> Vec<(&'static str, Vec<u8>)> {
    let long = format!("{0}.{0}.example", "a".repeat(40));
    let many: Vec<String> = (0..100).map(|n| format!("n{n}.example")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let csr = csr(&key("ec-p256"), Some("b.example"));
    let shape = |name: &'static str, names: &[&str]| (name, request_for(name, &csr, names));
    let mut requests = vec![
        shape("long", &[&long]),
        shape("wildcard", &["*.a.example", "a.example"]),
        shape("v4", &["192.0.2.1"]),
        shape("v6", &["2001:db8::1", "a.example"]),
        shape("many", &many),
        shape("common-name", &["a.example", "b.example"]),
        shape("idn", &["xn--bcher-kva.example"]),
    ];
    let (_, mut timed) = shape("timed", &["a.example"]);
    timed.not_before = Some(at(NOW + DAY));
    timed.not_after = Some(at(NOW + 3 * DAY));
    requests.push(("timed", timed));
    requests
        .into_iter()
        .map(|(name, request)| (name, leaf(ca, &request)))
        .collect()
}

fn revoke_some(ca: &OpensslLocal) {
    let csr = csr(&key("ec-p256"), None);
    for code in 0..=10 {
        let reason = RevocationReason::from_code(code);
        let Some(reason) = reason.filter(|reason| *reason != RevocationReason::RemoveFromCrl)
        else {
            continue;
        };
        let certificate = leaf(ca, &request_for(&format!("r{code}"), &csr, &["r.example"]));
        let mut request = RevokeRequest::new(certificate, reason);
        request.revoked_at = at(NOW);
        ca.revoke(&request).unwrap();
    }
}

/// Runs pkilint's own commands over all files in one Python process: each start takes seconds.
fn lint(folder: &Path, files: usize) {
    let python = tools().join("bin/python");
    let output = Command::new(&python)
        .args(["-c", DRIVER])
        .arg(folder)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "pkilint failed: {text}{errors}");
    assert!(
        text.trim_end().ends_with(&format!("{files} files, 0 bad")),
        "{text}{errors}"
    );
    let wildcards = text
        .matches("pkix.invalid_domain_name_syntax (ERROR): ")
        .count();
    assert_eq!(wildcards, CA_KEYS.len(), "{text}");
}

fn tools() -> PathBuf {
    let folder = std::env::var_os("CERTDOCK_TEST_TOOLS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/venv"),
        PathBuf::from,
    );
    assert!(
        folder.join("bin/lint_pkix_cert").exists() && folder.join("bin/lint_crl").exists(),
        "pkilint is not installed in {}: run `cargo xtask test`, or make the folder by hand with \
         `python3 -m venv {0} && {0}/bin/pip install pkilint`, or name another one in \
         CERTDOCK_TEST_TOOLS",
        folder.display()
    );
    folder
}

const DRIVER: &str = "
import pathlib, sys
from pkilint.bin import lint_crl, lint_pkix_cert

# RFC 5280 §4.2.1.6 knows no wildcards, so pkilint calls each one bad syntax; RFC 9525 and every
# TLS client know them. That finding, once for the one name, is all that a wildcard may cause.
WILDCARDS = 1

files = sorted(pathlib.Path(sys.argv[1]).iterdir())
bad = 0
for file in files:
    if file.suffix == '.crl':
        tool, options = lint_crl, ['--type', 'CRL', '--profile', 'PKIX']
    else:
        tool, options = lint_pkix_cert, []
    allowed = WILDCARDS if file.name.endswith('_wildcard.crt') else 0
    if tool.main(['lint', '--severity', 'WARNING', *options, str(file)]) != allowed:
        bad += 1
        print('^', file.name)
print(len(files), 'files,', bad, 'bad')
";
