//! RFC 7030 §4.2.2: re-enrollment is bound to the certificate that the client shows.

use certdock_tests::certificate::dns_names;
use certdock_tests::der::{self, UTF8_STRING};
use certdock_tests::est::{Csr, EstWorld, TLS_VERSIONS, certificates};
use certdock_tests::http::Answer;
use rcgen::KeyPair;

use super::{check_refusal, is_for};

/// RFC 6402 §2.8
const CHANGE_SUBJECT_NAME: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 7, 36];

const MORE: &str = r#"
[est.window]
handler = "local"
renewal_window = "10d"

[est.wide]
handler = "local"
renewal_window = "365d"

[est.movable]
handler = "local"
names = ["*.est.test"]
change_subject = true

[est.elsewhere]
handler = "slow"
client_ca_handler = ["local", "slow"]
"#;

async fn start() -> EstWorld {
    EstWorld::with(|settings| settings.more.push_str(MORE)).await
}

fn check_denied(case: &str, answer: &Answer) {
    assert!(
        [400, 401, 403].contains(&answer.status),
        "{case}: {} {}",
        answer.status,
        answer.text()
    );
    check_refusal(case, answer, answer.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_with_a_new_key_and_with_the_old_one() {
    let world = start().await;
    let holder = world.holder("own.example").await;
    let old = KeyPair::from_pem(&holder.credential.as_ref().unwrap().key).unwrap();
    for (version, tls) in TLS_VERSIONS {
        let mut client = world.client(&holder.clone().over(tls));
        let new = Csr::new("own.example");
        let same = Csr::with_key(
            KeyPair::from_pem(&old.serialize_pem()).unwrap(),
            "own.example",
            &["own.example"],
        );
        for csr in [new, same] {
            let answer = client.reenroll(&csr.der).await.unwrap();
            let answer = answer.expect(200).unwrap();
            let certificate = certificates(&answer.body).remove(0);
            assert!(is_for(&certificate, &csr.key), "{version}");
            assert_eq!(dns_names(&certificate), ["own.example"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subject_and_names_stay_the_same() {
    let world = start().await;
    let holder = world.holder("own.est.test").await;
    let mut client = world.client(&holder);
    let key = || KeyPair::generate().unwrap();
    let cases = [
        (
            "another subject",
            Csr::with_key(key(), "b.est.test", &["own.est.test"]),
        ),
        (
            "another name",
            Csr::with_key(key(), "own.est.test", &["b.est.test"]),
        ),
        (
            "one more",
            Csr::with_key(key(), "own.est.test", &["own.est.test", "b.est.test"]),
        ),
        ("all else", Csr::new("b.est.test")),
        ("no name", Csr::with_key(key(), "own.est.test", &[])),
    ];
    for (case, csr) in cases {
        let answer = client.reenroll(&csr.der).await.unwrap();
        check_denied(case, &answer);
    }
    assert_eq!(world.issued().await.len(), 1);
}

/// A password is no certificate, and neither is one of another CA.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_the_label_s_own_ca_is_needed() {
    let world = start().await;
    let csr = Csr::new("own.est.test");
    let user = world.user("device").await;
    let answer = world.client(&user).reenroll(&csr.der).await.unwrap();
    check_denied("a password alone", &answer);
    let answer = world
        .client(&world.anybody())
        .reenroll(&csr.der)
        .await
        .unwrap();
    check_denied("nothing", &answer);

    let factory = world
        .anybody()
        .showing(&world.factory.client("own.est.test"));
    let mut client = world.client_of("factory", &factory);
    let answer = client.reenroll(&csr.der).await.unwrap();
    check_denied("the factory's certificate", &answer);

    let holder = world.holder("own.est.test").await;
    let mut client = world.client_of("elsewhere", &holder);
    let answer = client.reenroll(&csr.der).await.unwrap();
    check_denied("another handler's certificate", &answer);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_renewal_window_is_kept() {
    let world = start().await;
    let holder = world.holder("own.example").await;
    let csr = Csr::new("own.example");
    let answer = world.client_of("window", &holder).reenroll(&csr.der).await;
    check_denied("too early", &answer.unwrap());
    let answer = world.client_of("wide", &holder).reenroll(&csr.der).await;
    answer.unwrap().expect(200).unwrap();
}

/// RFC 7030 §4.2.2, RFC 6402 §2.8: the CSR has the old names, the attribute the new ones.
#[tokio::test(flavor = "multi_thread")]
async fn names_change_only_where_the_label_allows() {
    let world = start().await;
    let holder = world.holder("own.est.test").await;
    let change = |name: &str| {
        let common_name = der::sequence(&[
            &der::oid("2.5.4.3"),
            &der::element(UTF8_STRING, &[name.as_bytes()]),
        ]);
        let subject = der::sequence(&[&der::set(&[&common_name])]);
        let names = der::element(0xa1, &[&der::element(0x82, &[name.as_bytes()])]);
        let value = der::set(&[&der::sequence(&[&subject, &names])]);
        Csr::with_attributes("own.est.test", &[(CHANGE_SUBJECT_NAME, value)])
    };
    let csr = change("new.est.test");
    let answer = world.client(&holder).reenroll(&csr.der).await.unwrap();
    check_denied("not allowed", &answer);

    let mut client = world.client_of("movable", &holder);
    let answer = client
        .reenroll(&csr.der)
        .await
        .unwrap()
        .expect(200)
        .unwrap();
    let certificate = certificates(&answer.body).remove(0);
    assert_eq!(dns_names(&certificate), ["new.est.test"]);
    assert!(is_for(&certificate, &csr.key));

    // The policy of names holds for new ones.
    let answer = client
        .reenroll(&change("foreign.example").der)
        .await
        .unwrap();
    check_denied("a foreign name", &answer);
    assert!(
        answer.text().contains("foreign.example"),
        "{}",
        answer.text()
    );
}
