use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::*;
use crate::order::ChallengeType;
use crate::validation::policy::AddressPolicy;
use crate::validation::testing::{Dns, Peer, ok, proof, redirect};

const NAME: &str = "a.example";

/// Loopback may be dialled, but for 127.0.0.9.
fn dialer(dns: &Dns) -> Dialer {
    let allow = vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
    let deny = vec!["127.0.0.9/32".parse().unwrap()];
    Dialer::new(dns.resolver(), AddressPolicy::new(allow, deny))
}

async fn check(dns: &Dns, port: u16, proof: &Proof) -> Result<(), Failure> {
    let http01 = Http01::new(port, &[]).unwrap();
    let dialer = dialer(dns);
    let check = http01.check(&dialer, proof);
    tokio::time::timeout(Duration::from_secs(5), check)
        .await
        .unwrap()
}

/// Checks `a.example` against a web server on 127.0.0.1 that answers by `answer`.
async fn check_against(
    answer: impl Fn(&str, &Proof) -> String + Send + Sync + 'static,
) -> Result<(), (FailureKind, String)> {
    let dns = Dns::start();
    dns.host(NAME, "127.0.0.1");
    let proof = proof(ChallengeType::Http01, NAME);
    let known = proof.clone();
    let peer = Peer::web(move |head| answer(head, &known)).await;
    let result = check(&dns, peer.port, &proof).await;
    result.map_err(|failure| (failure.kind, failure.detail))
}

#[tokio::test]
async fn the_key_authorization_is_accepted() {
    check_against(|head, proof| {
        let line = format!(
            "GET /.well-known/acme-challenge/{} HTTP/1.1\r\n",
            proof.token.as_str()
        );
        assert!(head.starts_with(&line), "{head}");
        assert!(head.contains("host: a.example:"), "{head}");
        ok(&proof.key_authorization)
    })
    .await
    .unwrap();
    // RFC 8555 §8.3: white space at the end of the body is ignored.
    check_against(|_, proof| ok(&format!("{} \r\n\t\n", proof.key_authorization)))
        .await
        .unwrap();
    check_against(|_, proof| format!("HTTP/1.0 200 OK\r\n\r\n{}", proof.key_authorization))
        .await
        .unwrap();
    check_against(|_, proof| {
        let (head, tail) = proof.key_authorization.split_at(10);
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n{head}\r\n{:x}\r\n{tail}\r\n0\r\n\r\n",
            tail.len()
        )
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn other_content_is_refused_and_never_told() {
    for make in [
        (|_| ok("secret of an inner host")) as fn(&Proof) -> String,
        |_| ok(""),
        |proof| ok(&format!(" {}", proof.key_authorization)),
        |proof| ok(&format!("{}x", proof.key_authorization)),
        |proof| ok(&format!("{}{}", proof.key_authorization, " ".repeat(512))),
        |_| ok(&"secret".repeat(1_000_000)),
    ] {
        let (kind, detail) = check_against(move |_, proof| make(proof))
            .await
            .unwrap_err();
        assert_eq!(kind, FailureKind::IncorrectResponse);
        assert!(!detail.contains("secret"), "{detail}");
    }
}

#[tokio::test]
async fn other_statuses_are_refused() {
    for (answer, expect) in [
        (
            "HTTP/1.1 404 Secret\r\nContent-Length: 6\r\n\r\nsecret",
            FailureKind::Unauthorized,
        ),
        (
            "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
            FailureKind::Unauthorized,
        ),
        (
            "HTTP/1.1 303 See Other\r\nLocation: /\r\n\r\n",
            FailureKind::Unauthorized,
        ),
        (
            "HTTP/1.1 304 Not Modified\r\n\r\n",
            FailureKind::Unauthorized,
        ),
        (
            "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
            FailureKind::Connection,
        ),
        ("SSH-2.0-OpenSSH_9.2\r\n", FailureKind::Connection),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort",
            FailureKind::Connection,
        ),
        ("", FailureKind::Connection),
    ] {
        let (kind, detail) = check_against(move |_, _| answer.into()).await.unwrap_err();
        assert_eq!(kind, expect, "{answer}");
        assert!(!detail.to_lowercase().contains("secret"), "{detail}");
        assert!(!detail.contains("127.0.0.1"), "{detail}");
    }
}

#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    let dns = Dns::start();
    dns.host(NAME, "127.0.0.1");
    let peer = Peer::start("127.0.0.1:0", |mut stream, _| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while stream.write_all(&[b'x'; 1000]).await.is_ok() {}
    })
    .await;
    let failure = check(&dns, peer.port, &proof(ChallengeType::Http01, NAME))
        .await
        .unwrap_err();
    assert_eq!(failure.kind, FailureKind::Connection);
}

#[tokio::test]
async fn redirects_are_followed() {
    for status in [301, 302, 307, 308] {
        check_against(move |head, proof| {
            if head.starts_with("GET /elsewhere?x=1 ") {
                ok(&proof.key_authorization)
            } else {
                redirect(status, "/elsewhere?x=1#fragment")
            }
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn ten_redirects_and_no_more() {
    fn hops(last: u32) -> impl Fn(&str, &Proof) -> String + Send + Sync + 'static {
        move |head, proof| {
            let hop = head
                .strip_prefix("GET /hop")
                .and_then(|rest| rest.split(' ').next());
            let hop: u32 = hop.map_or(0, |number| number.parse().unwrap());
            if hop == last {
                ok(&proof.key_authorization)
            } else {
                redirect(302, &format!("/hop{}", hop + 1))
            }
        }
    }
    check_against(hops(10)).await.unwrap();
    let (kind, detail) = check_against(hops(11)).await.unwrap_err();
    assert_eq!(kind, FailureKind::Connection);
    assert!(detail.contains("more than 10"), "{detail}");
}

#[tokio::test]
async fn a_circle_is_noticed() {
    let (kind, detail) = check_against(|head, _| {
        redirect(
            302,
            if head.starts_with("GET /b ") {
                "/a"
            } else {
                "/b"
            },
        )
    })
    .await
    .unwrap_err();
    assert_eq!(kind, FailureKind::Connection);
    assert!(detail.contains("circle"), "{detail}");
}

/// What the rules refuse is not dialled: the address, the range, the port.
#[tokio::test]
async fn redirects_lead_nowhere_else() {
    let inner = Peer::start("127.0.0.9:0", |_, _| async { panic!("dialled") }).await;
    let port = inner.port;
    for (location, expect) in [
        (format!("http://127.0.0.9:{port}/"), "address"),
        (format!("http://denied.example:{port}/"), "does not dial"),
        ("http://denied.example/".into(), "does not dial"),
        ("https://denied.example/".into(), "does not dial"),
        ("http://a.example:1/".into(), "does not dial"),
    ] {
        let dns = Dns::start();
        dns.host(NAME, "127.0.0.1");
        dns.host("denied.example", "127.0.0.9");
        let peer = Peer::web({
            let location = location.clone();
            move |_| redirect(302, &location)
        })
        .await;
        let http01 = Http01::new(peer.port, &[port]).unwrap();
        let proof = proof(ChallengeType::Http01, NAME);
        let failure = http01.check(&dialer(&dns), &proof).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Connection);
        assert!(
            failure.detail.contains(expect),
            "{location}: {}",
            failure.detail
        );
        assert!(!failure.detail.contains("127.0.0.9"), "{}", failure.detail);
    }
}

#[tokio::test]
async fn a_denied_address_is_not_dialled_and_not_named() {
    let dns = Dns::start();
    dns.host(NAME, "127.0.0.9");
    dns.host(NAME, "169.254.169.254");
    let inner = Peer::start("127.0.0.9:0", |_, _| async { panic!("dialled") }).await;
    let failure = check(&dns, inner.port, &proof(ChallengeType::Http01, NAME))
        .await
        .unwrap_err();
    assert_eq!(failure.kind, FailureKind::Connection);
    assert!(
        failure.detail.contains("does not dial"),
        "{}",
        failure.detail
    );
    assert!(!failure.detail.contains("127."), "{}", failure.detail);
}

/// A second look-up could give another address than the one that was checked: there is none.
#[tokio::test]
async fn rebinding_gains_nothing() {
    let dns = Dns::start();
    dns.once(NAME, "127.0.0.1");
    dns.host(NAME, "127.0.0.9");
    let proof = proof(ChallengeType::Http01, NAME);
    let known = proof.key_authorization.clone();
    let peer = Peer::web(move |_| ok(&known)).await;
    check(&dns, peer.port, &proof).await.unwrap();
    let asked = dns.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");

    // A redirect to the same name is a new connection, and what it looks up is checked again.
    let dns = Dns::start();
    dns.once(NAME, "127.0.0.1");
    dns.host(NAME, "127.0.0.9");
    let peer = Peer::web(|_| redirect(302, "/again")).await;
    let failure = check(&dns, peer.port, &proof).await.unwrap_err();
    assert!(
        failure.detail.contains("does not dial"),
        "{}",
        failure.detail
    );
}

#[tokio::test]
async fn a_dead_ipv6_address_does_not_hide_ipv4() {
    let dns = Dns::start();
    dns.host(NAME, "::1");
    dns.host(NAME, "127.0.0.1");
    let proof = proof(ChallengeType::Http01, NAME);
    let known = proof.key_authorization.clone();
    let peer = Peer::web(move |_| ok(&known)).await;
    check(&dns, peer.port, &proof).await.unwrap();
}

#[tokio::test]
async fn a_name_of_this_machine_needs_no_resolver() {
    let dns = Dns::start();
    let proof = proof(ChallengeType::Http01, "www.localhost");
    let known = proof.key_authorization.clone();
    let peer = Peer::web(move |_| ok(&known)).await;
    check(&dns, peer.port, &proof).await.unwrap();
    assert!(dns.asked().is_empty());
}

#[tokio::test]
async fn what_can_not_be_reached_is_said() {
    let dns = Dns::start();
    dns.host(NAME, "127.0.0.1");
    dns.txt("text.example", &["no address"]);
    dns.fail("broken.example");
    let unused = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    for (name, kind) in [
        (NAME, FailureKind::Connection),
        ("missing.example", FailureKind::Dns),
        ("text.example", FailureKind::Dns),
        ("broken.example", FailureKind::Dns),
    ] {
        let failure = check(&dns, unused, &proof(ChallengeType::Http01, name))
            .await
            .unwrap_err();
        assert_eq!(failure.kind, kind, "{name}");
        assert!(failure.detail.contains(name));
    }
}

/// RFC 8555 §8.3: a redirect may lead to https, whatever certificate is shown there.
#[tokio::test]
async fn https_after_a_redirect_is_not_verified() {
    use tokio_rustls::TlsAcceptor;

    let proof = proof(ChallengeType::Http01, NAME);
    let made = rcgen::generate_simple_self_signed(vec!["other.example".into()]).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(
        vec![made.cert.der().clone()],
        rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap(),
    )
    .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tls_port = listener.local_addr().unwrap().port();
    let answer = ok(&proof.key_authorization);
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(Arc::new(config))
            .accept(stream)
            .await
            .unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    let dns = Dns::start();
    dns.host(NAME, "127.0.0.1");
    let peer = Peer::web(move |_| redirect(301, &format!("https://a.example:{tls_port}/"))).await;
    let http01 = Http01::new(peer.port, &[tls_port]).unwrap();
    http01.check(&dialer(&dns), &proof).await.unwrap();
    server.await.unwrap();

    // A port that does not speak TLS is a failure of its own kind.
    let plain = Peer::web(|_| ok("plain")).await;
    let port = plain.port;
    let peer = Peer::web(move |_| redirect(301, &format!("https://a.example:{port}/"))).await;
    let http01 = Http01::new(peer.port, &[port]).unwrap();
    let dialer = dialer(&dns);
    let check = http01.check(&dialer, &proof);
    let result = tokio::time::timeout(Duration::from_millis(500), check).await;
    assert!(!matches!(result, Ok(Ok(()))));
}
