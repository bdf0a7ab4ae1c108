//! [`SerialNumbers`]: unpredictable serial numbers that a retry finds again without stored state.

use certdock_plugin_api::Fault;
use hmac::{Hmac, KeyInit, Mac};
use openssl::error::ErrorStack;
use openssl::md::Md;
use openssl::pkey::Id;
use openssl::pkey_ctx::PkeyCtx;
use sha2::Sha256;
use x509_cert::serial_number::SerialNumber;
use zeroize::Zeroizing;

use crate::certificate::unencodable;
use crate::key::SigningKey;

/// The key under which enrollment ids become serial numbers, derived from the CA's private key: all
/// hosts that share a CA agree, and nobody else can tell a number in advance.
pub(crate) struct SerialNumbers(Hmac<Sha256>);

impl SerialNumbers {
    pub(crate) fn new(ca: &SigningKey) -> Result<Self, ErrorStack> {
        // RFC 2104 §2: a key shorter than a block of the hash is filled up with zeros.
        let mut key = Zeroizing::new([0; 64]);
        let (derived, _) = key.split_at_mut(32);
        let mut hkdf = PkeyCtx::new_id(Id::HKDF)?;
        hkdf.derive_init()?;
        hkdf.set_hkdf_md(Md::sha256())?;
        hkdf.set_hkdf_key(&ca.secret()?)?;
        hkdf.set_hkdf_salt(b"certdock openssl-local")?;
        hkdf.add_hkdf_info(b"serial numbers 1")?;
        hkdf.derive(Some(derived))?;
        Ok(Self(Hmac::new((&*key).into())))
    }

    /// The serial number of the certificate with this content under this enrollment. The content
    /// goes in so that two different certificates never share a number (RFC 5280 §4.1.2.2), even if
    /// the configuration changed between an attempt and its retry.
    pub(crate) fn serial(
        &self,
        enrollment_id: &str,
        content: &[u8],
    ) -> Result<SerialNumber, Fault> {
        let mut tag = self.0.clone();
        tag.update(&(enrollment_id.len() as u64).to_be_bytes());
        tag.update(enrollment_id.as_bytes());
        tag.update(content);
        let tag = tag.finalize().into_bytes();
        let mut number = [0; LENGTH];
        for (to, from) in number.iter_mut().zip(&tag) {
            *to = *from;
        }
        // Positive, and always of the same length: 158 bits are left.
        if let Some(first) = number.first_mut() {
            *first = *first & 0x7f | 0x40;
        }
        SerialNumber::new(&number).map_err(unencodable)
    }
}

/// RFC 5280 §4.1.2.2: at most 20 octets.
const LENGTH: usize = 20;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use openssl::pkey::PKey;

    use super::*;

    fn numbers() -> SerialNumbers {
        SerialNumbers::new(&SigningKey::new(PKey::generate_ed25519().unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn a_retry_finds_its_number_again() {
        let numbers = numbers();
        let first = numbers.serial("e1", b"content").unwrap();
        assert_eq!(numbers.serial("e1", b"content").unwrap(), first);
        assert_ne!(numbers.serial("e2", b"content").unwrap(), first);
        assert_ne!(numbers.serial("e1", b"other content").unwrap(), first);
        // The border between id and content is part of the input.
        assert_ne!(numbers.serial("e1c", b"ontent").unwrap(), first);
        // Another CA key, other numbers.
        assert_ne!(self::numbers().serial("e1", b"content").unwrap(), first);
    }

    #[test]
    fn numbers_are_positive_and_of_full_length() {
        let numbers = numbers();
        let mut seen = BTreeSet::new();
        for id in 0..500 {
            let serial = numbers.serial(&id.to_string(), b"").unwrap();
            assert_eq!(serial.as_bytes().len(), LENGTH);
            assert_eq!(serial.as_bytes()[0] & 0xc0, 0x40);
            assert!(seen.insert(serial.as_bytes().to_vec()));
        }
    }
}
