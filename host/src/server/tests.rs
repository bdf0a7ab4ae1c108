//! The listeners on real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::{get, post};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::config::Limits;
use crate::observe::captured::{Captured, subscribe};
use crate::request_id::RequestId;

mod session;

fn limits() -> Limits {
    Limits {
        body: 1000,
        head: 8192,
        head_timeout: Duration::from_millis(500),
        request_timeout: Duration::from_secs(2),
        ..Limits::default()
    }
}

fn router() -> Router {
    Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/echo", post(|body: Bytes| async move { body }))
        .route(
            "/id",
            get(async |request: axum::extract::Request| {
                let peer = request.extensions().get::<Peer>().unwrap();
                assert!(peer.address.unwrap().ip().is_loopback());
                request.extensions().get::<RequestId>().unwrap().to_string()
            }),
        )
        .route(
            "/session",
            get(async |request: axum::extract::Request| {
                let peer = request.extensions().get::<Peer>().unwrap();
                let told = peer.session.as_ref().map(|session| {
                    let binding = session.exporter.as_ref();
                    let binding = binding.map_or("none".to_owned(), |it| session::hex(it));
                    format!("{} {binding}", session.certificates.len())
                });
                told.unwrap_or("nothing".to_owned())
            }),
        )
        .route(
            "/sleep",
            get(|| async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                "slept"
            }),
        )
        .route(
            "/hang",
            get(|| async { std::future::pending::<()>().await }),
        )
        .route(
            "/panic",
            get(|| async {
                if true {
                    panic!("as a test");
                }
            }),
        )
}

struct Server {
    address: SocketAddr,
    current: Arc<CurrentCertificate>,
    shutdown: Shutdown,
    roots: RootCertStore,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        Self::start_with(limits, ClientIdentity::Ignored).await
    }

    async fn start_with(limits: Limits, identity: ClientIdentity) -> Self {
        let listeners = bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let mut server = Self {
            address: listeners[0].local_addr().unwrap(),
            current: CurrentCertificate::new(),
            shutdown: Shutdown::new(),
            roots: RootCertStore::empty(),
        };
        server.renew();
        let handshakes = Handshakes::new(Arc::clone(&server.current), identity).unwrap();
        serve_tls(listeners, &handshakes, router(), &limits, &server.shutdown);
        server
    }

    fn renew(&mut self) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        self.roots = RootCertStore::empty();
        self.roots.add(made.cert.der().clone()).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        self.current
            .install(tls::certified(vec![made.cert.der().clone()], &key).unwrap());
    }

    async fn connect(&self, protocol: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.into()];
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }

    async fn http1(&self) -> hyper::client::conn::http1::SendRequest<Full<Bytes>> {
        let stream = self.connect("http/1.1").await.unwrap();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        sender
    }

    async fn http2(&self) -> hyper::client::conn::http2::SendRequest<Full<Bytes>> {
        let stream = self.connect("h2").await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2" as &[u8]));
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(connection);
        sender
    }
}

fn request(path: &str) -> Request<Full<Bytes>> {
    Request::get(format!("https://localhost{path}"))
        .header("host", "localhost")
        .header("x-request-id", "forged")
        .body(Full::default())
        .unwrap()
}

fn upload(length: usize) -> Request<Full<Bytes>> {
    Request::post("https://localhost/echo")
        .header("host", "localhost")
        .body(Full::from(vec![b'x'; length]))
        .unwrap()
}

async fn read(response: Response<Incoming>) -> (StatusCode, String) {
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// What the server sends until it closes, and how long that took.
async fn until_closed(stream: &mut (impl AsyncReadExt + Unpin)) -> (String, Duration) {
    let start = Instant::now();
    let mut text = Vec::new();
    let read = stream.read_to_end(&mut text);
    let _ = tokio::time::timeout(Duration::from_secs(10), read)
        .await
        .unwrap();
    (String::from_utf8_lossy(&text).into_owned(), start.elapsed())
}

#[tokio::test]
async fn both_versions_of_http() {
    let server = Server::start(limits()).await;
    let (mut one, mut two) = (server.http1().await, server.http2().await);
    for _ in 0..3 {
        let answers = [
            one.send_request(request("/")).await.unwrap(),
            two.send_request(request("/")).await.unwrap(),
        ];
        for answer in answers {
            assert_eq!(read(answer).await, (StatusCode::OK, "hello".into()));
        }
    }
    let echo = one.send_request(upload(1000)).await.unwrap();
    assert_eq!(read(echo).await, (StatusCode::OK, "x".repeat(1000)));
}

#[tokio::test]
async fn each_request_has_an_id_of_our_making() {
    let server = Server::start(limits()).await;
    let mut client = server.http1().await;
    let mut seen = std::collections::HashSet::new();
    for _ in 0..3 {
        let response = client.send_request(request("/id")).await.unwrap();
        let header = response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        assert_eq!(read(response).await.1, header);
        assert_ne!(header, "forged");
        assert!(seen.insert(header));
    }
}

#[tokio::test]
async fn large_bodies_are_refused() {
    let server = Server::start(limits()).await;
    let response = server
        .http1()
        .await
        .send_request(upload(1001))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(response.headers().contains_key("x-request-id"));
    let response = server
        .http2()
        .await
        .send_request(upload(1001))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);

    // Without a length told before.
    let mut stream = server.connect("http/1.1").await.unwrap();
    let head = "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..3 {
        stream
            .write_all(format!("190\r\n{}\r\n", "x".repeat(400)).as_bytes())
            .await
            .unwrap();
    }
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
}

#[tokio::test]
async fn large_heads_are_refused() {
    let server = Server::start(limits()).await;
    let mut large = request("/");
    let value = http::HeaderValue::from_str(&"x".repeat(10_000)).unwrap();
    large.headers_mut().insert("x-large", value);
    let response = server
        .http1()
        .await
        .send_request(large.clone())
        .await
        .unwrap();
    assert_eq!(
        response.status(),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
    );
    let response = server.http2().await.send_request(large).await;
    match response {
        Ok(response) => assert_eq!(
            response.status(),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
        ),
        Err(error) => assert!(
            error.is_user() || error.is_closed() || error.is_canceled(),
            "{error:?}"
        ),
    }
}

#[tokio::test]
async fn slow_heads_run_out_of_time() {
    let server = Server::start(limits()).await;
    // A byte now and then, for the first head and for a later one.
    for first in ["", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
        let mut stream = server.connect("http/1.1").await.unwrap();
        stream.write_all(first.as_bytes()).await.unwrap();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            if stream.write_all(b"G").await.is_err() || stream.flush().await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let (_, _) = until_closed(&mut stream).await;
        assert!(start.elapsed() < Duration::from_secs(8), "{first:?}");
    }
    // Silence before the handshake, and after it.
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let (text, took) = until_closed(&mut silent).await;
    assert!(
        text.is_empty() && took < Duration::from_secs(5),
        "{text:?} {took:?}"
    );
    let mut silent = server.connect("http/1.1").await.unwrap();
    let (text, took) = until_closed(&mut silent).await;
    assert!(
        text.is_empty() && took < Duration::from_secs(5),
        "{text:?} {took:?}"
    );
}

#[tokio::test]
async fn idle_connections_outlive_the_time_for_a_head() {
    let server = Server::start(limits()).await;
    let mut client = server.http1().await;
    for _ in 0..2 {
        let answer = client.send_request(request("/")).await.unwrap();
        assert_eq!(read(answer).await.0, StatusCode::OK);
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
}

#[tokio::test]
async fn requests_run_out_of_time() {
    let server = Server::start(limits()).await;
    let mut client = server.http1().await;
    let answer = client.send_request(request("/hang")).await.unwrap();
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(read(answer).await.0, StatusCode::SERVICE_UNAVAILABLE);
    // A body that never comes.
    let mut stream = server.connect("http/1.1").await.unwrap();
    let head = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nx";
    stream.write_all(head.as_bytes()).await.unwrap();
    let (text, took) = until_closed(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
    assert!(took < Duration::from_secs(5));
}

#[tokio::test]
async fn a_panic_is_answered() {
    let server = Server::start(limits()).await;
    let mut client = server.http1().await;
    let answer = client.send_request(request("/panic")).await.unwrap();
    assert_eq!(read(answer).await.0, StatusCode::INTERNAL_SERVER_ERROR);
    let answer = client.send_request(request("/")).await.unwrap();
    assert_eq!(read(answer).await.0, StatusCode::OK);
}

#[tokio::test]
async fn plain_http_is_told_to_use_https() {
    let server = Server::start(limits()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let (text, _) = until_closed(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
    assert!(text.ends_with("use https:// URLs"), "{text}");
    // Neither TLS nor HTTP: closed, with or without an alert.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&[0; 100]).await.unwrap();
    let (text, _) = until_closed(&mut stream).await;
    assert!(!text.contains("HTTP"), "{text}");
}

#[tokio::test]
async fn connections_are_limited() {
    let server = Server::start(Limits {
        connections: 2,
        ..limits()
    })
    .await;
    let (mut one, two) = (server.http1().await, server.http1().await);
    let third = server.connect("http/1.1");
    let mut third = std::pin::pin!(third);
    assert!(
        tokio::time::timeout(Duration::from_millis(150), &mut third)
            .await
            .is_err()
    );
    assert_eq!(
        one.send_request(request("/")).await.unwrap().status(),
        StatusCode::OK
    );
    drop(two);
    tokio::time::timeout(Duration::from_secs(5), third)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn shutdown_drains() {
    let server = Server::start(limits()).await;
    let (mut one, mut two, idle) = (
        server.http1().await,
        server.http2().await,
        server.connect("http/1.1").await.unwrap(),
    );
    let under_way = [
        tokio::spawn(one.send_request(request("/sleep"))),
        tokio::spawn(two.send_request(request("/sleep"))),
    ];
    tokio::time::sleep(Duration::from_millis(100)).await;
    let shutdown = server.shutdown.clone();
    let finish = tokio::spawn(async move { shutdown.finish(Duration::from_secs(20)).await });
    let refusing = async {
        while TcpStream::connect(server.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), refusing)
        .await
        .unwrap();
    for answer in under_way {
        assert_eq!(
            read(answer.await.unwrap().unwrap()).await,
            (StatusCode::OK, "slept".into())
        );
    }
    let ending = tokio::time::timeout(Duration::from_secs(5), finish).await;
    assert_eq!(ending.unwrap().unwrap(), Ending::Drained);
    drop(idle);

    // What does not end in time is cut off.
    let server = Server::start(Limits {
        request_timeout: Duration::from_secs(60),
        ..limits()
    })
    .await;
    let mut client = server.http1().await;
    let hanging = tokio::spawn(client.send_request(request("/hang")));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(
        server.shutdown.finish(Duration::from_millis(100)).await,
        Ending::CutOff(1)
    );
    assert!(hanging.await.unwrap().is_err());
}

#[tokio::test]
async fn a_new_certificate_is_shown_without_a_restart() {
    let mut server = Server::start(limits()).await;
    let before = server.connect("h2").await.unwrap();
    server.renew();
    let after = server.connect("h2").await.unwrap();
    let shown =
        |stream: &TlsStream<TcpStream>| stream.get_ref().1.peer_certificates().unwrap().to_vec();
    assert_ne!(shown(&before), shown(&after));
    assert_eq!(shown(&after)[0].to_vec(), server.current.chain()[0]);
}

#[tokio::test]
async fn without_a_certificate_handshakes_fail_and_nothing_else() {
    let listeners = bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
    let mut server = Server {
        address: listeners[0].local_addr().unwrap(),
        current: CurrentCertificate::new(),
        shutdown: Shutdown::new(),
        roots: RootCertStore::empty(),
    };
    let certificate = Arc::clone(&server.current);
    let handshakes = Handshakes::new(certificate, ClientIdentity::Ignored).unwrap();
    serve_tls(
        listeners,
        &handshakes,
        router(),
        &limits(),
        &server.shutdown,
    );
    server.connect("h2").await.unwrap_err();
    server.renew();
    server.connect("h2").await.unwrap();
}

#[tokio::test]
async fn what_is_served_is_exchanged_on_an_open_connection() {
    let shutdown = Shutdown::new();
    let mut listeners = bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
    let listener = listeners.remove(0);
    let address = listener.local_addr().unwrap();
    let began = Arc::new(tokio::sync::Notify::new());
    let go_on = Arc::new(tokio::sync::Notify::new());
    let (telling, waiting) = (Arc::clone(&began), Arc::clone(&go_on));
    let slow = async move || {
        telling.notify_one();
        waiting.notified().await;
        "former"
    };
    let routes = Routes::from(Router::new().route("/", get(slow)));
    serve_plain(listener, routes.clone(), &limits(), &shutdown);
    let mut stream = TcpStream::connect(address).await.unwrap();
    let get = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(get.as_bytes()).await.unwrap();
    began.notified().await;
    routes.replace(router());
    go_on.notify_one();
    let mut answer = [0; 4096];
    let read = stream.read(&mut answer).await.unwrap();
    assert!(answer[..read].ends_with(b"former"));
    stream.write_all(get.as_bytes()).await.unwrap();
    let read = stream.read(&mut answer).await.unwrap();
    assert!(answer[..read].ends_with(b"hello"));
}

#[tokio::test]
async fn plain_and_unix_listeners() {
    let shutdown = Shutdown::new();
    let listener = bind(&["127.0.0.1:0".parse().unwrap()]).unwrap().remove(0);
    let address = listener.local_addr().unwrap();
    serve_plain(listener, router(), &limits(), &shutdown);
    let mut stream = TcpStream::connect(address).await.unwrap();
    let get = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(get.as_bytes()).await.unwrap();
    assert!(until_closed(&mut stream).await.0.ends_with("hello"));

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    serve_unix(
        UnixSocket::bind(&path).unwrap(),
        router(),
        &limits(),
        &shutdown,
    );
    let pass = Pass::of(&path).unwrap().unwrap().header().unwrap();
    for (shown, status, end) in [
        ("", "401", r#".pass: `Authorization: Bearer PASS`"}"#),
        ("Bearer", "401", "}"),
        ("Bearer guessed", "401", "}"),
        (pass.to_str().unwrap(), "200", "hello"),
    ] {
        let get = get.replace("\r\n\r\n", &format!("\r\nAuthorization: {shown}\r\n\r\n"));
        let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        stream.write_all(get.as_bytes()).await.unwrap();
        let (answer, _) = until_closed(&mut stream).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{shown}: {answer}"
        );
        assert!(answer.ends_with(end), "{shown}: {answer}");
    }
    assert_eq!(
        shutdown.finish(Duration::from_secs(5)).await,
        Ending::Drained
    );
    assert!(!path.exists());
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let taken = bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
    let address = taken[0].local_addr().unwrap();
    let error = bind(&[address]).unwrap_err().to_string();
    assert!(error.contains(&address.to_string()), "{error}");
}

/// As the sample of a configuration has it.
#[tokio::test]
async fn all_addresses_of_both_kinds_have_one_port() {
    // Not every machine has IPv6.
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let probe = bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
    let port = probe[0].local_addr().unwrap().port();
    drop(probe);
    let (v4, v6) = (format!("0.0.0.0:{port}"), format!("[::]:{port}"));
    let (v4, v6) = (v4.parse().unwrap(), v6.parse().unwrap());
    let reaches = async |listeners: &[TcpListener], host: &str| {
        let _client = TcpStream::connect((host, port)).await.unwrap();
        let (first, last) = (&listeners[0], &listeners[listeners.len() - 1]);
        let accepted = tokio::select! {
            accepted = first.accept() => accepted.map(|_| first),
            accepted = last.accept() => accepted.map(|_| last),
            () = tokio::time::sleep(Duration::from_secs(5)) => panic!("nobody at {host}"),
        };
        accepted.unwrap().local_addr().unwrap()
    };
    for both in [[v4, v6], [v6, v4]] {
        let listeners = bind(&both).unwrap();
        assert_eq!(reaches(&listeners, "127.0.0.1").await, v4);
        assert_eq!(reaches(&listeners, "::1").await, v6);
    }
    let listeners = bind(&[v6]).unwrap();
    assert_eq!(reaches(&listeners, "127.0.0.1").await, v6);
    assert_eq!(reaches(&listeners, "::1").await, v6);
}

/// The access log names the path and no query: whatever stands there is not for the log.
#[tokio::test]
async fn each_request_leaves_a_line() {
    let log = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(log.writer())
        .finish();
    let _guard = subscribe(subscriber);
    let server = Server::start(limits()).await;
    let mut client = server.http1().await;
    let response = client.send_request(request("/?secret=1")).await.unwrap();
    let id = response.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    client
        .send_request(request("/missing?secret=1"))
        .await
        .unwrap();
    let text = log.text();
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("certdock::access"))
        .collect();
    assert_eq!(lines.len(), 2, "{text}");
    for (line, expect) in lines.iter().zip([
        ["DEBUG", "method=GET", "path=\"/\"", "status=200", "bytes=5"],
        [
            "INFO",
            "method=GET",
            "path=\"/missing\"",
            "status=404",
            "bytes=0",
        ],
    ]) {
        assert!(expect.iter().all(|part| line.contains(part)), "{line}");
        assert!(
            line.contains("peer=127.0.0.1:") && line.contains("request{id="),
            "{line}"
        );
        assert!(!line.contains("secret"), "{line}");
    }
    assert!(lines[0].contains(&id));
}
