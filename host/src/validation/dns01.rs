//! dns-01 (RFC 8555 §8.4): the proof is a TXT record below the name.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use crate::order::{Failure, FailureKind};
use crate::validation::Proof;
use crate::validation::dial::lookup_failure;
use crate::validation::resolver::{LookupError, Resolver};

/// # Errors
/// What was missing or wrong.
pub(super) async fn check(resolver: &Resolver, proof: &Proof) -> Result<(), Failure> {
    let name = format!("_acme-challenge.{}", proof.name);
    let texts = match resolver.texts(&name).await {
        Ok(texts) => texts,
        Err(LookupError::NoSuchName) => Vec::new(),
        Err(error) => return Err(lookup_failure(&name, error)),
    };
    if texts.is_empty() {
        return Err(Failure::new(
            FailureKind::Unauthorized,
            format!("{name} has no TXT record"),
        ));
    }
    // Several orders may be under way for one name, each with its record.
    let expected = expected(&proof.key_authorization);
    if texts
        .iter()
        .any(|text| text.ct_eq(expected.as_bytes()).into())
    {
        return Ok(());
    }
    Err(Failure::new(
        FailureKind::IncorrectResponse,
        format!("none of the TXT records of {name} holds the digest of the key authorization"),
    ))
}

fn expected(key_authorization: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(
        &digest::SHA256,
        key_authorization.as_bytes(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::ChallengeType;
    use crate::validation::testing::{Dns, proof};

    async fn check_records(records: &[&[&str]]) -> Result<(), FailureKind> {
        let proof = proof(ChallengeType::Dns01, "a.example");
        let dns = Dns::start();
        let right = expected(&proof.key_authorization);
        for strings in records {
            let strings: Vec<&str> = strings
                .iter()
                .map(|text| match *text {
                    "RIGHT" => right.as_str(),
                    "RIGHT[..20]" => &right[..20],
                    "RIGHT[20..]" => &right[20..],
                    other => other,
                })
                .collect();
            dns.txt("_acme-challenge.a.example", &strings);
        }
        check(&dns.resolver(), &proof)
            .await
            .map_err(|failure| failure.kind)
    }

    #[tokio::test]
    async fn one_right_record_suffices() {
        for records in [
            &[&["RIGHT"] as &[&str]] as &[&[&str]],
            &[&["other"], &["RIGHT"], &["another"]],
            &[&["RIGHT[..20]", "RIGHT[20..]"]],
            &[&["RIGHT", ""]],
        ] {
            assert_eq!(check_records(records).await, Ok(()), "{records:?}");
        }
    }

    #[tokio::test]
    async fn what_is_not_the_digest_is_refused() {
        for (records, expect) in [
            (&[] as &[&[&str]], FailureKind::Unauthorized),
            (&[&["other"]], FailureKind::IncorrectResponse),
            (&[&[""]], FailureKind::IncorrectResponse),
            (&[&["RIGHT", "x"]], FailureKind::IncorrectResponse),
            (
                &[&["RIGHT[..20]"], &["RIGHT[20..]"]],
                FailureKind::IncorrectResponse,
            ),
        ] {
            assert_eq!(check_records(records).await, Err(expect), "{records:?}");
        }
    }

    #[tokio::test]
    async fn the_record_may_be_delegated_by_an_alias() {
        let proof = proof(ChallengeType::Dns01, "a.example");
        let dns = Dns::start();
        dns.cname("_acme-challenge.a.example", "challenges.example");
        dns.txt("challenges.example", &[&expected(&proof.key_authorization)]);
        check(&dns.resolver(), &proof).await.unwrap();
    }

    #[tokio::test]
    async fn a_failing_resolver_is_not_a_missing_record() {
        let dns = Dns::start();
        dns.fail("_acme-challenge.a.example");
        let failure = check(&dns.resolver(), &proof(ChallengeType::Dns01, "a.example")).await;
        assert_eq!(failure.unwrap_err().kind, FailureKind::Dns);
    }
}
