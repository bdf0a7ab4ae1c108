//! Taking certificates back.

use certdock_plugin_api::{FaultClass, RevocationReason, RevokeRequest};

use crate::conformance::bench::Bench;
use crate::conformance::calls::{Open, ability, implemented};
use crate::conformance::check::Check;
use crate::conformance::sample::{FIXED_CSR, FOREIGN_CERTIFICATE, Sample};
use crate::conformance::verdict::{Stop, Verdict, ensure};

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "revoke.foreign",
        "a certificate of somebody else's, or none at all, is refused",
        foreign,
    )
    .needs("life.opens"),
    Check::new("revoke.works", "what it issued it revokes", works)
        .needs("enroll.issues")
        .after(&["revoke.foreign", "certificate.readable"])
        .issues(),
    Check::new(
        "revoke.twice",
        "revoking again is answered with already-revoked",
        twice,
    )
    .needs("revoke.works")
    .after(&["life.closes"])
    .issues(),
    Check::new(
        "revoke.reasons",
        "every reason of RFC 5280 is taken or refused for good",
        reasons,
    )
    .needs("revoke.works")
    .issues(),
];

fn foreign(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    ability(open.provided.revoke, "revoke")?;
    for (what, bytes) in [
        ("a certificate of another CA", FOREIGN_CERTIFICATE),
        ("no bytes", b""),
        ("a certificate request", FIXED_CSR),
        (
            "half a certificate",
            FOREIGN_CERTIFICATE.get(..200).unwrap_or_default(),
        ),
        ("nested sequences", &[0x30; 10_000]),
    ] {
        let answer = open.revoke(RevokeRequest::new(bytes, RevocationReason::Superseded))?;
        // Whoever once took it says afterwards that it is revoked already.
        let refused = answer.is_err_and(|fault| fault.class != FaultClass::AlreadyRevoked);
        ensure(refused, || format!("it says that it has revoked {what}"))?;
    }
    Ok(String::new())
}

/// A certificate of the CA's.
pub(super) fn issued(bench: &Bench, open: &Open) -> Result<Vec<u8>, Stop> {
    ability(open.provided.revoke, "revoke")?;
    let sample = Sample::new(&bench.settings().names)?;
    let chain = open.issue(&sample, bench.settings().patience)?;
    let leaf = chain.certificates.into_iter().next();
    leaf.ok_or_else(|| Stop::failed("the chain is empty"))
}

fn works(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    let leaf = issued(bench, &open)?;
    let request = RevokeRequest::new(leaf, RevocationReason::Superseded);
    implemented("revoke", open.revoke(request)?)?;
    Ok(String::new())
}

fn twice(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    let request = RevokeRequest::new(issued(bench, &open)?, RevocationReason::Superseded);
    implemented("revoke", open.revoke(request.clone())?)?;
    let again = |open: &Open| match open.revoke(request.clone())? {
        Err(fault) if fault.class == FaultClass::AlreadyRevoked => Ok(()),
        Err(fault) => Err(Stop::fault("revoke", &fault)),
        Ok(()) => Err(Stop::failed(
            "it revokes a certificate a second time; say `Fault::already_revoked()`",
        )),
    };
    again(&open)?;
    open.close()?;
    again(&bench.open()?)?;
    Ok(String::new())
}

fn reasons(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    let mut taken = Vec::new();
    for code in 0..=10 {
        let Some(reason) = RevocationReason::from_code(code) else {
            continue;
        };
        match open.revoke(RevokeRequest::new(issued(bench, &open)?, reason))? {
            Ok(()) => taken.push(code.to_string()),
            Err(fault) => ensure(!fault.class.is_transient(), || {
                format!("for the reason {code} it says that the same may succeed later: {fault}")
            })?,
        }
    }
    Ok(format!("it takes {}", taken.join(", ")))
}
