//! Whether an account's contacts can be used (RFC 8555 §7.3).

use super::problem::{Problem, ProblemType};

/// Contacts of one account.
const MOST: usize = 10;
/// RFC 5321 §4.5.3.1: a path has 256 octets with its brackets; a local part 64.
const ADDRESS: usize = 254;
const LOCAL_PART: usize = 64;

/// Checks every contact.
pub(super) fn check(contacts: &[String]) -> Result<(), Problem> {
    if contacts.len() > MOST {
        return Err(invalid(format!("an account has {MOST} contacts at most")));
    }
    contacts.iter().try_for_each(|contact| check_one(contact))
}

fn check_one(contact: &str) -> Result<(), Problem> {
    let Some((scheme, address)) = contact.split_once(':') else {
        return Err(invalid("a contact must be a mailto: URL".into()));
    };
    if !scheme.eq_ignore_ascii_case("mailto") {
        return Err(Problem::new(
            ProblemType::UnsupportedContact,
            "contacts of other schemes than mailto: are not supported",
        ));
    }
    // RFC 8555 §7.3: no hfields, one address.
    if address.contains('?') {
        return Err(invalid(
            "a mailto: contact must not have header fields".into(),
        ));
    }
    if address.contains(',') {
        return Err(invalid("a mailto: contact must hold one address".into()));
    }
    if is_address(address) {
        Ok(())
    } else {
        Err(invalid("a mailto: contact holds no usable address".into()))
    }
}

/// `dot-atom@domain` in ASCII (RFC 5322 §3.4.1). Nothing that would need quoting or
/// percent-encoding, so that it can be shown and mailed to as it stands.
fn is_address(address: &str) -> bool {
    let Some((local, domain)) = address.rsplit_once('@') else {
        return false;
    };
    let atom = |part: &str| {
        !part.is_empty()
            && (part.bytes())
                .all(|b| b.is_ascii_alphanumeric() || b"!#$&'*+-/=^_`{|}~".contains(&b))
    };
    let label = |part: &str| {
        (1..=63).contains(&part.len())
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    address.len() <= ADDRESS
        && local.len() <= LOCAL_PART
        && local.split('.').all(atom)
        && domain.split('.').all(label)
}

fn invalid(detail: String) -> Problem {
    Problem::new(ProblemType::InvalidContact, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(contact: &str, expect: Option<ProblemType>) {
        let found = super::check(&[contact.to_owned()]).err();
        assert_eq!(found.map(|problem| problem.kind), expect, "{contact}");
    }

    #[test]
    fn one_plain_address_each() {
        use ProblemType::{InvalidContact, UnsupportedContact};
        check("mailto:admin@example.com", None);
        check("MAILTO:o'neil+acme@mail.example.com", None);
        check("mailto:root@localhost", None);
        check("tel:+12025551212", Some(UnsupportedContact));
        check("https://example.com/", Some(UnsupportedContact));
        for contact in [
            "",
            "admin@example.com",
            "mailto:",
            "mailto:example.com",
            "mailto:@example.com",
            "mailto:a@",
            "mailto:a@b@example.com",
            "mailto:a@example..com",
            "mailto:a@-example.com",
            "mailto:a@example.com?subject=hello",
            "mailto:a@example.com,b@example.com",
            "mailto:a%40@example.com",
            "mailto:ä@example.com",
            "mailto:a b@example.com",
            "mailto:a@example.com\n",
            "mailto:.a@example.com",
        ] {
            check(contact, Some(InvalidContact));
        }
        check(
            &format!("mailto:{}@example.com", "a".repeat(65)),
            Some(InvalidContact),
        );
    }

    #[test]
    fn not_too_many() {
        let contacts = vec!["mailto:a@example.com".to_owned(); MOST];
        assert!(super::check(&contacts).is_ok());
        assert!(super::check(&[contacts, vec!["mailto:b@example.com".into()]].concat()).is_err());
    }
}
