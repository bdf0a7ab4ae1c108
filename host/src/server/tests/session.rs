//! What requests are told of the TLS session they come over.

use rustls::client::Resumption;
use rustls::{HandshakeKind, SupportedProtocolVersion};

use super::*;

const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

/// A client of one TLS version, with a certificate of its own if it is to have one.
fn client(
    server: &Server,
    version: &'static SupportedProtocolVersion,
    shows: bool,
) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(server.roots.clone());
    let mut config = if shows {
        let made = rcgen::generate_simple_self_signed(vec!["client".into()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let chain = vec![made.cert.der().clone()];
        builder.with_client_auth_cert(chain, key).unwrap()
    } else {
        builder.with_no_client_auth()
    };
    config.resumption = Resumption::in_memory_sessions(8);
    config
}

/// Connects and asks; says what the server was told, and what the client knows of the same session.
async fn ask(server: &Server, config: &Arc<ClientConfig>) -> (String, String, HandshakeKind) {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::clone(config))
        .connect(name, stream)
        .await
        .unwrap();
    let session = stream.get_ref().1;
    let kind = session.handshake_kind().unwrap();
    let exported = session
        .export_keying_material([0_u8; 32], b"EXPORTER-Channel-Binding", Some(b""))
        .unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = Request::get("/session")
        .body(Full::<Bytes>::default())
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    (
        String::from_utf8(text.to_vec()).unwrap(),
        hex(&exported),
        kind,
    )
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_certificate_is_asked_for_and_not_demanded() {
    let server = Server::start_with(limits(), ClientIdentity::Requested).await;
    for version in VERSIONS {
        for shows in [true, false] {
            let config = Arc::new(client(&server, version, shows));
            let (told, exported, _) = ask(&server, &config).await;
            let certificates = usize::from(shows);
            let binding = match version.version {
                rustls::ProtocolVersion::TLSv1_3 => exported,
                _ => "none".to_owned(),
            };
            assert_eq!(told, format!("{certificates} {binding}"));
        }
    }
}

/// A session that is resumed has the certificate that it began with, and a name of its own.
#[tokio::test]
async fn a_resumed_session_keeps_who_it_is() {
    let server = Server::start_with(limits(), ClientIdentity::Requested).await;
    for version in VERSIONS {
        let config = Arc::new(client(&server, version, true));
        let (first, _, kind) = ask(&server, &config).await;
        assert_eq!(kind, HandshakeKind::Full);
        let (again, exported, kind) = ask(&server, &config).await;
        assert_eq!(kind, HandshakeKind::Resumed, "{version:?}");
        assert!(again.starts_with("1 "), "{again}");
        if version.version == rustls::ProtocolVersion::TLSv1_3 {
            assert_ne!(again, first);
            assert_eq!(again, format!("1 {exported}"));
        }
    }
}

#[tokio::test]
async fn nobody_is_asked_where_it_does_not_matter() {
    for (identity, expect) in [
        (ClientIdentity::Ignored, "nothing"),
        (ClientIdentity::Bound, "0 "),
    ] {
        let server = Server::start_with(limits(), identity).await;
        let config = Arc::new(client(&server, &rustls::version::TLS13, true));
        let (told, ..) = ask(&server, &config).await;
        assert!(told.starts_with(expect), "{identity:?}: {told}");
    }
}
