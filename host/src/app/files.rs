//! [`unusable_files`]: certificates and keys of the server itself, looked at before it serves.

use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::config::{Config, Mistake, Tls};
use crate::est::auth::Trust;
use crate::est::label::check_registration_authority;
use crate::server;

/// Files that `[server.tls]` and `[est.*]` name, are there, and can't be used.
pub(crate) fn unusable_files(config: &Config) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut check = |table: &str, key: &str, remedy: &str, loaded: anyhow::Result<()>| {
        if let Err(error) = loaded {
            let text = format!("{error:#}; {remedy}");
            let key = format!("{table}.{key}");
            mistakes.push(config.places.mistake(&key, text));
        }
    };
    if let Tls::Files { certificate, key } = &config.server.tls {
        let loaded = server::load(certificate, key).map(drop);
        let at_fault = at_fault(certificate, ["certificate", "key"]);
        check("server.tls", at_fault, PAIR, loaded);
    }
    for (name, label) in &config.est {
        let table = format!("est.{name}");
        let mut authorities = label.clone();
        authorities.client_crl.clear();
        match Trust::new(&authorities) {
            Err(error) => check(&table, "client_ca", AUTHORITIES, Err(error)),
            Ok(_) => check(&table, "client_crl", LISTS, Trust::new(label).map(drop)),
        }
        if let Some(files) = &label.ra {
            let at_fault = at_fault(&files.certificate, ["ra_certificate", "ra_key"]);
            check(&table, at_fault, PAIR, check_registration_authority(files));
        }
    }
    mistakes
}

const PAIR: &str = "name a certificate and its own key, both PEM, the key without a passphrase";
const AUTHORITIES: &str = "name certificates of CAs in PEM";
const LISTS: &str = "name revocation lists of the CAs in client_ca, PEM or DER";

/// Which of the keys that name a certificate and its key is to blame if the two can't be used.
fn at_fault(certificate: &Path, [of_certificate, of_key]: [&'static str; 2]) -> &'static str {
    let first = CertificateDer::pem_file_iter(certificate)
        .ok()
        .and_then(|mut found| found.next());
    match first {
        Some(Ok(_)) => of_key,
        _ => of_certificate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    #[test]
    fn files_that_can_not_be_used_are_named_with_their_key() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        for name in ["a", "b"] {
            let made = rcgen::generate_simple_self_signed(vec![format!("{name}.test")]).unwrap();
            write(&format!("{name}.pem"), &made.cert.pem());
            write(&format!("{name}.key"), &made.signing_key.serialize_pem());
        }
        write("junk", "junk");
        let right = "[server.tls]\ncertificate = 'a.pem'\nkey = 'a.key'\n[handlers.a]\nplugin = 'p'\n\
                     [est.x]\nhandler = 'a'\nclient_ca = 'a.pem'\nra_certificate = 'b.pem'\n\
                     ra_key = 'b.key'\n";
        let told = |text: &str| {
            let config = parse(&folder.path().join("certdock.toml"), text).unwrap();
            let mistakes = unusable_files(&config);
            mistakes.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(told(right), [""; 0]);
        for (from, to, line, key, word) in [
            (
                "certificate = 'a.pem'",
                "certificate = 'junk'",
                2,
                "server.tls.certificate",
                "holds no certificate",
            ),
            (
                "key = 'a.key'",
                "key = 'junk'",
                3,
                "server.tls.key",
                "holds no private key",
            ),
            (
                "key = 'a.key'",
                "key = 'b.key'",
                3,
                "server.tls.key",
                "not the certificate's",
            ),
            (
                "client_ca = 'a.pem'",
                "client_ca = 'junk'",
                8,
                "est.x.client_ca",
                "holds no certificate",
            ),
            (
                "client_ca = 'a.pem'",
                "client_ca = 'a.pem'\nclient_crl = 'junk'",
                9,
                "est.x.client_crl",
                "holds no revocation list",
            ),
            (
                "ra_certificate = 'b.pem'",
                "ra_certificate = 'junk'",
                9,
                "est.x.ra_certificate",
                "no certificate",
            ),
            (
                "ra_key = 'b.key'",
                "ra_key = 'junk'",
                10,
                "est.x.ra_key",
                "holds no private key",
            ),
            (
                "ra_key = 'b.key'",
                "ra_key = 'a.key'",
                10,
                "est.x.ra_key",
                "not the certificate's",
            ),
        ] {
            assert!(right.contains(from), "{from}");
            let told = told(&right.replacen(from, to, 1));
            let [one] = told.as_slice() else {
                panic!("{to}: {told:?}");
            };
            for part in [format!("certdock.toml:{line}: {key}: "), word.to_owned()] {
                assert!(one.contains(&part), "no {part}: {one}");
            }
        }
    }
}
