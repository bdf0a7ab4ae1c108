//! RFC 7030 §4.1: distribution of CA certificates.

use certdock_tests::est::{EstWorld, TLS_VERSIONS, certificates, decode_base64, signed_data};
use http::Method;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::check_refusal;

#[tokio::test(flavor = "multi_thread")]
async fn anybody_gets_the_ca_certificates() {
    let world = EstWorld::start().await;
    for (version, tls) in TLS_VERSIONS {
        for label in ["", "/default", "/basic", "/both", "/factory", "/slow"] {
            let case = format!("{version} {label}");
            let mut client = world.client(&world.anybody().over(tls));
            client.base.push_str(label);
            let answer = client.cacerts().await.unwrap().expect(200).unwrap();
            let kind = answer.header("content-type").unwrap();
            assert!(kind.starts_with("application/pkcs7-mime"), "{case}: {kind}");
            assert_eq!(
                answer.header("content-transfer-encoding"),
                Some("base64"),
                "{case}"
            );
            let all = certificates(&answer.body);
            let parsed: Vec<_> = all
                .iter()
                .map(|der| X509Certificate::from_der(der).unwrap().1)
                .collect();
            assert!(parsed.iter().all(|one| one.is_ca()), "{case}");
            // RFC 7030 §4.1.3: up to the root.
            let root = parsed.iter().find(|one| one.subject() == one.issuer());
            assert!(root.is_some(), "{case}: {} certificates", parsed.len());
            if label != "/slow" {
                assert_eq!(parsed.len(), 2, "{case}");
                parsed[0]
                    .verify_signature(Some(parsed[1].public_key()))
                    .unwrap();
            }
        }
    }
}

/// RFC 7030 §4.1.3, RFC 5272 §4.1: no content, no signer.
#[tokio::test(flavor = "multi_thread")]
async fn the_message_is_certificates_only() {
    let world = EstWorld::start().await;
    let mut client = world.client(&world.anybody());
    let answer = client.cacerts().await.unwrap().expect(200).unwrap();
    let der = decode_base64(&answer.body);
    let parts = signed_data(&der);
    assert_eq!(parts[0].content, [1], "version");
    assert!(parts[1].content.is_empty(), "digestAlgorithms");
    let content = parts[2].parts();
    assert_eq!(content.len(), 1, "eContent is absent");
    assert_eq!(content[0].oid(), "1.2.840.113549.1.7.1");
    let signers = parts.last().unwrap();
    assert_eq!((signers.tag, signers.content), (0x31, &[][..]));

    let again = client.cacerts().await.unwrap().expect(200).unwrap();
    assert_eq!(again.body, answer.body);
    let head = client
        .request(Method::HEAD, "cacerts", &[], Vec::new())
        .await
        .unwrap();
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_addresses_and_methods_are_refused() {
    let world = EstWorld::start().await;
    let mut client = world.client(&world.anybody());
    let cases = [
        (Method::POST, "cacerts", 405),
        (Method::PUT, "cacerts", 405),
        (Method::GET, "simpleenroll", 405),
        (Method::GET, "simplereenroll", 405),
        (Method::DELETE, "default/simpleenroll", 405),
        (Method::GET, "nowhere/cacerts", 404),
        (Method::GET, "%ff/cacerts", 404),
        (Method::POST, "%ff/simpleenroll", 404),
        (Method::GET, "getcacerts", 404),
        (Method::GET, "", 404),
        (Method::GET, "default", 404),
        (Method::GET, "default/default/cacerts", 404),
        (Method::GET, "default/../cacerts", 404),
    ];
    for (method, path, status) in cases {
        let case = format!("{method} {path}");
        let answer = client
            .request(method.clone(), path, &[], Vec::new())
            .await
            .unwrap();
        check_refusal(&case, &answer, status);
        if status == 405 {
            let allowed = answer.header("allow").unwrap_or_default();
            assert!(!allowed.is_empty(), "{case}");
            assert!(!allowed.contains(method.as_str()), "{case}: {allowed}");
        }
    }
}
