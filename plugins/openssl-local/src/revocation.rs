//! Revocations, kept in the host's durable state so that all hosts that share a CA see them: a key
//! `revoked/SERIAL` for each, written once.

use certdock_plugin_api::{Fault, Host, HostServices, RevocationReason, RevokeRequest};
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::error::ErrorStack;
use openssl::x509::X509;
use serde::{Deserialize, Serialize};

use crate::authority::Authority;
use crate::certificate::seconds;

/// What is remembered of a revoked certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Revocation {
    /// The CRLReason code (RFC 5280 §5.3.1).
    pub(crate) reason: u8,
    /// When it was revoked, in seconds since 1970.
    pub(crate) revoked_at: u64,
    /// The certificate's last second.
    pub(crate) expires: u64,
}

/// Revokes a certificate of this CA. Of two who revoke it at once, one is told that it was already.
pub(crate) fn revoke(
    authority: &Authority,
    host: &Host,
    request: &RevokeRequest,
) -> Result<(), Fault> {
    if request.reason == RevocationReason::RemoveFromCrl {
        // RFC 5280 §5.3.1: for delta CRLs only.
        return Err(
            Fault::malformed("removeFromCRL is not a reason to revoke a certificate")
                .code("reason-unacceptable"),
        );
    }
    let certificate = X509::from_der(&request.certificate).map_err(|error| {
        Fault::malformed("the certificate can't be read").private(error.to_string())
    })?;
    if !issued_by(authority, &certificate).unwrap_or(false) {
        return Err(
            Fault::malformed("the certificate is not one of this CA").code("certificate-foreign")
        );
    }
    let (serial, expires) = identity(&certificate).map_err(|error| {
        Fault::malformed("the certificate can't be read").private(error.to_string())
    })?;
    if expires < seconds(host.now()) {
        return Err(
            Fault::malformed("the certificate has expired and needs no revocation")
                .code("certificate-expired"),
        );
    }
    let revocation = Revocation {
        reason: request.reason.code(),
        revoked_at: seconds(request.revoked_at),
        expires,
    };
    let value = serde_json::to_vec(&revocation).map_err(unkept)?;
    match host.state_compare_and_swap(&key(&serial), None, &value)? {
        Some(_) => Ok(()),
        None => Err(Fault::already_revoked()),
    }
}

/// All revocations with their serial numbers, in the numbers' order.
pub(crate) fn all(host: &dyn HostServices) -> Result<Vec<(Vec<u8>, Revocation)>, Fault> {
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = host.state_list(PREFIX, after.as_deref(), PAGE)?;
        for (key, stored) in &page {
            let serial = key.strip_prefix(PREFIX).and_then(unhex).ok_or_else(|| {
                Fault::internal("a stored revocation can't be read").private(key.clone())
            })?;
            found.push((
                serial,
                serde_json::from_slice(&stored.value).map_err(unkept)?,
            ));
        }
        // A host may give fewer than it was asked for; only nothing is the end.
        match page.into_keys().next_back() {
            Some(last) => after = Some(last),
            None => return Ok(found),
        }
    }
}

/// Forgets a revocation that CRLs need no more.
pub(crate) fn forget(host: &dyn HostServices, serial: &[u8]) -> Result<(), Fault> {
    host.state_delete(&key(serial)).map(|_| ())
}

fn issued_by(authority: &Authority, certificate: &X509) -> Result<bool, ErrorStack> {
    Ok(
        certificate.issuer_name().to_der()? == authority.facts.subject
            && certificate.verify(&authority.public_key)?,
    )
}

/// Serial number and last second.
fn identity(certificate: &X509) -> Result<(Vec<u8>, u64), ErrorStack> {
    let serial = certificate.serial_number().to_bn()?.to_vec();
    Ok((serial, unix(certificate.not_after())?))
}

fn unix(time: &Asn1TimeRef) -> Result<u64, ErrorStack> {
    let since = Asn1Time::from_unix(0)?.diff(time)?;
    let seconds = i64::from(since.days) * 86_400 + i64::from(since.secs);
    Ok(u64::try_from(seconds).unwrap_or_default())
}

fn key(serial: &[u8]) -> String {
    serial
        .iter()
        .fold(PREFIX.to_owned(), |key, byte| format!("{key}{byte:02x}"))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| u8::try_from(digit.to_digit(16)?).ok())
        .collect();
    digits?
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(high << 4 | low),
            _ => None,
        })
        .collect()
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn unkept(error: serde_json::Error) -> Fault {
    Fault::internal("a stored revocation can't be read or written").private(error.to_string())
}

const PREFIX: &str = "revoked/";

/// Entries asked for at once.
const PAGE: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_survive_as_keys() {
        for serial in [vec![], vec![0x0a], vec![0x7f, 0x00, 0xff], vec![0x40; 20]] {
            assert_eq!(
                unhex(key(&serial).strip_prefix(PREFIX).unwrap()),
                Some(serial)
            );
        }
        assert_eq!(key(&[0x0a, 0xff]), "revoked/0aff");
        assert_eq!(unhex("abc"), None);
        assert_eq!(unhex("zz"), None);
    }
}
