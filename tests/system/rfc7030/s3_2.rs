//! RFC 7030 §3.2 and RFC 8951 §3.1: the HTTP and the base64 of clients as they are.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certdock_tests::est::{
    Caller, Csr, EstWorld, RawAnswer, TLS_VERSIONS, certificates, decode_base64, exchange, http2,
};
use http::{Method, Request};

use super::{check_refusal, is_for};

/// In lines of so many characters.
fn lines(text: &str, width: usize, end: &str) -> String {
    let lines = text.as_bytes().chunks(width).map(String::from_utf8_lossy);
    lines.fold(String::new(), |all, line| all + &line + end)
}

/// A POST byte by byte; the body goes as it is.
fn post(path: &str, caller: &Caller, version: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut head = format!("POST /.well-known/est/{path} HTTP/{version}\r\nHost: localhost\r\n");
    if let Some(authorization) = caller.authorization() {
        let _ = write!(head, "Authorization: {authorization}\r\n");
    }
    for header in headers {
        let _ = write!(head, "{header}\r\n");
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

/// With a length, and closed afterwards.
async fn send(world: &EstWorld, caller: &Caller, headers: &[&str], body: &[u8]) -> RawAnswer {
    let length = format!("Content-Length: {}", body.len());
    let mut all = vec!["Connection: close", &length];
    all.extend(headers);
    let request = post("simpleenroll", caller, "1.1", &all, body);
    exchange(world.port(), caller, &request).await.unwrap()
}

const PKCS10: &str = "Content-Type: application/pkcs10";

#[tokio::test(flavor = "multi_thread")]
async fn base64_is_read_in_every_form() {
    let world = EstWorld::start().await;
    let user = world.user("device").await;
    let csr = Csr::of_size("form.est.test", 1500);
    let text = STANDARD.encode(&csr.der);
    let encoding = "Content-Transfer-Encoding: base64";
    let cases: [(&str, &[&str], Vec<u8>); 11] = [
        ("one line", &[PKCS10, encoding], text.clone().into_bytes()),
        (
            "LF",
            &[PKCS10, encoding],
            lines(&text, 64, "\n").into_bytes(),
        ),
        (
            "CRLF",
            &[PKCS10, encoding],
            lines(&text, 76, "\r\n").into_bytes(),
        ),
        ("short lines", &[PKCS10], lines(&text, 3, "\n").into_bytes()),
        ("no encoding", &[PKCS10], text.clone().into_bytes()),
        (
            "another encoding",
            &[PKCS10, "Content-Transfer-Encoding: binary"],
            lines(&text, 64, "\r\n").into_bytes(),
        ),
        ("no padding", &[PKCS10], text.trim_end_matches('=').into()),
        (
            "DER",
            &[PKCS10, "Content-Transfer-Encoding: binary"],
            csr.der.clone(),
        ),
        (
            "a parameter",
            &["Content-Type: application/pkcs10; charset=UTF-8"],
            text.clone().into_bytes(),
        ),
        (
            "capitals",
            &["content-TYPE: Application/PKCS10"],
            text.clone().into_bytes(),
        ),
        (
            "empty lines",
            &[PKCS10],
            format!("\r\n{text}\r\n\r\n").into_bytes(),
        ),
    ];
    for (case, headers, body) in cases {
        let answer = send(&world, &user, headers, &body).await;
        let said = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status(), 200, "{case}: {said}");
        assert!(is_for(&certificates(&answer.body)[0], &csr.key), "{case}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_of_http_serves() {
    let world = EstWorld::start().await;
    let user = world.user("device").await;
    for (version, tls) in TLS_VERSIONS {
        let user = user.clone().over(tls);
        let csr = Csr::new("http.est.test");
        let text = STANDARD.encode(&csr.der);
        let length = format!("Content-Length: {}", text.len());
        let chunked = format!(
            "{:x}\r\n{}\r\n{:x};note=1\r\n{}\r\n0\r\n\r\n",
            100,
            &text[..100],
            text.len() - 100,
            &text[100..]
        );
        let coding = "Transfer-Encoding: chunked";
        let cases = [
            ("1.0", vec![PKCS10, &length], text.clone()),
            (
                "1.0",
                vec![PKCS10, &length, "Connection: close"],
                text.clone(),
            ),
            (
                "1.1",
                vec![PKCS10, &length, "Connection: close"],
                text.clone(),
            ),
            ("1.1", vec![PKCS10, coding, "Connection: close"], chunked),
        ];
        for (http, headers, body) in cases {
            let case = format!("{version} HTTP/{http} {headers:?}");
            let request = post("simpleenroll", &user, http, &headers, body.as_bytes());
            let answer = exchange(world.port(), &user, &request).await.unwrap();
            assert_eq!(answer.status(), 200, "{case}: {answer:?}");
            // No client of EST reads a chunked answer.
            assert_eq!(
                answer.header("content-length").map(str::parse),
                Some(Ok(answer.body.len())),
                "{case}"
            );
            assert!(is_for(&certificates(&answer.body)[0], &csr.key), "{case}");
        }
        let request = Request::post(format!("{}/default/simpleenroll", world.base()))
            .header("content-type", "application/pkcs10")
            .header("authorization", user.authorization().unwrap())
            .body(text.into_bytes())
            .unwrap();
        let answer = http2(world.port(), &user, request).await.unwrap();
        assert_eq!(answer.status, 200, "{version}: {}", answer.text());
        assert!(is_for(&certificates(&answer.body)[0], &csr.key));
    }
}

/// A request as it comes from a device that asks when it may go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_wait_for_continue() {
    let world = EstWorld::start().await;
    let user = world.user("device").await;
    let text = STANDARD.encode(Csr::new("continue.est.test").der);
    let answer = send(
        &world,
        &user,
        &[PKCS10, "Expect: 100-continue"],
        text.as_bytes(),
    )
    .await;
    // The interim answer comes first.
    assert_eq!(answer.status(), 100, "{answer:?}");
    assert!(answer.body.starts_with(b"HTTP/1.1 200"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_types_and_bodies_are_refused() {
    let world = EstWorld::start().await;
    let user = world.user("device").await;
    let text = STANDARD.encode(Csr::new("wrong.est.test").der);
    let pem = Csr::new("wrong.est.test").pem();
    let garbage: Vec<u8> = (0..=255).cycle().take(3_000).collect();
    let large = STANDARD.encode(vec![0x30; 100_000]);
    let cases: [(&str, &[&str], &[u8], u16); 10] = [
        ("no type", &[], text.as_bytes(), 415),
        (
            "JSON",
            &["Content-Type: application/json"],
            text.as_bytes(),
            415,
        ),
        (
            "another type of EST",
            &["Content-Type: application/pkcs7-mime"],
            text.as_bytes(),
            415,
        ),
        (
            "a longer type",
            &["Content-Type: application/pkcs10x"],
            text.as_bytes(),
            415,
        ),
        ("nothing", &[PKCS10], b"", 400),
        ("line breaks", &[PKCS10], b"\r\n\r\n", 400),
        ("PEM's lines", &[PKCS10], pem.as_bytes(), 400),
        ("garbage", &[PKCS10], &garbage, 400),
        ("half", &[PKCS10], &text.as_bytes()[..text.len() / 2], 400),
        ("too large", &[PKCS10], large.as_bytes(), 413),
    ];
    for (case, headers, body, status) in cases {
        let answer = send(&world, &user, headers, body).await;
        assert_eq!(answer.status(), status, "{case}: {answer:?}");
    }
    assert_eq!(world.issued().await.len(), 0);
}

/// A body may be 64 KiB long, and the refusal of a longer one reaches its sender.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_up_to_64_kib_are_read() {
    let world = EstWorld::start().await;
    let user = world.user("device").await;
    let mut client = world.client(&user);
    let csr = Csr::of_size("large.est.test", 64_000);
    assert!(STANDARD.encode(&csr.der).len() < 65_536);
    client.enroll(&csr.der).await.unwrap().expect(200).unwrap();
    let csr = Csr::of_size("large.est.test", 66_500);
    let answer = client.enroll(&csr.der).await.unwrap();
    check_refusal("66,500", &answer, 413);
}

/// libest needs line breaks in long bodies, strongSwan can't read any. They differ by User-Agent.
#[tokio::test(flavor = "multi_thread")]
async fn answers_of_every_size_come_in_the_form_that_the_client_reads() {
    let world = EstWorld::start().await;
    let user = world.user("device").await;
    for size in [500, 900, 1_100, 2_000, 4_000, 8_000] {
        // Names make the certificate as long as the answer is to be.
        let padding = "x".repeat(60);
        let count = (size * 3 / 4_usize).saturating_sub(450) / 87;
        let long = (0..count).map(|n| format!("{padding}.name-{n:09}.est.test"));
        let names: Vec<_> = ["a.est.test".to_owned()].into_iter().chain(long).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let key = rcgen::KeyPair::generate().unwrap();
        let csr = Csr::with_key(key, names[0], &names);
        let text = STANDARD.encode(&csr.der);
        for (agent, broken) in [(None, false), (Some("User-Agent: libest 2.2.0"), true)] {
            let headers: Vec<_> = agent.into_iter().chain([PKCS10]).collect();
            let answer = send(&world, &user, &headers, text.as_bytes()).await;
            assert_eq!(answer.status(), 200, "{size}: {answer:?}");
            let body = String::from_utf8(answer.body.clone()).unwrap();
            assert!(body.len().abs_diff(size) < 250, "{size}: {}", body.len());
            if broken {
                assert!(body.ends_with('\n'), "{size}");
                assert!(body.lines().all(|line| line.len() <= 76), "{size}: {body}");
            } else {
                assert!(!body.contains(['\r', '\n']), "{size}: {body}");
            }
            // strongSwan looks for the head in the first 1,024 bytes.
            assert!(answer.head.len() < 1_000, "{}", answer.head);
            assert!(is_for(&certificates(&answer.body)[0], &csr.key), "{size}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_use_one_connection() {
    let world = EstWorld::start().await;
    let user = world.user("device").await;
    let mut client = world.client(&user);
    let first = client.cacerts().await.unwrap().expect(200).unwrap();
    for (method, path) in [(Method::POST, "simpleenroll"), (Method::GET, "nowhere")] {
        let body = vec![b'!'; 20_000];
        let answer = client.request(method, path, &[], body).await.unwrap();
        assert!(answer.status >= 400, "{path}");
    }
    let csr = Csr::new("kept.est.test");
    client.enroll(&csr.der).await.unwrap().expect(200).unwrap();
    let last = client.cacerts().await.unwrap().expect(200).unwrap();
    assert_eq!(decode_base64(&first.body), decode_base64(&last.body));
}

/// There is nothing useful for those who don't speak TLS.
#[tokio::test(flavor = "multi_thread")]
async fn plain_http_gets_nothing() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let world = EstWorld::start().await;
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", world.port()))
        .await
        .unwrap();
    let request = b"GET /.well-known/est/cacerts HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // It may be closed with what we sent unread.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(!answer.contains(" 200 "), "{answer}");
    assert!(!answer.contains("pkcs7"), "{answer}");
}
