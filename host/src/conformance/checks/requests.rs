//! Good requests of every sort.

use std::time::{Duration, SystemTime};

use certdock_plugin_api::{EnrollRequest, Enrollment, Protocol, Requester};
use rcgen::{PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256};

use crate::conformance::bench::Bench;
use crate::conformance::check::Check;
use crate::conformance::sample::{FOREIGN_CERTIFICATE, Sample, enrollment_id};
use crate::conformance::verdict::{Stop, Verdict, ensure};
use crate::time::UnixTime;
use crate::x509::{IssuedCertificate, public_key_of};

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "request.keys",
        "other kinds of keys are certified or refused for good",
        keys,
    )
    .needs("enroll.issues")
    .after(&["certificate.readable", "certificate.key"])
    .issues(),
    Check::new(
        "request.profile",
        "a profile that does not exist is refused for good, or the default is taken",
        profile,
    )
    .needs("enroll.issues")
    .issues(),
    Check::new(
        "request.validity",
        "it ends no later than was asked for, or the request is refused",
        validity,
    )
    .needs("enroll.issues")
    .issues(),
    Check::new(
        "request.requesters",
        "whoever asks, by ACME, by EST or the server itself, is answered",
        requesters,
    )
    .needs("enroll.issues")
    .issues(),
    Check::new(
        "request.extras",
        "additions of a later certdock are ignored",
        extras,
    )
    .needs("enroll.issues")
    .issues(),
    Check::new(
        "request.ids",
        "any enrollment id is taken, long ones too",
        ids,
    )
    .needs("enroll.issues")
    .issues(),
];

/// Whether the same request was refused in a way that ends it.
fn final_fault(
    what: &str,
    request: EnrollRequest,
    bench: &Bench,
) -> Result<Option<Enrollment>, Stop> {
    match bench.open()?.enroll(request)? {
        Ok(enrollment) => Ok(Some(enrollment)),
        Err(fault) => {
            ensure(!fault.class.is_transient(), || {
                format!("for {what} it says that the same may succeed later: {fault}")
            })?;
            Ok(None)
        }
    }
}

fn keys(bench: &Bench) -> Verdict {
    let kinds = [
        ("RSA", &PKCS_RSA_SHA256),
        ("P-384", &PKCS_ECDSA_P384_SHA384),
        ("Ed25519", &PKCS_ED25519),
    ];
    let mut taken = Vec::new();
    for (name, algorithm) in kinds {
        let sample = Sample::with_key(&bench.settings().names, algorithm)?;
        let answer = final_fault(&format!("a key of kind {name}"), sample.request(), bench)?;
        if let Some(Enrollment::Issued(chain)) = &answer {
            let key = chain
                .certificates
                .first()
                .and_then(|der| public_key_of(der));
            ensure(key.as_ref() == Some(&sample.public_key), || {
                format!("the certificate for a key of kind {name} has another key")
            })?;
        }
        if answer.is_some() {
            taken.push(name);
        }
    }
    Ok(match taken.as_slice() {
        [] => "it takes P-256 only".to_owned(),
        taken => format!("it takes {}", taken.join(", ")),
    })
}

fn profile(bench: &Bench) -> Verdict {
    let mut request = Sample::new(&bench.settings().names)?.request();
    request.profile = Some("certdock-check-no-such-profile".to_owned());
    let answer = final_fault("a profile that does not exist", request, bench)?;
    Ok(match answer {
        Some(_) => "it takes its default".to_owned(),
        None => "it refuses".to_owned(),
    })
}

fn validity(bench: &Bench) -> Verdict {
    let mut request = Sample::new(&bench.settings().names)?.request();
    let end = request.requested_at + Duration::from_secs(3600);
    request.not_after = Some(end);
    match final_fault("a short validity", request, bench)? {
        Some(Enrollment::Issued(chain)) => {
            let leaf = chain.certificates.first();
            let read = leaf.and_then(|der| IssuedCertificate::read(der));
            let read = read.ok_or_else(|| Stop::failed("what it issues can't be read"))?;
            ensure(read.not_after <= UnixTime::from(end), || {
                format!(
                    "asked for a certificate until {}, it gives one until {}",
                    UnixTime::from(end),
                    read.not_after
                )
            })?;
            Ok("it keeps to it".to_owned())
        }
        Some(_) => Ok("pending".to_owned()),
        None => Ok("it refuses".to_owned()),
    }
}

fn requesters(bench: &Bench) -> Verdict {
    let sample = Sample::new(&bench.settings().names)?;
    let account = |eab: Option<&str>| Requester::AcmeAccount {
        account: "account".to_owned(),
        eab_key_id: eab.map(str::to_owned),
    };
    let cases = [
        (Protocol::Acme, account(None)),
        (Protocol::Acme, account(Some("key-1"))),
        (
            Protocol::Est,
            Requester::EstUser {
                name: "jürgen".to_owned(),
            },
        ),
        (
            Protocol::Est,
            Requester::ClientCertificate {
                certificate: FOREIGN_CERTIFICATE.to_vec(),
            },
        ),
        (Protocol::Internal, Requester::Host),
        (
            Protocol::Other,
            Requester::Other {
                name: String::new(),
            },
        ),
    ];
    for (protocol, requester) in cases {
        let mut request = sample.request();
        request.enrollment_id = enrollment_id();
        (request.protocol, request.requester) = (protocol, requester.clone());
        request.endpoint = String::new();
        final_fault(&format!("{requester:?}"), request, bench)?
            .ok_or_else(|| Stop::Failed(format!("it refuses {requester:?}")))?;
    }
    Ok(String::new())
}

fn extras(bench: &Bench) -> Verdict {
    let mut request = Sample::new(&bench.settings().names)?.request();
    for number in 0..1000 {
        request
            .extras
            .insert(format!("certdock-check-{number}"), "x".repeat(100));
    }
    request.extras.insert(String::new(), "\u{0}\n".to_owned());
    final_fault("unknown extras", request, bench)?
        .ok_or_else(|| Stop::failed("it refuses a request with additions that it does not know"))?;
    Ok(String::new())
}

fn ids(bench: &Bench) -> Verdict {
    let sample = Sample::new(&bench.settings().names)?;
    let unique = enrollment_id();
    for tail in ["", "/../..", "%20&?#", "\u{e9}\u{202e}", &"x".repeat(500)] {
        let mut request = sample.request();
        request.enrollment_id = format!("{unique}{tail}");
        request.requested_at = SystemTime::now() - Duration::from_secs(60);
        final_fault("an odd enrollment id", request, bench)?
            .ok_or_else(|| Stop::Failed(format!("it refuses the enrollment id '{tail}'")))?;
    }
    Ok(String::new())
}
