//! Passwords as they are kept: Argon2id hashes (RFC 9106) in PHC's form. Slow by design, so not for
//! threads that others wait for.

use argon2::password_hash::{PasswordHash, SaltString};
use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};

/// The least that a password has: what is given by hand should not be guessed within the limits of
/// failed logins.
pub const SHORTEST: usize = 8;

/// The most: a client's head has no place for more.
pub const LONGEST: usize = 512;

/// The library refused to hash; it has no cause to.
#[derive(Debug, thiserror::Error)]
#[error("the password can't be hashed: {0}")]
pub struct NotHashed(argon2::password_hash::Error);

/// Hashes with a fresh salt and the library's parameters (19 MiB, two passes, one lane).
///
/// # Errors
/// The library refuses.
pub fn hash(password: &[u8]) -> Result<String, NotHashed> {
    let salt = SaltString::encode_b64(&crate::random::bytes::<16>()).map_err(NotHashed)?;
    let hash = Argon2::default().hash_password(password, &salt);
    Ok(hash.map_err(NotHashed)?.to_string())
}

/// Whether the hash is this password's. What is no hash is nobody's.
#[must_use]
pub fn verify(password: &[u8], hash: &str) -> bool {
    PasswordHash::new(hash)
        .and_then(|hash| Argon2::default().verify_password(password, &hash))
        .is_ok()
}

/// Does slow work where nobody waits for the thread; none if it panicked. What is waited for always
/// ends, so the threads come back.
#[expect(
    clippy::disallowed_methods,
    reason = "no plugin is called, and a hash ends by itself"
)]
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_its_passwords_alone() {
        let one = hash(b"correct horse").unwrap();
        let other = hash(b"correct horse").unwrap();
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert_ne!(one, other);
        assert!(verify(b"correct horse", &one) && verify(b"correct horse", &other));
        for wrong in [
            &b""[..],
            b"correct hors",
            b"correct horse ",
            b"Correct horse",
        ] {
            assert!(!verify(wrong, &one));
        }
        for broken in [
            "",
            "correct horse",
            "$argon2id$",
            &one[..one.len() - 4],
            "$1$salt$x",
        ] {
            assert!(!verify(b"correct horse", broken), "{broken}");
        }
    }
}
