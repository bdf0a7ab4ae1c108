//! Every extension of a plugin over the wire and back, with both sides in this program.

use std::time::{Duration, SystemTime};

use crate::abi::client::{Instance, Plugin, Provided};
use crate::abi::root::{RootRef, root};
use crate::abi::types::{
    MAX_ALTERNATES, MAX_CERTIFICATE, MAX_CHAIN, MAX_CODE, MAX_NEWS, MAX_POLL_ID, MAX_PRIVATE,
    MAX_PUBLIC,
};
use crate::export::Export;
use crate::testing::FakeHost;
use crate::*;

config! {
    /// What the mock does.
    struct Config {
        #[serde(default)]
        panics_in: String,
        #[serde(default)]
        validity: Option<HumanDuration>,
        #[serde(default)]
        nested: Vec<Nested>,
    }

    struct Nested {
        password: SecretRef,
    }
}

/// Answers as its request says.
struct Mock {
    config: Config,
    host: Host,
}

impl Drop for Mock {
    fn drop(&mut self) {
        maybe_panic(&self.config, "drop");
    }
}

fn maybe_panic(config: &Config, here: &str) {
    if config.panics_in == here {
        panic!("told to panic in {here}");
    }
}

impl CaHandler for Mock {
    type Config = Config;

    fn open(config: Config, host: Host) -> Result<Self, Fault> {
        maybe_panic(&config, "open");
        host.debug("opened", &[("validity", &format!("{:?}", config.validity))]);
        Ok(Self { config, host })
    }

    fn enroll(&self, request: &EnrollRequest) -> Result<Enrollment, Fault> {
        maybe_panic(&self.config, "enroll");
        match request.enrollment_id.as_str() {
            // What came across, as text.
            "echo" => Ok(Enrollment::Issued(Chain::new(vec![
                format!("{request:?}").into_bytes(),
            ]))),
            "pending" => Ok(Enrollment::Pending {
                poll_id: "p-1".to_owned(),
                retry_after: Some(Duration::from_millis(1500)),
            }),
            "endless" => Ok(Enrollment::Pending {
                poll_id: "x".repeat(MAX_POLL_ID + 1),
                retry_after: None,
            }),
            "nothing" => Ok(Enrollment::Issued(Chain::new(Vec::new()))),
            "many" => Ok(Enrollment::Issued(Chain::new(vec![vec![0]; MAX_CHAIN + 1]))),
            "large" => Ok(Enrollment::Issued(Chain::new(vec![vec![
                0;
                MAX_CERTIFICATE
                    + 1
            ]]))),
            "alternates" => Ok(Enrollment::Issued(Chain {
                certificates: vec![vec![0]],
                alternates: vec![vec![vec![1]]; 2],
            })),
            "all-alternates" => Ok(Enrollment::Issued(Chain {
                certificates: vec![vec![0]],
                alternates: vec![vec![vec![1]]; MAX_ALTERNATES + 1],
            })),
            "long" => Err(Fault::denied("é\u{7}".repeat(100_000))
                .code("c".repeat(1000))
                .private("ü\n".repeat(100_000))
                .retry_after(Duration::MAX)),
            id => Err(Fault::busy("later")
                .code(id)
                .private("detail")
                .retry_after(Duration::from_secs(7))),
        }
    }

    fn ca_certs_get(&self) -> Result<CaCerts, Fault> {
        maybe_panic(&self.config, "ca_certs_get");
        Ok(CaCerts {
            certificates: vec![vec![1], vec![2, 3]],
        })
    }

    fn poll(&self, request: &PollRequest) -> Result<Poll, Fault> {
        maybe_panic(&self.config, "poll");
        match request.poll_id.as_str() {
            "issued" => Ok(Poll::Issued(Chain::new(vec![request.csr.clone()]))),
            "rejected" => Ok(Poll::Rejected {
                reason: format!("no\n{}", request.enrollment_id),
            }),
            id => Ok(Poll::Pending {
                poll_id: format!("{id}+"),
                retry_after: None,
            }),
        }
    }

    fn recover(&self, request: &RecoverRequest) -> Result<Recovery, Fault> {
        maybe_panic(&self.config, "recover");
        match request.enrollment_id.as_str() {
            "issued" => Ok(Recovery::Issued(Chain::new(vec![request.csr.clone()]))),
            "pending" => Ok(Recovery::Pending {
                poll_id: "p".to_owned(),
                retry_after: Some(Duration::from_secs(3)),
            }),
            "rejected" => Ok(Recovery::Rejected {
                reason: "no\nway".to_owned(),
            }),
            "cut" => Err(Fault::unknown_outcome("who knows")),
            _ => Ok(Recovery::NotFound),
        }
    }

    fn push(&self, request: &PushRequest) -> Result<Vec<News>, Fault> {
        maybe_panic(&self.config, "push");
        match request.payload.as_slice() {
            b"nobody" => Ok(vec![News::changed("")]),
            b"many" => Ok(vec![News::changed("p"); MAX_NEWS + 1]),
            payload => {
                let told = format!("{:?}", request.headers);
                let reason = format!("{told}\n{}", request.request_id);
                Ok(vec![
                    News::changed("p"),
                    News::issued(Chain::new(vec![payload.to_vec()])),
                    News {
                        poll_id: "q".to_owned(),
                        answer: Some(Poll::Rejected { reason }),
                    },
                ])
            }
        }
    }

    fn health(&self) -> Result<(), Fault> {
        maybe_panic(&self.config, "health");
        Err(Fault::upstream("down"))
    }

    fn revoke(&self, request: &RevokeRequest) -> Result<(), Fault> {
        maybe_panic(&self.config, "revoke");
        match request.reason {
            RevocationReason::KeyCompromise => Err(Fault::already_revoked()),
            _ => {
                let code = [request.reason.code()];
                self.host.state_put("revoked", &code).map(drop)
            }
        }
    }

    fn crl(&self) -> Result<Crl, Fault> {
        maybe_panic(&self.config, "crl");
        Ok(Crl {
            der: vec![0x30; 10],
            next_update: self.host.now() + Duration::from_secs(60),
        })
    }

    fn validate_config(config: &Config, host: &Host) -> Vec<ConfigNote> {
        maybe_panic(config, "validate_config");
        let found = config
            .nested
            .first()
            .map(|nested| host.secret(&nested.password));
        match found {
            Some(Err(fault)) => vec![ConfigNote::error("nested[0].password", fault.public)],
            _ => vec![ConfigNote::warning("", "all is well")],
        }
    }
}

macro_rules! export {
    ($name:ident, $id:literal, $abilities:expr) => {
        struct $name;
        impl Export for $name {
            type Handler = Mock;
            const ID: &'static str = $id;
            const VERSION: &'static str = "0.7.0";
            const VENDOR: &'static str = "Tests";
            const ABILITIES: &'static [&'static str] = $abilities;
        }
    };
}
export!(
    Full,
    "full",
    &[
        "poll",
        "recover",
        "idempotent",
        "stateless",
        "push",
        "health",
        "revoke",
        "crl",
        "validate_config"
    ]
);
export!(Bare, "bare", &[]);

fn plugin(root: RootRef) -> Plugin {
    let (plugin, left_out) = Plugin::connect(root).unwrap();
    assert!(left_out.is_empty());
    plugin
}

fn open(config: &str, host: &FakeHost) -> Result<Instance, Fault> {
    plugin(root::<Full>()).open(config, host.services())
}

fn enroll(id: &str) -> Result<Enrollment, Fault> {
    open("{}", &FakeHost::new())?.enroll(&EnrollRequest::new(id, [0x30, 0], Vec::new()))
}

#[test]
fn plugins_say_who_they_are() {
    let full = plugin(root::<Full>());
    assert_eq!(full.description().id.as_str(), "full");
    assert_eq!(full.description().version.as_str(), "0.7.0");
    assert_eq!(full.description().vendor.as_str(), "Tests");
    assert_eq!(full.description().api_version.as_str(), abi::API_VERSION);
    let all = Provided {
        poll: true,
        recover: true,
        idempotent: true,
        stateless: true,
        push: true,
        health: true,
        revoke: true,
        crl: true,
        validate_config: true,
    };
    assert_eq!(full.provided(), all);
    assert_eq!(plugin(root::<Bare>()).provided(), Provided::default());
    let schema: serde_json::Value = serde_json::from_str(&full.schema()).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    assert!(schema["properties"]["nested"].is_object());
}

#[test]
fn a_request_arrives_as_it_was_sent() {
    let mut request = EnrollRequest::new(
        "echo",
        [1, 2, 3],
        vec![
            Identifier::Dns("*.example.test".to_owned()),
            Identifier::Ip("2001:db8::1".parse().unwrap()),
            Identifier::Other {
                kind: "email".to_owned(),
                value: "a@example.test".to_owned(),
            },
            Identifier::Other {
                kind: "ip".to_owned(),
                value: "no address".to_owned(),
            },
        ],
    );
    request.profile = Some("server".to_owned());
    request.not_before = Some(SystemTime::UNIX_EPOCH - Duration::from_millis(1500));
    // 9999-12-31T23:59:59Z, the end of time for a certificate
    request.not_after = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799));
    request.endpoint = "default".to_owned();
    request.request_id = "r-1".to_owned();
    request.extras.insert("key".to_owned(), "value".to_owned());
    let requesters = [
        Requester::AcmeAccount {
            account: "a".to_owned(),
            eab_key_id: Some("k".to_owned()),
        },
        Requester::AcmeAccount {
            account: "a".to_owned(),
            eab_key_id: None,
        },
        Requester::EstUser {
            name: "u".to_owned(),
        },
        Requester::ClientCertificate {
            certificate: vec![9; 99],
        },
        Requester::Host,
        Requester::Other {
            name: "x".to_owned(),
        },
    ];
    let protocols = [
        Protocol::Acme,
        Protocol::Est,
        Protocol::Internal,
        Protocol::Other,
    ];
    let handler = open("{}", &FakeHost::new()).unwrap();
    for (requester, protocol) in requesters.into_iter().zip(protocols.into_iter().cycle()) {
        request.requester = requester;
        request.protocol = protocol;
        let Enrollment::Issued(chain) = handler.enroll(&request).unwrap() else {
            panic!()
        };
        assert_eq!(
            String::from_utf8_lossy(&chain.certificates[0]),
            format!("{request:?}")
        );
    }
}

#[test]
fn answers_arrive_as_they_were_given() {
    let pending = Enrollment::Pending {
        poll_id: "p-1".to_owned(),
        retry_after: Some(Duration::from_millis(1500)),
    };
    assert_eq!(enroll("pending"), Ok(pending));
    let Ok(Enrollment::Issued(chain)) = enroll("alternates") else {
        panic!()
    };
    assert_eq!(chain.alternates, vec![vec![vec![1]]; 2]);
    let fault = Fault::busy("later").code("busy-1").private("detail");
    assert_eq!(
        enroll("busy-1"),
        Err(fault.retry_after(Duration::from_secs(7)))
    );
}

#[test]
fn answers_that_break_the_contract_are_faults() {
    for id in ["endless", "nothing", "many", "large", "all-alternates"] {
        let fault = enroll(id).unwrap_err();
        assert_eq!(fault.class, FaultClass::Internal, "{id}");
        assert!(!fault.private.is_empty(), "{id}");
    }
    let fault = enroll("long").unwrap_err();
    assert_eq!(fault.class, FaultClass::Denied);
    assert!(fault.public.len() <= MAX_PUBLIC && !fault.public.contains('\u{7}'));
    assert!(fault.private.len() <= MAX_PRIVATE && fault.code.len() <= MAX_CODE);
    assert_eq!(fault.private.lines().count(), 1);
}

#[test]
fn the_other_abilities() {
    let host = FakeHost::new().at(SystemTime::UNIX_EPOCH + Duration::from_secs(1000));
    let handler = open("{}", &host).unwrap();
    assert_eq!(
        handler.ca_certs_get().unwrap().certificates,
        [vec![1], vec![2, 3]]
    );
    let poll = |id: &str| handler.poll(&PollRequest::new("e", id, [7, 7])).unwrap();
    assert_eq!(poll("issued"), Poll::Issued(Chain::new(vec![vec![7, 7]])));
    assert_eq!(
        poll("rejected"),
        Poll::Rejected {
            reason: "no e".to_owned()
        }
    );
    assert_eq!(
        poll("p"),
        Poll::Pending {
            poll_id: "p+".to_owned(),
            retry_after: None
        }
    );
    let recover = |id: &str| handler.recover(&RecoverRequest::new(id, [7, 7]));
    assert_eq!(
        recover("issued"),
        Ok(Recovery::Issued(Chain::new(vec![vec![7, 7]])))
    );
    let pending = Recovery::Pending {
        poll_id: "p".to_owned(),
        retry_after: Some(Duration::from_secs(3)),
    };
    assert_eq!(recover("pending"), Ok(pending));
    let reason = "no way".to_owned();
    assert_eq!(recover("rejected"), Ok(Recovery::Rejected { reason }));
    assert_eq!(recover("nothing"), Ok(Recovery::NotFound));
    assert_eq!(recover("cut"), Err(Fault::unknown_outcome("who knows")));
    let mut push = PushRequest::new([7, 7]);
    push.headers.insert("a".to_owned(), "b".to_owned());
    push.request_id = "r".to_owned();
    let news = handler.push(&push).unwrap();
    assert_eq!(news[0], News::changed("p"));
    assert_eq!(news[1], News::issued(Chain::new(vec![vec![7, 7]])));
    let reason = "{\"a\": \"b\"} r".to_owned();
    assert_eq!(news[2].answer, Some(Poll::Rejected { reason }));
    for payload in ["nobody", "many"] {
        let fault = handler.push(&PushRequest::new(payload)).unwrap_err();
        assert_eq!(fault.class, FaultClass::Internal, "{payload}");
    }
    assert_eq!(handler.health(), Err(Fault::upstream("down")));
    let revoke = |reason| handler.revoke(&RevokeRequest::new([1], reason));
    assert_eq!(revoke(RevocationReason::Superseded), Ok(()));
    assert_eq!(host.state_get("revoked").unwrap().unwrap().value, [4]);
    let again = revoke(RevocationReason::KeyCompromise).unwrap_err();
    assert_eq!(again.class, FaultClass::AlreadyRevoked);
    let crl = handler.crl().unwrap();
    assert_eq!(
        crl.next_update,
        SystemTime::UNIX_EPOCH + Duration::from_secs(1060)
    );
}

#[test]
fn absent_abilities_are_never_called() {
    let host = FakeHost::new();
    let bare = plugin(root::<Bare>());
    let handler = bare.open("{}", host.services()).unwrap();
    let faults = [
        handler.poll(&PollRequest::new("e", "p", [1])).unwrap_err(),
        handler
            .revoke(&RevokeRequest::new([1], RevocationReason::Unspecified))
            .unwrap_err(),
        handler.crl().unwrap_err(),
        handler.recover(&RecoverRequest::new("e", [1])).unwrap_err(),
        handler.push(&PushRequest::new([1])).unwrap_err(),
        handler.health().unwrap_err(),
    ];
    for fault in faults {
        assert_eq!(fault.class, FaultClass::Unsupported);
    }
    assert!(bare.validate_config("nonsense", host.services()).is_empty());
}

#[test]
fn configurations_are_checked_by_key() {
    let host = FakeHost::new().secret_env("THERE", "x");
    let cases = [
        (r#"{ "panics_on": "x" }"#, "panics_on", "unknown field"),
        (
            r#"{ "validity": "soon" }"#,
            "validity",
            "write a whole number with its unit",
        ),
        (r#"{ "validity": 7 }"#, "validity", "expected"),
        (
            r#"{ "nested": [{ "password": { "env": 7 } }] }"#,
            "nested[0].password",
            "expected",
        ),
        (
            r#"{ "nested": [{}] }"#,
            "nested[0]",
            "missing field `password`",
        ),
        ("7", "", "expected struct Config"),
        ("{", "", "no JSON"),
    ];
    let full = plugin(root::<Full>());
    for (config, key, message) in cases {
        let notes = full.validate_config(config, host.services());
        assert_eq!(notes.len(), 1, "{config}");
        assert!(notes[0].key.starts_with(key), "{config}: {notes:?}");
        assert!(notes[0].message.contains(message), "{config}: {notes:?}");
        // Lines and columns would be those of the JSON, which nobody wrote.
        assert!(
            config == "{" || !notes[0].message.contains(" line "),
            "{notes:?}"
        );
        assert_eq!(notes[0].severity, Severity::Error);
        let fault = full.open(config, host.services()).err().unwrap();
        assert_eq!(fault.class, FaultClass::Misconfigured, "{config}");
        assert!(
            fault.public.contains(key) && fault.public.contains(message),
            "{fault}"
        );
    }
    let secret = |name| format!(r#"{{ "nested": [{{ "password": {{ "env": "{name}" }} }}] }}"#);
    let note = &full.validate_config(&secret("MISSING"), host.services())[0];
    assert_eq!(
        (note.key.as_str(), note.severity),
        ("nested[0].password", Severity::Error)
    );
    let note = &full.validate_config(&secret("THERE"), host.services())[0];
    assert_eq!(note.severity, Severity::Warning);
}

/// Whether the host was told. Other tests of this process panic on other threads meanwhile, and the
/// host that opened last is told of those, too.
fn logged(host: &FakeHost, place: &str) -> bool {
    let text = format!("told to panic in {place}");
    host.lines().iter().any(|line| {
        line.message == "the CA handler panicked"
            && line.fields.get("panic").is_some_and(|panic| *panic == text)
    })
}

#[test]
fn panics_stay_inside_and_are_told() {
    let host = FakeHost::new();
    let config = |place: &str| format!(r#"{{ "panics_in": "{place}" }}"#);
    let told = |fault: Fault, place: &str| {
        assert_eq!(fault.class, FaultClass::Panicked, "{place}");
        assert!(
            fault.private.contains(&format!("told to panic in {place}")),
            "{fault}"
        );
        assert!(fault.private.contains("round_trip.rs"), "{fault}");
        assert!(logged(&host, place), "{:?}", host.lines());
    };
    told(open(&config("open"), &host).err().unwrap(), "open");
    let on = |place: &str| open(&config(place), &host).unwrap();
    let request = EnrollRequest::new("echo", [1], Vec::new());
    told(on("enroll").enroll(&request).unwrap_err(), "enroll");
    told(
        on("ca_certs_get").ca_certs_get().unwrap_err(),
        "ca_certs_get",
    );
    told(
        on("poll")
            .poll(&PollRequest::new("e", "p", [1]))
            .unwrap_err(),
        "poll",
    );
    let recover = RecoverRequest::new("e", [1]);
    told(on("recover").recover(&recover).unwrap_err(), "recover");
    told(on("push").push(&PushRequest::new([1])).unwrap_err(), "push");
    told(on("health").health().unwrap_err(), "health");
    let revoke = RevokeRequest::new([1], RevocationReason::Unspecified);
    told(on("revoke").revoke(&revoke).unwrap_err(), "revoke");
    told(on("crl").crl().unwrap_err(), "crl");
    drop(on("drop"));
    assert!(logged(&host, "drop"), "{:?}", host.lines());
    let full = plugin(root::<Full>());
    let notes = full.validate_config(&config("validate_config"), host.services());
    assert!(notes[0].message.contains("told to panic"), "{notes:?}");
}
