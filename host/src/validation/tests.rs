//! The validator as a whole: what its configuration bounds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::testing::{Dns, Peer, ok, proof};
use super::*;

fn config(resolver: SocketAddr, http01_port: u16) -> config::Validation {
    config::Validation {
        resolver: Some(resolver),
        http01_port,
        tls_alpn01_port: 443,
        redirect_ports: vec![],
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        deny: vec![],
        timeout: Duration::from_millis(300),
        concurrency: 2,
    }
}

#[tokio::test]
async fn an_attempt_is_bounded_as_a_whole() {
    // Each byte comes in time, the whole never does.
    let peer = Peer::start("127.0.0.1:0", |mut stream, _| async move {
        use tokio::io::AsyncWriteExt as _;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let dns = Dns::start();
    dns.host("a.example", "127.0.0.1");
    let validator = RealValidator::new(&config(dns.address, peer.port)).unwrap();
    let start = Instant::now();
    let failure = validator
        .validate(&proof(ChallengeType::Http01, "a.example"))
        .await;
    let failure = failure.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Connection);
    assert!(
        failure.detail.contains("took too long"),
        "{}",
        failure.detail
    );
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_silent_resolver_is_a_dns_failure() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let validator = RealValidator::new(&config(silent.local_addr().unwrap(), 80)).unwrap();
    let failure = validator
        .validate(&proof(ChallengeType::Dns01, "a.example"))
        .await;
    assert_eq!(failure.unwrap_err().kind, FailureKind::Dns);
}

#[tokio::test]
async fn checks_at_once_are_bounded() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let peer = Peer::start("127.0.0.1:0", move |mut stream, _| {
        use tokio::io::AsyncWriteExt as _;
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(30)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            let _ = stream.write_all(ok("wrong").as_bytes()).await;
        }
    })
    .await;
    let dns = Dns::start();
    dns.host("a.example", "127.0.0.1");
    let validator = Arc::new(RealValidator::new(&config(dns.address, peer.port)).unwrap());
    let mut checks = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let validator = Arc::clone(&validator);
        checks.spawn(async move {
            validator
                .validate(&proof(ChallengeType::Http01, "a.example"))
                .await
        });
    }
    for result in checks.join_all().await {
        assert_eq!(result.unwrap_err().kind, FailureKind::IncorrectResponse);
    }
    assert_eq!(seen.load(Ordering::SeqCst), 2);
}
