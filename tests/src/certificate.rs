//! Looking at certificates that were issued.

use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The certificates of a PEM text, leaf first, as DER.
pub fn ders(pem_text: &str) -> Vec<Vec<u8>> {
    let parts = pem::parse_many(pem_text).unwrap();
    assert!(
        parts.iter().all(|part| part.tag() == "CERTIFICATE"),
        "{pem_text}"
    );
    parts.into_iter().map(pem::Pem::into_contents).collect()
}

/// The DNS names of a certificate, sorted.
pub fn dns_names(der: &[u8]) -> Vec<String> {
    let (_, certificate) = X509Certificate::from_der(der).unwrap();
    let san = certificate
        .subject_alternative_name()
        .unwrap()
        .expect("a SAN");
    let mut names: Vec<_> = san
        .value
        .general_names
        .iter()
        .map(|name| match name {
            GeneralName::DNSName(name) => (*name).to_owned(),
            other => panic!("not a DNS name: {other}"),
        })
        .collect();
    names.sort();
    names
}

/// Checks that a chain is one (each signed by the next) and that the leaf is for these names.
pub fn check_chain(pem_text: &str, names: &[&str]) {
    let ders = ders(pem_text);
    assert!(
        ders.len() >= 2,
        "a leaf and its issuer at least:\n{pem_text}"
    );
    let mut expected: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    expected.sort();
    assert_eq!(dns_names(&ders[0]), expected);
    let parsed: Vec<_> = ders
        .iter()
        .map(|der| X509Certificate::from_der(der).unwrap().1)
        .collect();
    for pair in parsed.windows(2) {
        assert_eq!(pair[0].issuer(), pair[1].subject());
        pair[0]
            .verify_signature(Some(pair[1].public_key()))
            .unwrap();
    }
    assert!(parsed[0].validity().is_valid());
    assert!(!parsed[0].is_ca());
}
