//! `[est.NAME.template]`: what a CSR should look like (RFC 9908).

use super::section::Section;

/// The template that csrattrs answers with. OIDs are in dotted form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsrTemplate {
    /// The subject's attributes; one without a value is for the client to fill in.
    pub subject: Vec<(String, Option<String>)>,
    pub key: Option<TemplateKey>,
    /// Whether the client is to fill in a subject alternative name.
    pub alternative_names: bool,
    /// RFC 5280 §4.2.1.3, bit 0 the lowest.
    pub key_usage: u16,
    pub extended_key_usage: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateKey {
    P256,
    P384,
    P521,
    Ed25519,
    /// Bits of the modulus.
    Rsa(u16),
}

const SUBJECT: [(&str, &str); 8] = [
    ("commonName", "2.5.4.3"),
    ("serialNumber", "2.5.4.5"),
    ("countryName", "2.5.4.6"),
    ("localityName", "2.5.4.7"),
    ("stateOrProvinceName", "2.5.4.8"),
    ("organizationName", "2.5.4.10"),
    ("organizationalUnitName", "2.5.4.11"),
    ("userId", "0.9.2342.19200300.100.1.1"),
];

const KEY_USAGE: [&str; 9] = [
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
];

const PURPOSES: [(&str, &str); 5] = [
    ("serverAuth", "1.3.6.1.5.5.7.3.1"),
    ("clientAuth", "1.3.6.1.5.5.7.3.2"),
    ("codeSigning", "1.3.6.1.5.5.7.3.3"),
    ("emailProtection", "1.3.6.1.5.5.7.3.4"),
    ("timeStamping", "1.3.6.1.5.5.7.3.8"),
];

/// `None` where the table is not there.
pub(super) fn read(mut section: Section<'_>) -> Option<CsrTemplate> {
    section.place()?;
    let subject = section.get_or("subject", Vec::<String>::new());
    let subject = subject
        .iter()
        .filter_map(|text| attribute(&section, text))
        .collect();
    let key = section.word(
        "key",
        None,
        &[
            ("P-256", Some(TemplateKey::P256)),
            ("P-384", Some(TemplateKey::P384)),
            ("P-521", Some(TemplateKey::P521)),
            ("Ed25519", Some(TemplateKey::Ed25519)),
            ("RSA-2048", Some(TemplateKey::Rsa(2048))),
            ("RSA-3072", Some(TemplateKey::Rsa(3072))),
            ("RSA-4096", Some(TemplateKey::Rsa(4096))),
        ],
    );
    let alternative_names = section.get_or("alternative_names", false);
    let usages = section.get_or("key_usage", Vec::<String>::new());
    let key_usage = usages.iter().fold(0, |sum, text| {
        let bit = one_of(&section, "key_usage", text, KEY_USAGE.iter().copied());
        sum | bit.map_or(0, |bit| 1 << bit)
    });
    let purposes = section.get_or("extended_key_usage", Vec::<String>::new());
    let extended_key_usage = purposes
        .iter()
        .filter_map(|text| {
            let known = PURPOSES.iter().map(|(name, _)| *name);
            let place = one_of(&section, "extended_key_usage", text, known)?;
            PURPOSES.get(place).map(|(_, oid)| (*oid).to_owned())
        })
        .collect();
    section.finish();
    Some(CsrTemplate {
        subject,
        key,
        alternative_names,
        key_usage,
        extended_key_usage,
    })
}

/// "commonName", or "organizationName=Example".
fn attribute(section: &Section<'_>, text: &str) -> Option<(String, Option<String>)> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    let known = SUBJECT.iter().map(|(known, _)| *known);
    let place = one_of(section, "subject", name, known)?;
    let (_, oid) = SUBJECT.get(place)?;
    Some(((*oid).to_owned(), value))
}

fn one_of<'a>(
    section: &Section<'_>,
    key: &'static str,
    text: &str,
    mut known: impl Iterator<Item = &'a str> + Clone,
) -> Option<usize> {
    let all = known.clone();
    let place = known.position(|known| known == text);
    if place.is_none() {
        let hint = super::mistake::suggest(text, all);
        section.wrong(key, format!("'{text}' is not known here{hint}"));
    }
    place
}
