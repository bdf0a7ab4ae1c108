//! HTTP Basic (RFC 7617).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use zeroize::Zeroizing;

use super::Denied;
use crate::est::status::Refusal;
use crate::password;

/// Longer than any user's name that can be added.
const LONGEST_NAME: usize = 64;

pub(super) struct Credentials {
    pub(super) name: String,
    pub(super) password: Zeroizing<Vec<u8>>,
}

/// What the client gives, if it gives a user and a password.
pub(super) fn credentials(headers: &HeaderMap) -> Result<Option<Credentials>, Denied> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(unreadable());
    }
    let bytes = value.as_bytes();
    let scheme = bytes.get(..6).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return Err(unreadable());
    }
    let encoded = bytes.get(6..).unwrap_or_default().trim_ascii();
    if encoded.len() > (LONGEST_NAME + 1 + password::LONGEST) * 4 / 3 + 4 {
        return Err(unreadable());
    }
    let text = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| unreadable())?);
    let mut parts = text.splitn(2, |byte| *byte == b':');
    let (Some(name), Some(secret)) = (parts.next(), parts.next()) else {
        return Err(unreadable());
    };
    let name = std::str::from_utf8(name).map_err(|_| unreadable())?;
    Ok(Some(Credentials {
        name: name.to_owned(),
        password: Zeroizing::new(secret.to_vec()),
    }))
}

fn unreadable() -> Denied {
    Denied::new(
        "unreadable",
        Refusal::unauthenticated("the Authorization header is not a user and its password (Basic)"),
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn read(values: &[&str]) -> Result<Option<(String, Vec<u8>)>, ()> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        match credentials(&headers) {
            Ok(found) => Ok(found.map(|found| (found.name, found.password.to_vec()))),
            Err(denied) => {
                assert!(denied.refusal.authenticate.is_some());
                Err(())
            }
        }
    }

    #[test]
    fn a_user_and_a_password_are_read() {
        let of = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert_eq!(read(&[]), Ok(None));
        for (text, name, password) in [
            ("u:p", "u", "p"),
            ("u:", "u", ""),
            ("u:a:b:c", "u", "a:b:c"),
            (":p", "", "p"),
            ("ü:ä", "ü", "ä"),
        ] {
            let expect = Ok(Some((name.to_owned(), password.as_bytes().to_vec())));
            assert_eq!(read(&[&of(text)]), expect, "{text}");
            assert_eq!(
                read(&[&of(text).replace("Basic", "bASIC ")]),
                expect,
                "{text}"
            );
        }
        for wrong in [
            "",
            "Basic",
            "Basic ",
            "Basic !",
            "Bearer dTpw",
            "Basic dXA=",
            "BasicdTpw",
        ] {
            assert_eq!(read(&[wrong]), Err(()), "{wrong}");
        }
        assert_eq!(read(&[&of("u:p"), &of("u:p")]), Err(()));
        assert_eq!(read(&[&of(&format!("u:{}", "p".repeat(2000)))]), Err(()));
    }

    proptest! {
        #[test]
        fn no_header_upsets_it(value in proptest::collection::vec(0x20_u8..0x7f, 0..80), basic in any::<bool>()) {
            let text = String::from_utf8(value).unwrap();
            let _ = read(&[&if basic { format!("Basic {text}") } else { text }]);
        }
    }
}
