//! [`NamePolicy`]: from the identifiers that a client asks for (RFC 8555 §7.1.3, §7.4) to names that
//! the endpoint serves.

use serde::{Deserialize, Serialize};

use crate::acme::problem::{Problem, ProblemType};
use crate::config::AcmeEndpoint;
use crate::order::Identifier;

/// An identifier as it stands in requests and answers. RFC 8555 §9.7.7
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireIdentifier {
    #[serde(rename = "type")]
    pub kind: String,
    pub value: String,
}

impl WireIdentifier {
    #[must_use]
    pub fn dns(value: String) -> Self {
        Self {
            kind: "dns".into(),
            value,
        }
    }
}

impl From<&Identifier> for WireIdentifier {
    fn from(identifier: &Identifier) -> Self {
        Self::dns(identifier.to_string())
    }
}

/// Which names an endpoint serves.
pub struct NamePolicy<'a>(&'a AcmeEndpoint);

impl<'a> NamePolicy<'a> {
    #[must_use]
    pub fn new(config: &'a AcmeEndpoint) -> Self {
        Self(config)
    }

    /// What an order may ask for, each name once, in the client's order.
    ///
    /// # Errors
    /// With one subproblem for each identifier that is refused (RFC 8555 §6.7.1).
    pub fn identifiers(&self, wanted: &[WireIdentifier]) -> Result<Vec<Identifier>, Problem> {
        let most = self.0.max_identifiers;
        if wanted.is_empty() {
            return Err(Problem::malformed("the order names no identifier"));
        }
        // Counted before anything is parsed.
        if wanted.len() > most {
            return Err(Problem::malformed(format!(
                "the order names {} identifiers; this endpoint takes {most} at most",
                wanted.len()
            )));
        }
        let mut accepted = Vec::with_capacity(wanted.len());
        let mut refused = Vec::new();
        for wire in wanted {
            match self.identifier(wire) {
                Ok(identifier) if accepted.contains(&identifier) => {}
                Ok(identifier) => accepted.push(identifier),
                Err(problem) => refused.push((wire.clone(), problem)),
            }
        }
        if refused.is_empty() {
            Ok(accepted)
        } else {
            Err(summary(refused))
        }
    }

    /// One identifier.
    ///
    /// # Errors
    /// `unsupportedIdentifier` for another type than "dns", `malformed` for what is no name,
    /// `rejectedIdentifier` for a name that this endpoint does not serve.
    pub fn identifier(&self, wire: &WireIdentifier) -> Result<Identifier, Problem> {
        if wire.kind != "dns" {
            return Err(Problem::new(
                ProblemType::UnsupportedIdentifier,
                "this server issues for identifiers of type \"dns\" alone",
            ));
        }
        let identifier: Identifier = wire
            .value
            .parse()
            .map_err(|error| Problem::malformed(format!("{error}")))?;
        match self.refusal(&identifier) {
            None => Ok(identifier),
            Some(why) => Err(Problem::new(ProblemType::RejectedIdentifier, why)),
        }
    }

    fn refusal(&self, identifier: &Identifier) -> Option<&'static str> {
        let config = self.0;
        if identifier.wildcard {
            if !config.wildcards {
                return Some("this endpoint issues no wildcard certificates");
            }
            if !config.challenges.iter().any(|kind| kind.serves_wildcards()) {
                return Some("this endpoint has no challenge that can prove a wildcard");
            }
        }
        let denied = |pattern: &String| identifier.overlaps(pattern);
        let allowed = |pattern: &String| identifier.is_inside(pattern);
        if config.denied_names.iter().any(denied)
            || !(config.allowed_names.is_empty() || config.allowed_names.iter().any(allowed))
        {
            return Some("this endpoint does not issue for the name");
        }
        None
    }
}

/// One refused identifier speaks for itself; several share their type if they have one in common.
fn summary(refused: Vec<(WireIdentifier, Problem)>) -> Problem {
    let mut problems = refused.iter().map(|(_, problem)| problem);
    let first = problems.next();
    let kind = match first {
        Some(first) if problems.all(|problem| problem.kind == first.kind) => first.kind,
        _ => ProblemType::Compound,
    };
    let detail = match (refused.len(), first) {
        (1, Some(only)) => only.detail.clone(),
        (count, _) => format!("{count} of the identifiers are refused"),
    };
    let mut problem = Problem::new(kind, detail);
    problem.subproblems = refused;
    problem
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::config::EabPolicy;
    use crate::order::ChallengeType;

    fn endpoint() -> AcmeEndpoint {
        AcmeEndpoint {
            handler: "local".parse().unwrap(),
            profile: None,
            challenges: vec![ChallengeType::Http01, ChallengeType::Dns01],
            eab: EabPolicy::Off,
            terms_of_service: None,
            website: None,
            caa_identities: Vec::new(),
            order_lifetime: Duration::from_secs(86_400),
            authorization_lifetime: Duration::from_secs(86_400),
            max_identifiers: 4,
            wildcards: true,
            allowed_names: Vec::new(),
            denied_names: Vec::new(),
            max_validity: Duration::from_secs(90 * 86_400),
            finalize_wait: Duration::from_secs(2),
            revocation: crate::config::RevocationPolicy::AtOnce,
        }
    }

    fn dns(names: &[&str]) -> Vec<WireIdentifier> {
        names
            .iter()
            .map(|name| WireIdentifier::dns((*name).to_owned()))
            .collect()
    }

    #[test]
    fn names_are_matched_label_by_label() {
        for (allowed, denied, name, serves) in [
            ("", "", "a.example", true),
            ("a.example", "", "a.example", true),
            ("A.Example", "", "a.EXAMPLE", true),
            ("a.example", "", "b.a.example", false),
            ("a.example", "", "*.a.example", false),
            ("*.example", "", "a.example", true),
            ("*.example", "", "b.a.example", true),
            ("*.example", "", "example", false),
            ("*.example", "", "aexample", false),
            ("*.a.example", "", "ba.example", false),
            ("*.example", "", "*.example", true),
            ("*.example", "", "*.a.example", true),
            ("*.a.example", "", "*.example", false),
            ("", "a.example", "a.example", false),
            ("", "a.example", "b.example", true),
            ("", "a.example", "*.a.example", true),
            // *.example stands for a.example too.
            ("", "a.example", "*.example", false),
            ("", "b.a.example", "*.example", true),
            ("", "*.a.example", "a.example", true),
            ("", "*.a.example", "b.a.example", false),
            ("", "*.a.example", "*.a.example", false),
            ("", "*.a.example", "*.example", true),
            ("*.example", "*.secret.example", "x.secret.example", false),
        ] {
            let mut endpoint = endpoint();
            let list = |pattern: &str| match pattern {
                "" => Vec::new(),
                pattern => vec![pattern.to_owned()],
            };
            endpoint.allowed_names = list(allowed);
            endpoint.denied_names = list(denied);
            let answer = NamePolicy::new(&endpoint).identifiers(&dns(&[name]));
            assert_eq!(answer.is_ok(), serves, "{name} in {allowed} not {denied}");
            if let Err(problem) = answer {
                assert_eq!(problem.kind, ProblemType::RejectedIdentifier);
            }
        }
    }

    #[test]
    fn wildcards_need_the_endpoint_and_dns_01() {
        let mut endpoint = endpoint();
        endpoint.wildcards = false;
        assert!(
            NamePolicy::new(&endpoint)
                .identifiers(&dns(&["*.a.example"]))
                .is_err()
        );
        endpoint.wildcards = true;
        endpoint.challenges = vec![ChallengeType::Http01, ChallengeType::TlsAlpn01];
        assert!(
            NamePolicy::new(&endpoint)
                .identifiers(&dns(&["*.a.example"]))
                .is_err()
        );
        assert!(
            NamePolicy::new(&endpoint)
                .identifiers(&dns(&["a.example"]))
                .is_ok()
        );
    }

    #[test]
    fn duplicates_collapse() {
        let endpoint = endpoint();
        let names = NamePolicy::new(&endpoint)
            .identifiers(&dns(&[
                "b.example",
                "a.example",
                "B.EXAMPLE",
                "*.b.example",
            ]))
            .unwrap();
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["b.example", "a.example", "*.b.example"]);
    }

    #[test]
    fn each_bad_identifier_has_its_subproblem() {
        let mut endpoint = endpoint();
        endpoint.denied_names = vec!["bad.example".into()];
        let policy = NamePolicy::new(&endpoint);
        let ip = WireIdentifier {
            kind: "ip".into(),
            value: "192.0.2.1".into(),
        };
        let check = |wanted: &[WireIdentifier], kind: ProblemType, subproblems: usize| {
            let problem = policy.identifiers(wanted).unwrap_err();
            assert_eq!(problem.kind, kind, "{wanted:?}");
            assert_eq!(problem.subproblems.len(), subproblems, "{wanted:?}");
        };
        check(&[], ProblemType::Malformed, 0);
        check(&dns(&["a.b"; 5]), ProblemType::Malformed, 0);
        check(
            std::slice::from_ref(&ip),
            ProblemType::UnsupportedIdentifier,
            1,
        );
        check(&dns(&["192.0.2.1"]), ProblemType::Malformed, 1);
        check(
            &dns(&["a_b.example", "a.example"]),
            ProblemType::Malformed,
            1,
        );
        check(&dns(&["a_b.example", "c..d"]), ProblemType::Malformed, 2);
        check(
            &[dns(&["bad.example", "ok.example", "a_b.example"]), vec![ip]].concat(),
            ProblemType::Compound,
            3,
        );
    }

    proptest! {
        #[test]
        fn no_text_upsets_the_policy(value in ".{0,80}", kind in "dns|ip|.{0,5}", pattern in ".{0,20}") {
            let mut endpoint = endpoint();
            endpoint.allowed_names = vec![pattern.clone()];
            endpoint.denied_names = vec![pattern];
            let wire = WireIdentifier { kind, value };
            let _ = NamePolicy::new(&endpoint).identifiers(&[wire]);
        }

        #[test]
        fn what_an_allowed_wildcard_stands_for_is_allowed(label in "[a-z]{1,8}", base in "[a-z]{1,4}(\\.[a-z]{1,4}){0,2}", up in 0_usize..3) {
            let pattern = format!("*.{}", base.splitn(up + 1, '.').last().unwrap_or(&base));
            let above: Identifier = format!("*.{base}").parse().unwrap();
            let name: Identifier = format!("{label}.{base}").parse().unwrap();
            prop_assert!(!above.is_inside(&pattern) || name.is_inside(&pattern));
            // And a denied name is never covered by a wildcard that passes.
            prop_assert!(above.overlaps(&name.to_string()));
        }
    }
}
