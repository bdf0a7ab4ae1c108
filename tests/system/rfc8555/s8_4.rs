//! RFC 8555 §8.4: dns-01.

use aws_lc_rs::digest::{SHA256, digest};
use certdock_tests::World;
use certdock_tests::acme::b64;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::s8_3::Attempt;

fn value(key_authorization: &str) -> String {
    b64(digest(&SHA256, key_authorization.as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn right_records_are_valid() {
    let world = World::start().await;
    let mut attempt = Attempt::new(&world).await;
    attempt
        .check_valid("one record", "dns-01", "one.test", |world, _, key| {
            world.dns.add_txt("_acme-challenge.one.test", &value(key));
        })
        .await;
    assert!(
        world
            .dns
            .queries("_acme-challenge.one.test", RecordType::TXT)
            > 0
    );
    attempt
        .check_valid("among others", "dns-01", "many.test", |world, _, key| {
            for text in ["older", "v=spf1 -all", &value(key), "newer"] {
                world.dns.add_txt("_acme-challenge.many.test", text);
            }
        })
        .await;
    attempt
        .check_valid("a wildcard", "dns-01", "*.wild.test", |world, _, key| {
            world.dns.add_txt("_acme-challenge.wild.test", &value(key));
        })
        .await;
    attempt
        .check_valid("a CNAME", "dns-01", "moved.test", |world, _, key| {
            world
                .dns
                .set_cname("_acme-challenge.moved.test", "moved.validation.test");
            world.dns.add_txt("moved.validation.test", &value(key));
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_records_are_refused() {
    let world = World::start().await;
    let mut attempt = Attempt::new(&world).await;
    type Prepare = fn(&World, &str, &str);
    let cases: [(&str, &str, &[&str], Prepare); 5] = [
        (
            "none",
            "none.test",
            &["unauthorized", "incorrectResponse", "dns"],
            |_, _, _| {},
        ),
        (
            "the key authorization itself",
            "raw.test",
            &["unauthorized", "incorrectResponse"],
            |world, _, key| {
                world.dns.add_txt("_acme-challenge.raw.test", key);
            },
        ),
        (
            "padded",
            "padded.test",
            &["unauthorized", "incorrectResponse"],
            |world, _, key| {
                world
                    .dns
                    .add_txt("_acme-challenge.padded.test", &format!("{}=", value(key)));
            },
        ),
        (
            "at the name itself",
            "wrong.test",
            &["unauthorized", "incorrectResponse", "dns"],
            |world, _, key| {
                world.dns.add_txt("wrong.test", &value(key));
            },
        ),
        ("a broken zone", "servfail.test", &["dns"], |world, _, _| {
            world
                .dns
                .fail("_acme-challenge.servfail.test", ResponseCode::ServFail);
        }),
    ];
    for (case, name, types, prepare) in cases {
        attempt
            .check_refused(case, "dns-01", name, types, prepare)
            .await;
    }
}
