//! [`NameRules`]: which names this CA certifies. Names are compared label by label, so that
//! `bad-example.com` is not taken for something below `example.com`.

use std::net::IpAddr;

use certdock_plugin_api::Identifier;
use ipnet::IpNet;

use crate::config::Report;

/// `allowed_names` and `denied_names`, read.
#[derive(Debug, Default)]
pub(crate) struct NameRules {
    allowed: Vec<Rule>,
    denied: Vec<Rule>,
}

#[derive(Debug, PartialEq, Eq)]
enum Rule {
    /// One name.
    Exactly(Labels),
    /// Every name below this one, at any depth.
    Below(Labels),
    Addresses(IpNet),
}

/// The labels of a name, lower case, the top-level domain first.
type Labels = Vec<String>;

impl NameRules {
    pub(crate) fn new(allowed: &[String], denied: &[String], report: &mut Report) -> Self {
        let mut read = |key: &str, rules: &[String]| {
            let mut good = Vec::new();
            for (index, text) in rules.iter().enumerate() {
                match Rule::parse(text) {
                    Some(rule) => good.push(rule),
                    None => report.error(
                        format!("{key}[{index}]"),
                        format!(
                            "{text:?} is no name rule; write \"a.example\", \"*.a.example\" (all \
                             names below), \"192.0.2.1\" or \"192.0.2.0/24\", international names \
                             as A-labels"
                        ),
                        "",
                    ),
                }
            }
            good
        };
        Self {
            allowed: read("allowed_names", allowed),
            denied: read("denied_names", denied),
        }
    }

    /// Whether every certificate use of this name is within the rules. A wildcard stands for all
    /// names one label below: all must be allowed, none may be denied.
    pub(crate) fn permit(&self, identifier: &Identifier) -> bool {
        let (all_allowed, any_denied) = match identifier {
            Identifier::Dns(name) => {
                let name = name.trim_end_matches('.');
                let (wildcard, name) = match name.strip_prefix("*.") {
                    Some(base) => (true, labels(base)),
                    None => (false, labels(name)),
                };
                (
                    self.allowed
                        .iter()
                        .any(|rule| rule.holds_all(&name, wildcard)),
                    self.denied
                        .iter()
                        .any(|rule| rule.holds_any(&name, wildcard)),
                )
            }
            Identifier::Ip(address) => (
                self.allowed.iter().any(|rule| rule.holds_address(*address)),
                self.denied.iter().any(|rule| rule.holds_address(*address)),
            ),
            _ => (false, false),
        };
        (self.allowed.is_empty() || all_allowed) && !any_denied
    }
}

impl Rule {
    fn parse(text: &str) -> Option<Self> {
        if let Ok(network) = text.parse::<IpNet>() {
            return Some(Self::Addresses(network.trunc()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Self::Addresses(address.into()));
        }
        let (below, name) = match text.strip_prefix("*.") {
            Some(base) => (true, base),
            None => (false, text),
        };
        let well_formed = name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        });
        let labels = labels(name);
        // "10.0.0" or "10.0.0.0/33" is an address that was mistyped, not a name.
        let numeric = labels
            .first()
            .is_some_and(|top| top.bytes().all(|byte| byte.is_ascii_digit()));
        if !well_formed || numeric {
            return None;
        }
        Some(if below {
            Self::Below(labels)
        } else {
            Self::Exactly(labels)
        })
    }

    /// Whether the name, or each name one label below it, is held.
    fn holds_all(&self, name: &[String], wildcard: bool) -> bool {
        match self {
            Self::Exactly(exact) => !wildcard && exact == name,
            Self::Below(base) if wildcard => name.starts_with(base),
            Self::Below(base) => name.len() > base.len() && name.starts_with(base),
            Self::Addresses(_) => false,
        }
    }

    /// Whether the name, or at least one name one label below it, is held.
    fn holds_any(&self, name: &[String], wildcard: bool) -> bool {
        match self {
            Self::Exactly(exact) if wildcard => {
                exact.len() == name.len() + 1 && exact.starts_with(name)
            }
            _ => self.holds_all(name, wildcard),
        }
    }

    fn holds_address(&self, address: IpAddr) -> bool {
        matches!(self, Self::Addresses(network) if network.contains(&address.to_canonical()))
    }
}

fn labels(name: &str) -> Labels {
    name.rsplit('.').map(str::to_ascii_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permit(allowed: &[&str], denied: &[&str], name: &str) -> bool {
        let own = |rules: &[&str]| rules.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut report = Report::default();
        let rules = NameRules::new(&own(allowed), &own(denied), &mut report);
        assert!(report.fault().is_none(), "{allowed:?} {denied:?}");
        rules.permit(&match name.parse() {
            Ok(address) => Identifier::Ip(address),
            Err(_) => Identifier::Dns(name.into()),
        })
    }

    #[test]
    fn allowed_names_hold_label_by_label() {
        for (rule, name, expected) in [
            ("a.example", "a.example", true),
            ("a.example", "A.Example", true),
            ("A.EXAMPLE", "a.example", true),
            ("a.example", "b.a.example", false),
            ("a.example", "*.a.example", false),
            ("a.example", "ba.example", false),
            ("a.example", "a.example.org", false),
            ("*.a.example", "a.example", false),
            ("*.a.example", "b.a.example", true),
            ("*.a.example", "c.b.a.example", true),
            ("*.a.example", "*.a.example", true),
            ("*.a.example", "*.b.a.example", true),
            ("*.a.example", "*.example", false),
            ("*.a.example", "bad-a.example", false),
            ("*.a.example", "b.a.example.org", false),
            ("*.a.example", "10.0.0.1", false),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.1.2.3/8", "10.9.9.9", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("10.0.0.1", "10.0.0.1", true),
            ("2001:db8::/32", "2001:db8::1", true),
            ("2001:db8::/32", "b.a.example", false),
        ] {
            assert_eq!(permit(&[rule], &[], name), expected, "{rule} {name}");
        }
    }

    #[test]
    fn denied_names_win_and_wildcards_must_not_cover_them() {
        for (rule, name, denied) in [
            ("secret.a.example", "secret.a.example", true),
            ("secret.a.example", "*.a.example", true),
            ("secret.a.example", "*.example", false),
            ("secret.a.example", "*.secret.a.example", false),
            ("secret.a.example", "x.secret.a.example", false),
            ("secret.a.example", "b.a.example", false),
            ("*.secret.a.example", "*.secret.a.example", true),
            ("*.secret.a.example", "x.secret.a.example", true),
            ("*.secret.a.example", "*.x.secret.a.example", true),
            ("*.secret.a.example", "*.a.example", false),
            ("*.secret.a.example", "secret.a.example", false),
            ("10.0.0.0/8", "10.1.2.3", true),
        ] {
            assert_eq!(permit(&[], &[rule], name), !denied, "{rule} {name}");
            assert_eq!(
                permit(&["*.example", "10.0.0.0/8"], &[rule], name),
                !denied,
                "{rule} {name} with allowed names"
            );
        }
    }

    #[test]
    fn rules_that_are_none_are_reported() {
        for rule in [
            "",
            ".",
            "*",
            "*.",
            "a..b",
            "*.*.a",
            "a*.example",
            "ex*",
            "10.0.0",
            "10.0.0.0/33",
            "ü.de",
            "a b",
        ] {
            assert_eq!(Rule::parse(rule), None, "{rule}");
        }
        let mut report = Report::default();
        NameRules::new(&["a.example".into(), "*".into()], &[], &mut report);
        let notes = report.into_notes();
        assert_eq!(notes.len(), 1);
        assert_eq!(notes[0].key, "allowed_names[1]");
    }
}
