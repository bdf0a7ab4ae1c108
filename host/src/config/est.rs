//! `[est.NAME]`

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::est_template;
use super::mistake::suggest;
use super::read::{Handlers, existing_file, known_handler};
use super::section::Section;
use super::value::OneOrMore;
use super::{ChannelBinding, ClientAuth, CsrAttribute, EstLabel, RegistrationAuthority};
use crate::est::Operation;
use crate::ids::{EndpointName, HandlerName};
use crate::x509::NamePattern;

pub(super) fn est(root: &mut Section<'_>, handlers: &Handlers) -> BTreeMap<EndpointName, EstLabel> {
    let mut labels = BTreeMap::new();
    for (name, section) in root.named("est") {
        if Operation::ALL
            .iter()
            .any(|operation| operation.as_str() == name)
        {
            section
                .wrong_here("this is the name of an EST operation; choose another for the label");
            continue;
        }
        match name.parse() {
            Ok(name) => {
                if let Some(label) = label(section, handlers) {
                    labels.insert(name, label);
                }
            }
            Err(wrong) => section.wrong_here(wrong),
        }
    }
    labels
}

fn label(mut section: Section<'_>, handlers: &Handlers) -> Option<EstLabel> {
    let handler = section.required("handler", "name one of [handlers.NAME]");
    if let Some(handler) = &handler {
        known_handler(&section, "handler", handler, handlers);
    }
    let profile = section.get("profile");
    let auth = auth(&mut section);
    let client_ca = files(&mut section, "client_ca");
    let client_ca_handlers = section
        .get::<OneOrMore<HandlerName>>("client_ca_handler")
        .map_or_else(Vec::new, |handlers| handlers.0);
    for handler in &client_ca_handlers {
        known_handler(&section, "client_ca_handler", handler, handlers);
    }
    let client_crl = files(&mut section, "client_crl");
    if !client_crl.is_empty() && client_ca.is_empty() {
        section.wrong(
            "client_crl",
            "these lists are those of the CAs in client_ca; name those CAs' certificates there, and leave \
             the lists of our own handlers to them",
        );
    }
    let certificate_names = section.get_or("certificate_names", client_ca.is_empty());
    let names_for_all = names(&mut section, "names");
    let denied_names = names(&mut section, "denied_names");
    let wildcards = section.get_or("wildcards", true);
    let max_names = section.number("max_names", 100, 1..=1000);
    let renewal_window = section.get::<Duration>("renewal_window");
    let change_subject = section.get_or("change_subject", false);
    let channel_binding = channel_binding(&mut section);
    let csrattrs = section.get_or("csrattrs", Vec::new());
    let template = if section.has("template") {
        est_template::read(section.section("template"))
    } else {
        None
    };
    let ra = registration_authority(&mut section);
    if auth == ClientAuth::Basic {
        for key in [
            "client_ca",
            "client_ca_handler",
            "certificate_names",
            "renewal_window",
        ] {
            if section.has(key) {
                section.wrong(
                    key,
                    "nobody shows a certificate here; add \"client-certificate\" to auth, or remove this",
                );
            }
        }
    }
    section.finish();
    let handler = handler?;
    Some(EstLabel {
        client_ca_handlers: if client_ca.is_empty() && client_ca_handlers.is_empty() {
            vec![handler.clone()]
        } else {
            client_ca_handlers
        },
        handler,
        profile,
        auth,
        client_ca,
        client_crl,
        certificate_names,
        names: names_for_all,
        denied_names,
        wildcards,
        max_names,
        renewal_window,
        change_subject,
        channel_binding,
        csrattrs,
        template,
        ra,
    })
}

/// One way, or a list of ways each of which will do.
fn auth(section: &mut Section<'_>) -> ClientAuth {
    const WAYS: [&str; 4] = ["basic", "client-certificate", "both", "either"];
    let Some(OneOrMore(ways)) = section.get::<OneOrMore<String>>("auth") else {
        return ClientAuth::Either;
    };
    let mut wanted = BTreeSet::new();
    for way in &ways {
        // What EST's own texts call it for short.
        let known = if way == "certificate" {
            "client-certificate"
        } else {
            way
        };
        if !WAYS.contains(&known) {
            let hint = suggest(way, WAYS);
            section.wrong("auth", format!("'{way}' is not known here{hint}"));
            return ClientAuth::Both;
        }
        wanted.insert(known);
    }
    match wanted.into_iter().collect::<Vec<_>>()[..] {
        ["basic"] => ClientAuth::Basic,
        ["client-certificate"] => ClientAuth::Certificate,
        ["both"] => ClientAuth::Both,
        ["either"] | ["basic", "client-certificate"] => ClientAuth::Either,
        _ => {
            section.wrong(
                "auth",
                "these contradict each other; write \"both\" for a password and a certificate together, \
                 [\"basic\", \"client-certificate\"] if either will do",
            );
            ClientAuth::Both
        }
    }
}

fn channel_binding(section: &mut Section<'_>) -> ChannelBinding {
    if section.get::<String>("channel_binding").as_deref() == Some("tls-unique") {
        section.wrong(
            "channel_binding",
            "the TLS library does not give tls-unique, so it can't be checked; write \"required\", which \
             asks for tls-exporter and with it for TLS 1.3",
        );
        return ChannelBinding::Required;
    }
    section.word(
        "channel_binding",
        ChannelBinding::WhenPresent,
        &[
            ("when-present", ChannelBinding::WhenPresent),
            ("required", ChannelBinding::Required),
            ("ignored", ChannelBinding::Ignored),
        ],
    )
}

fn registration_authority(section: &mut Section<'_>) -> Option<RegistrationAuthority> {
    let certificate = section.get::<PathBuf>("ra_certificate");
    let key = section.get::<PathBuf>("ra_key");
    for (name, path) in [("ra_certificate", &certificate), ("ra_key", &key)] {
        if let Some(path) = path {
            existing_file(section, name, path);
        }
    }
    match (section.has("ra_certificate"), section.has("ra_key")) {
        (true, false) => section.wrong(
            "ra_certificate",
            "the certificate has no key; add ra_key = \"FILE\"",
        ),
        (false, true) => section.wrong(
            "ra_key",
            "the key has no certificate; add ra_certificate = \"FILE\"",
        ),
        _ => {}
    }
    Some(RegistrationAuthority {
        certificate: certificate?,
        key: key?,
    })
}

/// Names and patterns of names.
fn names(section: &mut Section<'_>, name: &'static str) -> Vec<NamePattern> {
    let mut patterns = Vec::new();
    for text in section.get_or(name, Vec::<String>::new()) {
        match text.parse() {
            Ok(pattern) => patterns.push(pattern),
            Err(wrong) => section.wrong(
                name,
                format!(
                    "'{text}': {wrong}; write \"example.com\" for that name, \"*.example.com\" for those \
                     below it, \"ip:10.0.0.0/8\", or \"common-name:pump-*\""
                ),
            ),
        }
    }
    patterns
}

/// One file, or a list of them, all of which are there.
fn files(section: &mut Section<'_>, name: &'static str) -> Vec<PathBuf> {
    let Some(OneOrMore(files)) = section.get::<OneOrMore<PathBuf>>(name) else {
        return Vec::new();
    };
    for file in &files {
        existing_file(section, name, file);
    }
    files
}

/// What stands for an attribute's type or value in `csrattrs`, beside OIDs themselves.
const OIDS: [(&str, &str); 14] = [
    ("challengePassword", "1.2.840.113549.1.9.7"),
    ("rsaEncryption", "1.2.840.113549.1.1.1"),
    ("ecPublicKey", "1.2.840.10045.2.1"),
    ("prime256v1", "1.2.840.10045.3.1.7"),
    ("secp384r1", "1.3.132.0.34"),
    ("secp521r1", "1.3.132.0.35"),
    ("Ed25519", "1.3.101.112"),
    ("sha256", "2.16.840.1.101.3.4.2.1"),
    ("sha384", "2.16.840.1.101.3.4.2.2"),
    ("sha512", "2.16.840.1.101.3.4.2.3"),
    ("sha256WithRSAEncryption", "1.2.840.113549.1.1.11"),
    ("ecdsa-with-SHA256", "1.2.840.10045.4.3.2"),
    ("ecdsa-with-SHA384", "1.2.840.10045.4.3.3"),
    ("ecdsa-with-SHA512", "1.2.840.10045.4.3.4"),
];

impl CsrAttribute {
    /// The OID in dotted form that `text` is or stands for.
    ///
    /// # Errors
    /// One sentence that says what to write.
    pub(super) fn oid(text: &str) -> Result<String, String> {
        if let Some((_, oid)) = OIDS.iter().find(|(name, _)| *name == text) {
            return Ok((*oid).to_owned());
        }
        let arcs: Option<Vec<u64>> = text
            .split('.')
            .map(|arc| match arc.as_bytes() {
                [b'0'] | [b'1'..=b'9', ..] if arc.bytes().all(|b| b.is_ascii_digit()) => {
                    arc.parse().ok()
                }
                _ => None,
            })
            .collect();
        match arcs.as_deref() {
            // ITU-T X.660: below 0 and 1 there are forty each.
            Some([0..=1, 0..=39, ..]) => Ok(text.to_owned()),
            Some([2, second, ..]) if *second <= u64::from(u32::MAX) => Ok(text.to_owned()),
            _ => {
                let hint = suggest(text, OIDS.iter().map(|(name, _)| *name));
                Err(format!("'{text}' is no OID, nor a name of one{hint}"))
            }
        }
    }
}
