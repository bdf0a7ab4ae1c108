//! What OpenSSL makes of our messages.

use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::pkcs7::Pkcs7;
use openssl::pkey::PKey;
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
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
    let read = Pkcs7::from_der(&message).unwrap();
    let found = read.signed().unwrap().certificates().unwrap();
    let found: Vec<_> = found.iter().map(|one| one.to_der().unwrap()).collect();
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
        let mut read = CmsContentInfo::from_der(&message).unwrap();
        let certificate = X509::from_der(&own).unwrap();
        let mut store = X509StoreBuilder::new().unwrap();
        store.add_cert(certificate).unwrap();
        let mut out = Vec::new();
        read.verify(
            None,
            Some(&store.build()),
            None,
            Some(&mut out),
            CMSOptions::NO_SIGNER_CERT_VERIFY,
        )
        .unwrap_or_else(|error| panic!("{:?}: {error}", key.algorithm()));
        assert_eq!(out, b"what is signed");
        let mut changed = message.clone();
        let place = changed
            .windows(4)
            .position(|bytes| bytes == b"what")
            .unwrap();
        changed[place] = b'W';
        let mut read = CmsContentInfo::from_der(&changed).unwrap();
        assert!(
            read.verify(None, None, None, None, CMSOptions::NO_SIGNER_CERT_VERIFY)
                .is_err()
        );
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
        let read = CmsContentInfo::from_der(&message).unwrap();
        let private = PKey::private_key_from_der(&key.serialize_der()).unwrap();
        let certificate = X509::from_der(&der).unwrap();
        assert_eq!(read.decrypt(&private, &certificate).unwrap(), secret);
        let other = PKey::ec_gen("P-256").unwrap();
        assert!(
            read.decrypt_without_cert_check(&other)
                .map_or(true, |out| out != secret)
        );
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
        let private = PKey::private_key_from_der(&key.serialize_der()).unwrap();
        let certificate = X509::from_der(&der).unwrap();
        for options in [CMSOptions::BINARY, CMSOptions::BINARY | CMSOptions::NOATTR] {
            let message = CmsContentInfo::sign(
                Some(&certificate),
                Some(&private),
                None,
                Some(b"what is signed"),
                options,
            )
            .unwrap();
            let message = message.to_der().unwrap();
            let request = SignedRequest::parse(&message, DATA).unwrap();
            assert_eq!(request.content, b"what is signed");
            assert!(request.is_signed_by(&public), "{:?}", key.algorithm());
        }
    }
}
