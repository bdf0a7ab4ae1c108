//! RFC 7030 §3.5 and RFC 9266: a request is bound to the connection that it comes over.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certdock_tests::est::{Caller, Csr, EstWorld, post_bound};
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

const MORE: &str = r#"
[est.bound]
handler = "local"
names = ["*.est.test"]
channel_binding = "required"

[est.unbound]
handler = "local"
names = ["*.est.test"]
channel_binding = "ignored"
"#;

/// What stands in the challengePassword.
#[derive(Debug, Clone, Copy)]
enum Binding {
    Right,
    Wrong,
    None,
}

async fn ask(world: &EstWorld, label: &str, user: &Caller, binding: Binding) -> u16 {
    let csr = |value: [u8; 32]| match binding {
        Binding::Right => Csr::with_challenge("bound.est.test", &STANDARD.encode(value)).der,
        Binding::Wrong => Csr::with_challenge("bound.est.test", &STANDARD.encode([7; 32])).der,
        Binding::None => Csr::new("bound.est.test").der,
    };
    let path = format!("{label}/simpleenroll");
    let answer = post_bound(world.port(), &path, user, csr).await.unwrap();
    answer.status()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_binding_is_checked() {
    let world = EstWorld::with(|settings| settings.more.push_str(MORE)).await;
    let user = world.user("device").await;
    let cases: [(&SupportedProtocolVersion, &str, [bool; 3]); 6] = [
        // right, wrong, none
        (&TLS13, "default", [true, false, true]),
        (&TLS13, "bound", [true, false, false]),
        (&TLS13, "unbound", [true, true, true]),
        // RFC 9266 §4.1: tls-exporter is for TLS 1.3, and tls-unique the library does not give.
        (&TLS12, "default", [false, false, true]),
        (&TLS12, "bound", [false, false, false]),
        (&TLS12, "unbound", [true, true, true]),
    ];
    for (tls, label, granted) in cases {
        let bindings = [Binding::Right, Binding::Wrong, Binding::None];
        for (binding, granted) in bindings.into_iter().zip(granted) {
            let case = format!("{:?} {label} {binding:?}", tls.version);
            let status = ask(&world, label, &user.clone().over(tls), binding).await;
            if granted {
                assert_eq!(status, 200, "{case}");
            } else {
                assert!([400, 403].contains(&status), "{case}: {status}");
            }
        }
    }
}
