//! Certificates: at once, later, never, and back again.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use certdock_plugin_api::testing::{
    SAMPLE_CERTIFICATE, SAMPLE_NAMES, enroll_request, poll_request,
};
use certdock_plugin_api::{
    CaHandler as _, Enrollment, FaultClass, News, Poll, PushRequest, RevocationReason,
    RevokeRequest,
};
use certdock_tests::certificate::check_chain;
use certdock_tests::certifier::Mode;
use pem::Pem;

use crate::support::start;

fn pem_of(certificates: &[Vec<u8>]) -> String {
    let parts = certificates.iter();
    let parts: Vec<_> = parts
        .map(|der| Pem::new("CERTIFICATE", der.clone()))
        .collect();
    pem::encode_many(&parts)
}

#[test]
fn issues_at_once_with_one_call_and_the_whole_chain() {
    let pair = start(|_| {});
    let chain = pair.issued();
    check_chain(&pem_of(&chain.certificates), &SAMPLE_NAMES);
    assert_eq!(
        chain.certificates.len(),
        4,
        "leaf, issuing, intermediate, root"
    );
    let above = pair.handler.ca_certs_get().unwrap().certificates;
    assert_eq!(above, chain.certificates[1..]);

    let before = pair.simulator.counts();
    for _ in 0..5 {
        pair.issued();
    }
    let after = pair.simulator.counts();
    assert_eq!(after.calls - before.calls, 5);
    assert_eq!(after.connections, before.connections, "kept alive");
    assert_eq!(after.issued, 6);
}

#[test]
fn what_was_said_of_the_ca_is_believed_for_its_lifetime_only() {
    let pair = start(|_| {});
    let mut config = crate::support::config(&pair.simulator);
    config["cache_lifetime"] = "0s".into();
    let handler: certdock_certifier::Certifier = pair.host.open(&config.to_string()).unwrap();
    let before = pair.simulator.counts().calls;
    handler.enroll(&enroll_request()).unwrap();
    assert!(pair.simulator.counts().calls - before > 5);
}

#[test]
fn waits_for_the_operator() {
    let pair = start(|options| options.mode = Mode::Manual);
    let poll = |id: &str| pair.handler.poll(&poll_request(id)).unwrap();
    let approved = pair.pending();
    assert!(matches!(poll(&approved), Poll::Pending { poll_id, .. } if poll_id == approved));
    pair.simulator.approve(&pair.simulator.pending()[0]);
    let Poll::Issued(chain) = poll(&approved) else {
        panic!("not issued")
    };
    check_chain(&pem_of(&chain.certificates), &SAMPLE_NAMES);
    // Asked again, after a crash perhaps, it is the same one.
    assert_eq!(poll(&approved), Poll::Issued(chain));

    let rejected = pair.pending();
    pair.simulator
        .reject(&pair.simulator.pending()[0], "not in my house");
    let reason = "not in my house".to_owned();
    assert_eq!(poll(&rejected), Poll::Rejected { reason });
    assert_eq!(pair.simulator.counts().issued, 1);
}

#[test]
fn asks_closely_at_first_and_then_leaves_it_to_the_server() {
    let pair = start(|options| options.mode = Mode::Never);
    let Ok(Enrollment::Pending {
        poll_id,
        retry_after,
    }) = pair.enroll()
    else {
        panic!("not pending")
    };
    assert_eq!(retry_after, Some(Duration::from_secs(5)));
    let now = std::time::SystemTime::now();
    for (age, expected) in [(30, Some(Duration::from_secs(5))), (70, None)] {
        pair.host.set_now(now + Duration::from_secs(age));
        match pair.handler.poll(&poll_request(&poll_id)).unwrap() {
            Poll::Pending { retry_after, .. } => assert_eq!(retry_after, expected, "{age} s"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn policy_speaks_to_the_client() {
    let pair = start(|options| options.mode = Mode::Reject);
    let poll_id = pair.pending();
    assert!(matches!(
        pair.handler.poll(&poll_request(&poll_id)).unwrap(),
        Poll::Rejected { reason } if reason.contains("policy")
    ));

    pair.simulator.set_mode(Mode::Automatic);
    let mut unreadable = enroll_request();
    unreadable.csr.truncate(50);
    let fault = pair.handler.enroll(&unreadable).unwrap_err();
    assert_eq!(fault.class, FaultClass::Malformed, "{fault}");
    assert!(fault.public.contains("PKCS#10"), "{fault}");
    assert!(
        fault.private.contains("requesting a certificate: 400"),
        "{fault}"
    );

    let mut other = enroll_request();
    other.profile = Some("gold".to_owned());
    let fault = pair.handler.enroll(&other).unwrap_err();
    assert_eq!(fault.class, FaultClass::Denied, "{fault}");

    let before = pair.simulator.counts().calls;
    let mut short = enroll_request();
    short.not_after = Some(short.requested_at + Duration::from_secs(3600));
    let fault = pair.handler.enroll(&short).unwrap_err();
    assert_eq!(fault.code, "validity-unsupported", "{fault}");
    assert_eq!(pair.simulator.counts().calls, before);
}

#[test]
fn profiles_are_asked_for_by_their_ids() {
    let pair = start(|options| {
        options.modes.insert("101".to_owned(), Mode::Never);
    });
    let mut config = crate::support::config(&pair.simulator);
    config["profile_id"] = "100".into();
    config["profiles"] = serde_json::json!({ "slow": "101" });
    let handler: certdock_certifier::Certifier = pair.host.open(&config.to_string()).unwrap();
    let mut request = enroll_request();
    assert!(matches!(
        handler.enroll(&request).unwrap(),
        Enrollment::Issued(_)
    ));
    request.profile = Some("slow".to_owned());
    assert!(matches!(
        handler.enroll(&request).unwrap(),
        Enrollment::Pending { .. }
    ));
}

#[test]
fn revokes_once_and_only_what_is_there() {
    let pair = start(|_| {});
    let leaf = pair.issued().certificates.swap_remove(0);
    let revoke = |certificate: &[u8], reason| {
        pair.handler
            .revoke(&RevokeRequest::new(certificate, reason))
    };
    let class = |certificate: &[u8], reason| revoke(certificate, reason).unwrap_err().class;
    assert_eq!(
        class(&leaf, RevocationReason::AaCompromise),
        FaultClass::Malformed
    );
    let empty = pair.simulator.crl();
    revoke(&leaf, RevocationReason::KeyCompromise).unwrap();
    assert!(pair.simulator.crl().len() > empty.len() + 30);
    assert_eq!(
        class(&leaf, RevocationReason::Superseded),
        FaultClass::AlreadyRevoked
    );
    assert_eq!(
        class(SAMPLE_CERTIFICATE, RevocationReason::Superseded),
        FaultClass::Denied
    );
    assert_eq!(pair.simulator.counts().revoked, 1);
}

#[test]
fn a_root_that_names_itself_ends_the_chain() {
    let pair = start(|options| options.self_naming_root = true);
    assert_eq!(pair.issued().certificates.len(), 4);
}

#[test]
fn a_push_is_looked_up_at_the_ca() {
    let pair = start(|_| {});
    let chain = pair.issued();
    let leaf = &chain.certificates[0];
    let pem = pem_of(std::slice::from_ref(leaf));
    let payload = STANDARD.encode(&pem);
    let old = serde_json::json!({ "payload": payload, "signature": "foo" });
    for payload in [pem.into_bytes(), leaf.clone(), old.to_string().into_bytes()] {
        let news = pair.handler.push(&PushRequest::new(payload)).unwrap();
        assert_eq!(news, [News::issued(chain.clone())]);
    }
    let cases: [(&[u8], FaultClass); 4] = [
        (b"", FaultClass::Malformed),
        (b"{\"payload\": \"!\"}", FaultClass::Malformed),
        (b"-----BEGIN CERTIFICATE-----", FaultClass::Malformed),
        (SAMPLE_CERTIFICATE, FaultClass::Denied),
    ];
    for (payload, class) in cases {
        let fault = pair.handler.push(&PushRequest::new(payload)).unwrap_err();
        assert_eq!(fault.class, class, "{fault}");
    }
}
