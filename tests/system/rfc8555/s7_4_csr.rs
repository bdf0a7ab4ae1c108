//! RFC 8555 §7.4: what a CSR may say.

use certdock_tests::World;
use certdock_tests::acme::{Account, Client, b64};
use certdock_tests::certificate::check_chain;
use certdock_tests::issue::{authorize_http01, csr, csr_with_cn, finalize, new_order};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    SanType,
};
use serde_json::{Value, json};

use super::check_problem;

const NAMES: [&str; 2] = ["one.csr.test", "two.csr.test"];

/// An order that only waits for its CSR.
async fn ready(
    world: &World,
    client: &mut Client,
    account: &Account,
    names: &[&str],
) -> (String, Value) {
    let made = new_order(client, account, names)
        .await
        .unwrap()
        .expect(201)
        .unwrap();
    let order = made.json();
    for authorization in order["authorizations"].as_array().unwrap() {
        let url = authorization.as_str().unwrap();
        authorize_http01(client, account, url, &world.http01)
            .await
            .unwrap();
    }
    (made.header("location").unwrap().to_owned(), order)
}

fn der(params: &CertificateParams, key: &KeyPair) -> Vec<u8> {
    params.serialize_request(key).unwrap().der().to_vec()
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_named_and_the_order_stays_ready() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    let (order_url, order) = ready(&world, &mut client, &account, &NAMES).await;
    let url = order["finalize"].as_str().unwrap();
    let key = KeyPair::generate().unwrap();
    let right = csr(&key, &NAMES);
    let mut broken = right.clone();
    *broken.last_mut().unwrap() ^= 1;
    let mut trailing = right.clone();
    trailing.push(0);
    let mut address = params(&NAMES);
    address
        .subject_alt_names
        .push(SanType::IpAddress([10, 0, 0, 1].into()));
    let mut mail = params(&NAMES);
    mail.subject_alt_names
        .push(SanType::Rfc822Name("a@one.csr.test".try_into().unwrap()));
    let mut foreign_cn = params(&NAMES);
    foreign_cn
        .distinguished_name
        .push(DnType::CommonName, "three.csr.test");
    let text = |der: &[u8]| json!({ "csr": b64(der) });
    let pem = pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", right.clone()));
    let cases = [
        ("a name too few", text(&csr(&key, &NAMES[..1]))),
        (
            "a name too many",
            text(&csr(&key, &[NAMES[0], NAMES[1], "three.csr.test"])),
        ),
        (
            "another name",
            text(&csr(&key, &[NAMES[0], "three.csr.test"])),
        ),
        ("a wildcard", text(&csr(&key, &[NAMES[0], "*.csr.test"]))),
        (
            "one name in the CN, the other nowhere",
            text(&csr_with_cn(&key, NAMES[0])),
        ),
        ("no name", text(&der(&params(&[]), &key))),
        ("an address", text(&der(&address, &key))),
        ("a mail address", text(&der(&mail, &key))),
        ("a foreign CN", text(&der(&foreign_cn, &key))),
        (
            "the account's own key",
            text(&csr(&account.key.of_certificate(), &NAMES)),
        ),
        ("a broken signature", text(&broken)),
        ("bytes behind it", text(&trailing)),
        ("half of it", text(&right[..right.len() / 2])),
        ("empty", text(b"")),
        ("not DER", text(b"certificate request")),
        ("PEM", json!({ "csr": pem })),
        ("no csr", json!({})),
        ("a number", json!({ "csr": 1 })),
        ("not base64url", json!({ "csr": "a+b/" })),
    ];
    for (case, payload) in cases {
        let answer = client.post(&account, url, &payload).await.unwrap();
        check_problem(case, &answer, 400, &["badCSR", "malformed"]);
        let state = client
            .post_as_get(&account, &order_url)
            .await
            .unwrap()
            .json();
        assert_eq!(state["status"], "ready", "{case}: {state}");
    }
    finalize(&mut client, &account, &order_url, &order, &right)
        .await
        .unwrap();
}

/// RFC 8555 §7.4: names may stand in the CN, and the certificate carries them in its SAN.
#[tokio::test(flavor = "multi_thread")]
async fn names_may_stand_in_the_cn() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    let key = KeyPair::generate().unwrap();
    let alone = csr_with_cn(&key, "cn.test");
    let mut both = params(&["cn.test"]);
    both.distinguished_name.push(DnType::CommonName, "CN.test");
    let cases: [(Vec<u8>, &[&str]); 2] = [(alone, &["cn.test"]), (der(&both, &key), &["cn.test"])];
    for (csr, names) in cases {
        let (order_url, order) = ready(&world, &mut client, &account, names).await;
        let certificate = finalize(&mut client, &account, &order_url, &order, &csr)
            .await
            .unwrap();
        let chain = client
            .post_as_get(&account, &certificate)
            .await
            .unwrap()
            .text();
        check_chain(&chain, names);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_kinds_of_keys_are_certified() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    for algorithm in [&PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let (order_url, order) = ready(&world, &mut client, &account, &["kind.test"]).await;
        let csr = csr(&key, &["kind.test"]);
        let certificate = finalize(&mut client, &account, &order_url, &order, &csr)
            .await
            .unwrap();
        let chain = client
            .post_as_get(&account, &certificate)
            .await
            .unwrap()
            .text();
        check_chain(&chain, &["kind.test"]);
    }
}
