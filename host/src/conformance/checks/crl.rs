//! The CA's revocation list.

use std::time::SystemTime;

use certdock_plugin_api::{Crl, RevocationReason, RevokeRequest};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::conformance::bench::Bench;
use crate::conformance::calls::{Open, ability, implemented};
use crate::conformance::check::Check;
use crate::conformance::verdict::{Stop, Verdict, ensure};
use crate::time::UnixTime;
use crate::x509::signed_by;

use super::revoke::issued;

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "crl.readable",
        "its revocation list can be had and read",
        readable,
    )
    .needs("life.opens"),
    Check::new(
        "crl.current",
        "the list is good now, and until the time that comes with it",
        current,
    )
    .needs("crl.readable"),
    Check::new(
        "crl.signed",
        "one of the CA's certificates has signed the list",
        signed,
    )
    .needs("crl.readable")
    .after(&["ca.answers"]),
    Check::new(
        "crl.lists",
        "a certificate that was revoked is on the list at once",
        lists,
    )
    .needs("revoke.works")
    .after(&["crl.readable"])
    .issues(),
];

fn crl(open: &Open) -> Result<Crl, Stop> {
    ability(open.provided.crl, "crl")?;
    implemented("crl", open.crl()?)
}

fn parse(crl: &Crl) -> Result<CertificateRevocationList<'_>, Stop> {
    match CertificateRevocationList::from_der(&crl.der) {
        Ok(([], list)) => Ok(list),
        _ => Err(Stop::failed("its revocation list is none in DER")),
    }
}

fn readable(bench: &Bench) -> Verdict {
    let crl = crl(&bench.open()?)?;
    let list = parse(&crl)?;
    Ok(format!(
        "{} certificates",
        list.iter_revoked_certificates().count()
    ))
}

fn current(bench: &Bench) -> Verdict {
    let crl = crl(&bench.open()?)?;
    let list = parse(&crl)?;
    let now = UnixTime::from(SystemTime::now()).as_secs();
    ensure(list.last_update().timestamp() <= now + 300, || {
        "the list begins in the future".to_owned()
    })?;
    let next = list.next_update().map(|time| time.timestamp());
    ensure(next.is_some_and(|next| next > now), || {
        "the list's nextUpdate is missing or has passed".to_owned()
    })?;
    ensure(
        next == Some(UnixTime::from(crl.next_update).as_secs()),
        || {
            format!(
                "the list's nextUpdate is not what comes with it, {}",
                UnixTime::from(crl.next_update)
            )
        },
    )?;
    Ok(format!("until {}", UnixTime::from(crl.next_update)))
}

fn signed(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    let crl = crl(&open)?;
    let list = parse(&crl)?;
    let ca_certs = open.ca_certs()?;
    let signer = ca_certs
        .iter()
        .filter_map(|der| X509Certificate::from_der(der).ok());
    let mut signer = signer.map(|(_, certificate)| certificate);
    ensure(
        signer.any(|certificate| signed_by(&list, &certificate)),
        || "none of the CA's certificates has signed the list".to_owned(),
    )?;
    Ok(String::new())
}

fn lists(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    ability(open.provided.crl, "crl")?;
    let leaf = issued(bench, &open)?;
    let revoked = RevokeRequest::new(leaf.clone(), RevocationReason::KeyCompromise);
    implemented("revoke", open.revoke(revoked)?)?;
    let crl = crl(&open)?;
    let list = parse(&crl)?;
    let (_, certificate) = X509Certificate::from_der(&leaf)
        .map_err(|_| Stop::failed("what it issues is no certificate in DER"))?;
    let mut serials = list
        .iter_revoked_certificates()
        .map(|entry| entry.raw_serial());
    ensure(
        serials.any(|serial| serial == certificate.raw_serial()),
        || "a certificate that was revoked is not on the list".to_owned(),
    )?;
    Ok(String::new())
}
