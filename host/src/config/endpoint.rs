//! `[acme.NAME]`

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::read::{Handlers, known_handler};
use super::section::Section;
use super::{AcmeEndpoint, EabPolicy, RevocationPolicy};
use crate::ids::EndpointName;
use crate::order::{ChallengeType, DnsName, Identifier};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const LONGEST_FINALIZE_WAIT: Duration = Duration::from_secs(30);

pub(super) fn acme(
    root: &mut Section<'_>,
    handlers: &Handlers,
) -> BTreeMap<EndpointName, AcmeEndpoint> {
    let mut endpoints = BTreeMap::new();
    for (name, section) in root.named("acme") {
        match name.parse() {
            Ok(name) => {
                if let Some(endpoint) = endpoint(section, handlers) {
                    endpoints.insert(name, endpoint);
                }
            }
            Err(wrong) => section.wrong_here(wrong),
        }
    }
    endpoints
}

fn endpoint(mut section: Section<'_>, handlers: &Handlers) -> Option<AcmeEndpoint> {
    let handler = section.required("handler", "name one of [handlers.NAME]");
    if let Some(handler) = &handler {
        known_handler(&section, "handler", handler, handlers);
    }
    let profile = section.get("profile");
    let challenges = challenges(&mut section);
    let eab = section.word(
        "eab",
        EabPolicy::Off,
        &[
            ("off", EabPolicy::Off),
            ("optional", EabPolicy::Optional),
            ("required", EabPolicy::Required),
        ],
    );
    let terms_of_service = url(&mut section, "terms_of_service");
    let website = url(&mut section, "website");
    let caa_identities: Vec<DnsName> = section.get_or("caa_identities", Vec::new());
    let order_lifetime = section.get_or("order_lifetime", 7 * DAY);
    let authorization_lifetime = section.get_or("authorization_lifetime", 30 * DAY);
    let max_identifiers = section.number("max_identifiers", 100, 1..=1000);
    let wildcards = section.get_or("wildcards", true);
    let allowed_names = names(&mut section, "allowed_names");
    let denied_names = names(&mut section, "denied_names");
    let max_validity = section.get_or("max_validity", 90 * DAY);
    let finalize_wait = section.get_or("finalize_wait", Duration::from_secs(2));
    if finalize_wait > LONGEST_FINALIZE_WAIT {
        section.wrong(
            "finalize_wait",
            "clients and proxies give up on an answer that takes so long; write at most \"30s\"",
        );
    }
    let revocation = section.word(
        "revocation",
        RevocationPolicy::AtOnce,
        &[
            ("at-once", RevocationPolicy::AtOnce),
            ("queued", RevocationPolicy::Queued),
        ],
    );
    section.finish();
    Some(AcmeEndpoint {
        handler: handler?,
        profile,
        challenges,
        eab,
        terms_of_service,
        website,
        caa_identities: caa_identities.iter().map(DnsName::to_string).collect(),
        order_lifetime,
        authorization_lifetime,
        max_identifiers,
        wildcards,
        allowed_names,
        denied_names,
        max_validity,
        finalize_wait,
        revocation,
    })
}

fn challenges(section: &mut Section<'_>) -> Vec<ChallengeType> {
    use ChallengeType::{Dns01, Http01, TlsAlpn01};
    let challenges = section.get_or("challenges", vec![Http01, Dns01, TlsAlpn01]);
    if challenges.is_empty() {
        section.wrong(
            "challenges",
            "without a challenge nobody can prove anything; name at least one",
        );
    }
    let distinct: BTreeSet<_> = challenges.iter().collect();
    if distinct.len() != challenges.len() {
        section.wrong("challenges", "a challenge is named twice; name each once");
    }
    challenges
}

/// A page for people: http or https.
fn url(section: &mut Section<'_>, name: &'static str) -> Option<String> {
    let text = section.get::<String>(name)?;
    let fine = text.parse::<http::Uri>().is_ok_and(|uri| {
        uri.authority().is_some() && matches!(uri.scheme_str(), Some("http" | "https"))
    });
    if fine {
        return Some(text);
    }
    let remedy = "write the whole address, \"https://example.com/page\" for example";
    section.wrong(name, format!("'{text}' is not a URL; {remedy}"));
    None
}

/// Names and wildcards, in lower case.
fn names(section: &mut Section<'_>, name: &'static str) -> Vec<String> {
    let mut names = Vec::new();
    for text in section.get_or(name, Vec::<String>::new()) {
        match text.parse::<Identifier>() {
            Ok(identifier) => names.push(identifier.to_string()),
            Err(wrong) => section.wrong(
                name,
                format!(
                    "'{text}': {wrong}; write \"example.com\" for that name, \"*.example.com\" for those below it"
                ),
            ),
        }
    }
    names
}
