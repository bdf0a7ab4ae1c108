//! RFC 8737: tls-alpn-01.

use aws_lc_rs::digest::{SHA256, digest};
use certdock_tests::World;
use certdock_tests::challenge::TlsAlpn01;

use crate::rfc8555::s8_3::Attempt;

fn hash(key_authorization: &str) -> Vec<u8> {
    digest(&SHA256, key_authorization.as_bytes())
        .as_ref()
        .to_vec()
}

fn named(name: &str) -> Vec<String> {
    vec![name.to_owned()]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_certificate_is_valid() {
    let world = World::start().await;
    let mut attempt = Attempt::new(&world).await;
    attempt
        .check_valid("right", "tls-alpn-01", "right.test", |world, _, key| {
            world.tls_alpn01.set("right.test", key);
        })
        .await;
}

/// RFC 8737 §3, each condition in turn.
#[tokio::test(flavor = "multi_thread")]
async fn other_certificates_are_refused() {
    let world = World::start().await;
    let mut attempt = Attempt::new(&world).await;
    type Prepare = fn(&World, &str, &str);
    let cases: [(&str, &str, Prepare); 6] = [
        ("another hash", "hash.test", |world, _, _| {
            let wrong = [1; 32];
            world
                .tls_alpn01
                .set_certificate("hash.test", named("hash.test"), Some(&wrong), true);
        }),
        ("not critical", "soft.test", |world, _, key| {
            world.tls_alpn01.set_certificate(
                "soft.test",
                named("soft.test"),
                Some(&hash(key)),
                false,
            );
        }),
        ("no extension", "bare.test", |world, _, _| {
            world
                .tls_alpn01
                .set_certificate("bare.test", named("bare.test"), None, true);
        }),
        ("another name", "name.test", |world, _, key| {
            world.tls_alpn01.set_certificate(
                "name.test",
                named("else.test"),
                Some(&hash(key)),
                true,
            );
        }),
        ("two names", "two.test", |world, _, key| {
            let names = vec!["two.test".to_owned(), "more.test".to_owned()];
            world
                .tls_alpn01
                .set_certificate("two.test", names, Some(&hash(key)), true);
        }),
        ("no certificate", "none.test", |_, _, _| {}),
    ];
    for (case, name, prepare) in cases {
        let types = ["unauthorized", "incorrectResponse", "tls", "connection"];
        attempt
            .check_refused(case, "tls-alpn-01", name, &types, prepare)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_protocol_is_refused() {
    let other = TlsAlpn01::start_with_protocol(b"http/1.1").await;
    let port = other.port();
    let world = World::with(|settings| settings.tls_alpn01_port = port).await;
    let mut attempt = Attempt::new(&world).await;
    let types = ["unauthorized", "incorrectResponse", "tls", "connection"];
    attempt
        .check_refused(
            "http/1.1",
            "tls-alpn-01",
            "alpn.test",
            &types,
            |_, _, key| {
                other.set("alpn.test", key);
            },
        )
        .await;
}
