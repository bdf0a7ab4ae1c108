//! What OpenSSL makes of our messages.

use std::fs;
use std::process::Command;

use rcgen::{
    CertificateParams, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    PKCS_RSA_SHA256,
};

use super::*;
use crate::est::ra::RegistrationAuthority;
use crate::x509::encode::octet_string;

fn keys() -> [KeyPair; 4] {
    [
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(),
        KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap(),
        KeyPair::generate_for(&PKCS_ED25519).unwrap(),
        KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap(),
    ]
}

/// A folder in which the `openssl` program is run, on files that are put there.
struct OpenSsl(tempfile::TempDir);

impl OpenSsl {
    fn with(files: &[(&str, &[u8])]) -> Self {
        let openssl = Self(tempfile::tempdir().unwrap());
        for (name, content) in files {
            openssl.put(name, content);
        }
        openssl
    }

    fn put(&self, name: &str, content: &[u8]) {
        fs::write(self.0.path().join(name), content).unwrap();
    }

    /// What it writes to its standard output, or what it complains of.
    fn run(&self, arguments: &str) -> Result<Vec<u8>, String> {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .output()
            .unwrap();
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }
}

fn pem(certificate: &[u8]) -> String {
    pem::encode(&pem::Pem::new("CERTIFICATE", certificate))
}

fn certificate(key: &KeyPair) -> Vec<u8> {
    let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
    // Not a CA's, but with a subject key identifier.
    params.is_ca = IsCa::ExplicitNoCa;
    params.self_signed(key).unwrap().der().to_vec()
}

#[test]
fn certificates_stay_as_they_are() {
    let certificates: Vec<_> = keys().iter().map(certificate).collect();
    let message = certs_only(&certificates);
    let openssl = OpenSsl::with(&[("message", &message)]);
    let found = openssl.run("pkcs7 -inform DER -in message -print_certs");
    let found = pem::parse_many(found.unwrap()).unwrap();
    let found: Vec<_> = found.into_iter().map(pem::Pem::into_contents).collect();
    assert_eq!(found, certificates);
}

#[test]
fn signatures_hold() {
    const CONTENT: &str = "1.3.6.1.5.5.7.12.3";
    let [p256, p384, _, rsa] = keys();
    // OpenSSL 3.0 can't check Ed25519 in CMS.
    for key in [p256, p384, rsa] {
        let own = certificate(&key);
        let ra = RegistrationAuthority::new(
            vec![own.clone()],
            &rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        );
        let message = ra.unwrap().sign(CONTENT, b"what is signed", &[]).unwrap();
        let openssl = OpenSsl::with(&[("message", &message), ("own", pem(&own).as_bytes())]);
        let verify = "cms -verify -binary -inform DER -in message -CAfile own -purpose any";
        let out = openssl
            .run(verify)
            .unwrap_or_else(|error| panic!("{:?}: {error}", key.algorithm()));
        assert_eq!(out, b"what is signed");
        let mut changed = message.clone();
        let place = changed
            .windows(4)
            .position(|bytes| bytes == b"what")
            .unwrap();
        changed[place] = b'W';
        openssl.put("message", &changed);
        assert!(openssl.run(verify).is_err());
    }
}

#[test]
fn the_recipient_alone_can_read() {
    let [p256, p384, ed25519, rsa] = keys();
    for key in [p256, p384, rsa] {
        let der = certificate(&key);
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).unwrap();
        let id = parsed
            .iter_extensions()
            .find_map(|extension| match extension.parsed_extension() {
                x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
                _ => None,
            })
            .unwrap();
        let recipient = Recipient::of(&der, &octet_string(id)).unwrap();
        let secret = vec![0x5a; 1_000];
        let message = recipient.envelop(&secret).unwrap();
        assert!(!message.windows(16).any(|bytes| bytes == &secret[..16]));
        let openssl = OpenSsl::with(&[
            ("message", &message),
            ("own", pem(&der).as_bytes()),
            ("key", key.serialize_pem().as_bytes()),
            (
                "other",
                KeyPair::generate().unwrap().serialize_pem().as_bytes(),
            ),
        ]);
        let decrypt = "cms -decrypt -binary -inform DER -in message";
        let read = openssl.run(&format!("{decrypt} -recip own -inkey key"));
        assert_eq!(read.unwrap(), secret);
        let read = openssl.run(&format!("{decrypt} -inkey other"));
        assert!(read.map_or(true, |out| out != secret));
        assert!(Recipient::of(&der, &octet_string(b"another")).is_none());
    }
    let der = certificate(&ed25519);
    assert!(Recipient::of(&der, &der).is_none());
}

#[test]
fn requests_are_taken_from_who_signed_them() {
    let [p256, p384, ed25519, rsa] = keys();
    for key in [p256, p384, ed25519, rsa] {
        let own = certificate(&key);
        let private = rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let signer = RegistrationAuthority::new(vec![own.clone()], &private).unwrap();
        let message = signer.sign(PKI_DATA, b"\x30\x00", &[]).unwrap();
        let public = crate::x509::public_key(&own).unwrap();
        let request = SignedRequest::parse(&message, PKI_DATA).unwrap();
        assert_eq!(request.content, b"\x30\x00");
        assert!(request.is_signed_by(&public), "{:?}", key.algorithm());
        let other = KeyPair::generate().unwrap();
        let other = rcgen::PublicKeyData::subject_public_key_info(&other);
        assert!(!request.is_signed_by(&other));
        assert!(SignedRequest::parse(&message, PKI_RESPONSE).is_none());
        for place in 0..message.len() {
            let mut changed = message.clone();
            changed[place] ^= 1;
            let Some(changed) = SignedRequest::parse(&changed, PKI_DATA) else {
                continue;
            };
            let vouched = changed.is_signed_by(&public);
            assert!(!vouched || changed.content == b"\x30\x00", "{place}");
        }
    }
}

/// What `openssl cms -sign` makes: no two libraries agree on how RSA signatures are called.
#[test]
fn messages_of_others_are_read() {
    let [p256, _, _, rsa] = keys();
    for key in [p256, rsa] {
        let der = certificate(&key);
        let public = crate::x509::public_key(&der).unwrap();
        let openssl = OpenSsl::with(&[
            ("content", b"what is signed"),
            ("own", pem(&der).as_bytes()),
            ("key", key.serialize_pem().as_bytes()),
        ]);
        for options in ["", "-noattr"] {
            let sign =
                "cms -sign -binary -nodetach -outform DER -in content -signer own -inkey key";
            let message = openssl.run(&format!("{sign} {options}")).unwrap();
            let request = SignedRequest::parse(&message, DATA).unwrap();
            assert_eq!(request.content, b"what is signed");
            assert!(request.is_signed_by(&public), "{:?}", key.algorithm());
        }
    }
}
