//! A client against a server that says what the test wants, byte by byte.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is a failed test"
)]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use certdock_plugin_api::testing::FakeHost;
use certdock_plugin_api::{ConfigNote, Fault, FaultClass};
use certdock_plugin_http::{Builder, CREDENTIALS, Client, NO_CONNECTION, NOT_WORKING};
use serde_json::{Value, json};

/// Answers one connection with these bytes and closes it; gives what it was asked.
fn answering(answer: &str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let answer = answer.to_owned();
    let server = spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let limit = Some(Duration::from_secs(10));
        connection.set_read_timeout(limit).unwrap();
        let (mut asked, mut part) = (String::new(), [0; 4096]);
        while !asked.contains("\r\n\r\n") {
            let count = connection.read(&mut part).unwrap();
            asked.push_str(std::str::from_utf8(&part[..count]).unwrap());
        }
        connection.write_all(answer.as_bytes()).unwrap();
        asked
    });
    (origin, server)
}

fn response(head: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn client(fake: &FakeHost, origin: &str) -> Client {
    let host = fake.host();
    let builder = Client::builder(&host, "tests/1").timeout(Duration::from_secs(5));
    let builder = builder.basic(b"user", b"hush-hush");
    builder.build("api_host", origin).unwrap()
}

/// What a call comes to: its body, or the fault of its refusal in the body's own words.
fn outcome(client: &Client, order: bool) -> Result<Value, Fault> {
    let answer = match order {
        true => client.post("ordering", "/v1/orders", &json!({ "ca": "hush-hush" }))?,
        false => client.get("asking", "/v1/cas", &[("q", "name:a b")])?,
    };
    if answer.status.is_success() {
        return answer.read::<Vec<Value>>().map(Value::from);
    }
    let words = answer.json.get("message").and_then(Value::as_str);
    Err(answer.refusal(words.unwrap_or("it does not say why")))
}

#[test]
fn what_came_back_decides_the_fault() {
    use FaultClass::*;
    let refusal = r#"{"message":"no: hush-hush"}"#;
    // The answer; class and code for a question, and for an order.
    let cases = [
        (
            response("401 No", refusal),
            (Misconfigured, CREDENTIALS),
            (Misconfigured, CREDENTIALS),
        ),
        (
            response("403 No", refusal),
            (Misconfigured, CREDENTIALS),
            (Denied, ""),
        ),
        (
            response("302 Found\r\nLocation: http://192.0.2.1/", ""),
            (Misconfigured, ""),
            (Misconfigured, ""),
        ),
        (
            response("429 Slow", ""),
            (Busy, NOT_WORKING),
            (Busy, NOT_WORKING),
        ),
        (
            response("500 Oh", "<html>"),
            (Upstream, NOT_WORKING),
            (Upstream, NOT_WORKING),
        ),
        (
            response("502 Oh", ""),
            (Upstream, NOT_WORKING),
            (UnknownOutcome, NOT_WORKING),
        ),
        (response("404 No", refusal), (Upstream, ""), (Malformed, "")),
        (
            response("200 OK", "<html>"),
            (Upstream, ""),
            (UnknownOutcome, ""),
        ),
        (
            response("200 OK", r#"{"a":1}"#),
            (Upstream, ""),
            (UnknownOutcome, ""),
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[1".to_owned(),
            (Upstream, NOT_WORKING),
            (UnknownOutcome, NOT_WORKING),
        ),
        (
            "no HTTP\r\n\r\n".to_owned(),
            (Upstream, NOT_WORKING),
            (UnknownOutcome, NOT_WORKING),
        ),
        (
            String::new(),
            (Upstream, NOT_WORKING),
            (UnknownOutcome, NOT_WORKING),
        ),
    ];
    for (answer, question, order) in cases {
        for (is_order, (class, code)) in [(false, question), (true, order)] {
            let fake = FakeHost::new();
            let (origin, server) = answering(&answer);
            let fault = outcome(&client(&fake, &origin), is_order).unwrap_err();
            server.join().unwrap();
            let seen = (fault.class, fault.code.as_str());
            assert_eq!(seen, (class, code), "{answer:?} {is_order}: {fault:?}");
            let call = if is_order { "ordering: " } else { "asking: " };
            assert!(fault.private.starts_with(call), "{fault:?}");
            let logged = format!("{fault:?} {:?}", fake.lines());
            assert!(!logged.contains("hush-hush"), "{logged}");
            assert!(!logged.contains("dXNlcjpodXNo"), "{logged}");
        }
    }
}

#[test]
fn nothing_listens_so_that_nothing_was_sent() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for origin in [
        format!("http://{free}"),
        "http://nowhere.invalid".to_owned(),
    ] {
        let fault = outcome(&client(&FakeHost::new(), &origin), true).unwrap_err();
        assert_eq!(fault.class, FaultClass::Upstream);
        assert_eq!(fault.code, NO_CONNECTION, "{fault:?}");
    }
}

#[test]
fn asks_with_credentials_and_reads_the_answer() {
    let (origin, server) = answering(&response("200 OK", "[1, 2]"));
    let client = client(&FakeHost::new(), &format!("{origin}/"));
    assert_eq!(outcome(&client, false).unwrap(), json!([1, 2]));
    let asked = server.join().unwrap().to_lowercase();
    assert!(
        asked.starts_with("get /v1/cas?q=name%3aa%20b http/1.1\r\n"),
        "{asked}"
    );
    assert!(asked.contains("user-agent: tests/1\r\n"), "{asked}");
    // RFC 7617 §2
    assert!(
        asked.contains("authorization: basic dxnlcjpodxnolwh1c2g=\r\n"),
        "{asked}"
    );
}

#[test]
fn the_ca_says_when_to_come_again() {
    let (origin, _server) = answering(&response("503 Busy\r\nRetry-After: 7", ""));
    let fault = outcome(&client(&FakeHost::new(), &origin), true).unwrap_err();
    assert_eq!(fault.retry_after, Some(Duration::from_secs(7)));
}

#[test]
fn a_query_without_end_is_refused_before_it_is_sent() {
    let client = client(&FakeHost::new(), "http://192.0.2.1");
    let long = "x".repeat(100_000);
    let fault = client.get("asking", "/", &[("q", &long)]).err().unwrap();
    assert_eq!(fault.class, FaultClass::Malformed);
}

/// What a wrong configuration is told, under which key.
fn note(wrong: impl FnOnce(Builder<'_>) -> Result<Builder<'_>, ConfigNote>) -> (String, String) {
    let host = FakeHost::new().host();
    let built = wrong(Client::builder(&host, "tests/1"));
    let note = built.err().unwrap();
    (note.key, note.message)
}

#[test]
fn what_is_wrong_is_said_under_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let pair = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
    let other = rcgen::KeyPair::generate().unwrap();
    let chain = file("chain.pem", &pair.cert.pem());
    let key = file("key.pem", &pair.signing_key.serialize_pem());
    let foreign = file("foreign.pem", &other.serialize_pem());
    let empty = file("empty.pem", "nothing\n");

    let (at, said) = note(|client| client.ca_bundle("ca_bundle", Some(Path::new("/missing.pem"))));
    assert_eq!(at, "ca_bundle");
    assert!(said.starts_with("/missing.pem can't be read: "), "{said}");
    let (_, said) = note(|client| client.ca_bundle("ca_bundle", Some(&empty)));
    assert!(said.contains("holds no certificate"), "{said}");

    let (at, _) = note(|client| client.client_certificate(("chain", Some(&chain)), ("key", None)));
    assert_eq!(at, "chain");
    for wrong in [&foreign, &empty, &chain] {
        let (at, said) =
            note(|client| client.client_certificate(("chain", Some(&chain)), ("key", Some(wrong))));
        assert_eq!(at, "key");
        assert!(said.contains("does not hold the key of `chain`"), "{said}");
    }
    let host = FakeHost::new().host();
    let good = Client::builder(&host, "tests/1")
        .client_certificate(("chain", Some(&chain)), ("key", Some(&key)));
    assert!(good.is_ok());

    let (at, _) = note(|client| client.proxy("proxy", Some("::")));
    assert_eq!(at, "proxy");
    for wrong in [
        "",
        "ca.example",
        "ftp://ca.example",
        "https://ca.example/v1",
        "https://u:p@ca.example",
        "https://ca.example?q",
    ] {
        let built = Client::builder(&host, "tests/1").build("api_host", wrong);
        assert_eq!(built.err().unwrap().key, "api_host", "{wrong}");
    }
}
