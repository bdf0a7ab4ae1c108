//! RFC 8555 §7.4: orders, their end, and the certificate.

use certdock_tests::World;
use certdock_tests::acme::b64;
use certdock_tests::certificate::check_chain;
use certdock_tests::issue::{authorize_http01, csr, finalize, identifiers, issue, new_order};
use rcgen::KeyPair;
use serde_json::{Value, json};

use super::check_problem;

#[tokio::test(flavor = "multi_thread")]
async fn an_order_goes_from_pending_to_valid() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    let names = ["a.test", "b.test"];
    let made = new_order(&mut client, &account, &names)
        .await
        .unwrap()
        .expect(201)
        .unwrap();
    let url = made.header("location").unwrap().to_owned();
    let order = made.json();
    assert_eq!(order["status"], "pending");
    assert_eq!(order["identifiers"], identifiers(&names));
    assert_eq!(order["authorizations"].as_array().unwrap().len(), 2);
    // RFC 8555 §7.1.3: required while pending.
    assert!(order["expires"].as_str().unwrap().ends_with('Z'), "{order}");
    assert!(order.get("certificate").is_none());

    let key = KeyPair::generate().unwrap();
    let request = json!({ "csr": b64(csr(&key, &names)) });
    let finalize_url = order["finalize"].as_str().unwrap();
    let early = client.post(&account, finalize_url, &request).await.unwrap();
    check_problem("too early", &early, 403, &["orderNotReady"]);

    for authorization in order["authorizations"].as_array().unwrap() {
        let authorization = authorization.as_str().unwrap();
        authorize_http01(&mut client, &account, authorization, &world.http01)
            .await
            .unwrap();
    }
    let ready = client.post_as_get(&account, &url).await.unwrap().json();
    assert_eq!(ready["status"], "ready", "{ready}");

    let answer = client
        .post(&account, finalize_url, &request)
        .await
        .unwrap()
        .expect(200)
        .unwrap();
    // Gufo ACME polls the address that finalize gives.
    assert_eq!(answer.header("location"), Some(url.as_str()));
    let order = answer.json();
    assert_eq!(order["status"], "valid", "the CA answers at once: {order}");
    let certificate = order["certificate"].as_str().unwrap();
    let answer = client
        .post_as_get(&account, certificate)
        .await
        .unwrap()
        .expect(200)
        .unwrap();
    assert_eq!(
        answer.header("content-type"),
        Some("application/pem-certificate-chain")
    );
    check_chain(&answer.text(), &names);

    // The same request again is answered with the order as it is.
    let again = client
        .post(&account, finalize_url, &request)
        .await
        .unwrap()
        .expect(200)
        .unwrap();
    assert_eq!(again.json(), order);
    let other = json!({ "csr": b64(csr(&KeyPair::generate().unwrap(), &names)) });
    let answer = client.post(&account, finalize_url, &other).await.unwrap();
    check_problem(
        "another CSR",
        &answer,
        answer.status,
        &["orderNotReady", "malformed", "badCSR"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_orders_are_refused() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    let url = client.directory.url("newOrder").to_owned();
    let dns = |value: Value| json!({ "identifiers": [{ "type": "dns", "value": value }] });
    let name = |value: &str| dns(json!(value));
    let many: Vec<_> = (0..300).map(|n| format!("n{n}.test")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let long = format!("{}.test", "a".repeat(64));
    let longer = format!("{}test", "a.".repeat(130));
    let name_types: &[&str] = &["malformed", "rejectedIdentifier"];
    let cases = [
        ("no identifiers", json!({}), &["malformed"][..]),
        (
            "an empty list",
            json!({ "identifiers": [] }),
            &["malformed"],
        ),
        (
            "identifiers a string",
            json!({ "identifiers": "a.test" }),
            &["malformed"],
        ),
        (
            "too many",
            json!({ "identifiers": identifiers(&many) }),
            &["malformed", "rejectedIdentifier", "rateLimited"],
        ),
        (
            "an unknown type",
            json!({ "identifiers": [{ "type": "tn", "value": "1" }] }),
            &["unsupportedIdentifier"],
        ),
        ("a number", dns(json!(1)), &["malformed"]),
        ("an empty name", name(""), name_types),
        ("an underscore", name("a_b.test"), name_types),
        ("a space", name("a b.test"), name_types),
        ("an empty label", name("a..test"), name_types),
        ("a final dot", name("a.test."), name_types),
        ("a leading hyphen", name("-a.test"), name_types),
        ("a long label", name(&long), name_types),
        ("a long name", name(&longer), name_types),
        ("two wildcards", name("*.*.test"), name_types),
        ("a wildcard inside", name("a.*.test"), name_types),
        ("half a wildcard", name("a*.b.test"), name_types),
        ("a wildcard alone", name("*"), name_types),
        ("not ASCII", name("b\u{fc}cher.test"), name_types),
        ("bad punycode", name("xn--\u{0}.test"), name_types),
        ("an address", name("10.0.0.5"), name_types),
        ("an address as a number", name("2130706433"), name_types),
        ("an address in hex", name("0x7f.1"), name_types),
        ("an IPv6 address", name("::1"), name_types),
        ("a port", name("a.test:80"), name_types),
        ("a URL", name("http://a.test/"), name_types),
        (
            "a notBefore that is no date",
            json!({ "identifiers": identifiers(&["a.test"]), "notBefore": "soon" }),
            &["malformed"],
        ),
        (
            "notAfter before notBefore",
            json!({
                "identifiers": identifiers(&["a.test"]),
                "notBefore": "2100-01-02T00:00:00Z",
                "notAfter": "2100-01-01T00:00:00Z",
            }),
            &["malformed", "rejectedIdentifier", "unauthorized"],
        ),
    ];
    for (case, payload, types) in cases {
        let answer = client.post(&account, &url, &payload).await.unwrap();
        check_problem(case, &answer, answer.status, types);
        assert!(
            (400..=413).contains(&answer.status),
            "{case}: {}",
            answer.status
        );
    }
}

/// RFC 8555 §6.7.1
#[tokio::test(flavor = "multi_thread")]
async fn each_bad_identifier_has_its_subproblem() {
    let world = World::with(|settings| {
        settings.endpoint = "denied_names = [\"secret.test\", \"*.secret.test\"]\n".to_owned();
    })
    .await;
    let (mut client, account) = world.account().await;
    let names = ["good.test", "secret.test", "a.secret.test", "bad_name.test"];
    let answer = new_order(&mut client, &account, &names).await.unwrap();
    let types = ["rejectedIdentifier", "malformed", "compound"];
    check_problem("three of four", &answer, answer.status, &types);
    let problems = answer.json()["subproblems"].clone();
    let named: Vec<_> = problems
        .as_array()
        .unwrap_or_else(|| panic!("no subproblems: {}", answer.text()))
        .iter()
        .map(|problem| problem["identifier"]["value"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(named, names[1..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_compared_without_case() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    let answer = new_order(&mut client, &account, &["Case.TEST", "case.test"])
        .await
        .unwrap();
    let order = answer.expect(201).unwrap().json();
    assert_eq!(order["identifiers"], identifiers(&["case.test"]));
    assert_eq!(order["authorizations"].as_array().unwrap().len(), 1);
}

/// The longest that an endpoint and its CA take unless configured otherwise. RFC 5280 §4.1.2.5: both
/// ends belong to the period.
const LONGEST: i64 = 90 * 86_400;

/// RFC 8555 §7.4: what the client asks for is in the certificate, within policy.
#[tokio::test(flavor = "multi_thread")]
async fn the_asked_validity_is_given() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    let url = client.directory.url("newOrder").to_owned();
    for (begin, end) in [
        (None, 86_400),
        (None, LONGEST - 1),
        (Some(0), LONGEST - 1),
        (Some(3_600), 3_600 + LONGEST - 1),
    ] {
        let now = now();
        let mut payload = json!({
            "identifiers": identifiers(&["short.test"]),
            "notAfter": rfc3339(now + end),
        });
        if let Some(begin) = begin {
            payload["notBefore"] = rfc3339(now + begin).into();
        }
        let answer = client.post(&account, &url, &payload).await.unwrap();
        let answer = answer.expect(201).unwrap();
        let order = answer.json();
        assert_eq!(order["notAfter"], payload["notAfter"]);
        let authorization = order["authorizations"][0].as_str().unwrap();
        authorize_http01(&mut client, &account, authorization, &world.http01)
            .await
            .unwrap();
        let order_url = answer.header("location").unwrap();
        let request = csr(&KeyPair::generate().unwrap(), &["short.test"]);
        let certificate = finalize(&mut client, &account, order_url, &order, &request)
            .await
            .unwrap();
        let chain = client
            .post_as_get(&account, &certificate)
            .await
            .unwrap()
            .text();
        let leaf = &certdock_tests::certificate::ders(&chain)[0];
        let (_, leaf) = x509_parser::parse_x509_certificate(leaf).unwrap();
        let validity = leaf.validity();
        assert_eq!(validity.not_after.timestamp(), now + end);
        if let Some(begin) = begin {
            assert_eq!(validity.not_before.timestamp(), now + begin);
        }
    }
}

/// What the CA would deny for its length alone is refused before anything is validated.
#[tokio::test(flavor = "multi_thread")]
async fn a_validity_that_is_too_long_makes_no_order() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    let url = client.directory.url("newOrder").to_owned();
    for (begin, end) in [(0, LONGEST), (3_600, 3_600 + LONGEST)] {
        let now = now();
        let payload = json!({
            "identifiers": identifiers(&["long.test"]),
            "notBefore": rfc3339(now + begin),
            "notAfter": rfc3339(now + end),
        });
        let answer = client.post(&account, &url, &payload).await.unwrap();
        let types = ["malformed", "rejectedIdentifier", "unauthorized"];
        check_problem("a second too long", &answer, answer.status, &types);
    }
}

fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(now.unwrap().as_secs()).unwrap()
}

fn rfc3339(time: i64) -> String {
    let time = x509_parser::time::ASN1Time::from_timestamp(time).unwrap();
    let time = time.to_datetime();
    let (hour, minute, second) = time.time().as_hms();
    format!("{}T{hour:02}:{minute:02}:{second:02}Z", time.date())
}

/// RFC 8555 §7.4.2
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_read_again_and_in_no_other_form() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    let issued = issue(&mut client, &account, &["again.test"], &world.http01)
        .await
        .unwrap();
    let again = client
        .post_as_get(&account, &issued.certificate)
        .await
        .unwrap();
    assert_eq!(again.text(), issued.chain);
    assert!(again.text().ends_with("-----END CERTIFICATE-----\n"));
    let other = issue(&mut client, &account, &["again.test"], &world.http01)
        .await
        .unwrap();
    assert_ne!(other.certificate, issued.certificate);
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_finalizes_get_one_certificate() {
    let world = World::start().await;
    let (mut client, account) = world.account().await;
    let made = new_order(&mut client, &account, &["race.test"])
        .await
        .unwrap()
        .expect(201)
        .unwrap();
    let order = made.json();
    let authorization = order["authorizations"][0].as_str().unwrap();
    authorize_http01(&mut client, &account, authorization, &world.http01)
        .await
        .unwrap();
    let url = order["finalize"].as_str().unwrap().to_owned();
    let csr = b64(csr(&KeyPair::generate().unwrap(), &["race.test"]));
    let mut requests = Vec::new();
    for _ in 0..8 {
        let mut client = world.client().await;
        let nonce = client.nonce().await.unwrap();
        let protected = client.protected(&account, &nonce, &url);
        let body = account
            .key
            .flattened(&protected, json!({ "csr": csr }).to_string().as_bytes());
        let url = url.clone();
        requests.push(tokio::spawn(async move {
            client.post_jws(&url, &body).await.unwrap()
        }));
    }
    for request in requests {
        let answer = request.await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let list = world
        .server
        .command(&["cert", "list", "--json"])
        .run()
        .await
        .success();
    let list: Value = serde_json::from_str(&list.stdout).unwrap();
    let items = list["items"].as_array().unwrap();
    let count = items
        .iter()
        .filter(|item| item["names"] == json!(["race.test"]))
        .count();
    assert_eq!(count, 1, "{list}");
}
