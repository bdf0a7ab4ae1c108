//! RFC 7030 §4.3: Full CMC (RFC 5272), with messages that OpenSSL signs and checks.

use std::fs;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certdock_tests::certificate::dns_names;
use certdock_tests::der::{self, Element, INTEGER, OCTET_STRING, element, integer, oid, sequence};
use certdock_tests::est::{
    Authority, Caller, Credential, Csr, EstWorld, certificates, decode_base64,
};
use certdock_tests::http::Answer;
use certdock_tests::program::Program;
use rustix::process::Signal;
use tempfile::TempDir;

use super::is_for;

const LABELS: &str = r#"
[est.cmc]
handler = "local"
names = ["*.est.test"]
ra_certificate = "cmc.pem"
ra_key = "cmc.key"

[est.slowcmc]
handler = "slow"
names = ["*.est.test"]
ra_certificate = "cmc.pem"
ra_key = "cmc.key"
"#;

const PKI_DATA: &str = "1.3.6.1.5.5.7.12.2";
const PKI_RESPONSE: &str = "1.3.6.1.5.5.7.12.3";
const TRANSACTION_ID: &str = "1.3.6.1.5.5.7.7.5";
const SENDER_NONCE: &str = "1.3.6.1.5.5.7.7.6";
const RECIPIENT_NONCE: &str = "1.3.6.1.5.5.7.7.7";
const REVOKE_REQUEST: &str = "1.3.6.1.5.5.7.7.17";
const QUERY_PENDING: &str = "1.3.6.1.5.5.7.7.21";
const STATUS_INFO_V2: &str = "1.3.6.1.5.5.7.7.25";

struct Cmc {
    world: EstWorld,
    dir: TempDir,
}

impl Cmc {
    async fn start() -> Self {
        let mut world = EstWorld::prepare(|settings| settings.more.push_str(LABELS));
        let authority = Authority::new("Registration");
        let ra = authority.client("Registration Authority");
        let file = |name: &str| world.server.dir().join(name);
        fs::write(file("cmc.pem"), &ra.certificate).unwrap();
        fs::write(file("cmc.key"), &ra.key).unwrap();
        world.server.restart();
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("root.pem"), &authority.root).unwrap();
        Self { world, dir }
    }

    async fn openssl(&self, args: &[&str]) {
        let program = Program::new("openssl").args(args).dir(self.dir.path());
        program.run().await.success();
    }

    /// A message signed with the key of this credential.
    async fn sign(&self, data: &[u8], by: &Credential) -> Vec<u8> {
        let file = |name: &str| self.dir.path().join(name);
        fs::write(file("data"), data).unwrap();
        fs::write(file("signer.pem"), &by.certificate).unwrap();
        fs::write(file("signer.key"), &by.key).unwrap();
        let sign = ["cms", "-sign", "-binary", "-nodetach", "-md", "sha256"];
        let kind = ["-econtent_type", PKI_DATA, "-in", "data"];
        let by = ["-signer", "signer.pem", "-inkey", "signer.key"];
        let out = ["-outform", "DER", "-out", "message"];
        self.openssl(&[&sign[..], &kind, &by, &out].concat()).await;
        fs::read(file("message")).unwrap()
    }

    async fn send(&self, label: &str, caller: &Caller, message: &[u8]) -> Answer {
        let body = STANDARD.encode(message).into_bytes();
        let kind = "application/pkcs7-mime; smime-type=CMC-request";
        let mut client = self.world.client_of(label, caller);
        client.post("fullcmc", kind, body).await.unwrap()
    }

    /// The controls of an answer that the RA has signed, by type.
    async fn controls(&self, answer: &Answer) -> Vec<(String, Vec<u8>)> {
        let kind = answer.header("content-type").unwrap_or_default();
        assert_eq!(
            kind,
            "application/pkcs7-mime; smime-type=CMC-response",
            "{}",
            answer.text()
        );
        let message = decode_base64(&answer.body);
        fs::write(self.dir.path().join("answer"), message).unwrap();
        let verify = [
            "cms", "-verify", "-binary", "-inform", "DER", "-in", "answer",
        ];
        let trust = ["-CAfile", "root.pem", "-purpose", "any", "-out", "content"];
        self.openssl(&[&verify[..], &trust].concat()).await;
        let content = fs::read(self.dir.path().join("content")).unwrap();
        let parts = Element::of(&content).parts();
        let controls = parts[0].parts();
        controls
            .iter()
            .map(|control| {
                let [_, kind, values] = control.parts()[..] else {
                    panic!("{control:?}");
                };
                (kind.oid(), values.content.to_vec())
            })
            .collect()
    }
}

fn data(controls: &[&[u8]], requests: &[&[u8]]) -> Vec<u8> {
    let none = sequence(&[]);
    sequence(&[&sequence(controls), &sequence(requests), &none, &none])
}

fn control(kind: &str, value: &[u8]) -> Vec<u8> {
    sequence(&[&integer(7), &oid(kind), &der::set(&[value])])
}

fn request(csr: &Csr) -> Vec<u8> {
    element(0xa0, &[&integer(5), &csr.der])
}

/// The key of a CSR, as if it had a certificate.
fn own(csr: &Csr) -> Credential {
    let params = rcgen::CertificateParams::default();
    Credential {
        certificate: params.self_signed(&csr.key).unwrap().pem(),
        key: csr.key.serialize_pem(),
    }
}

fn status<'a>(controls: &'a [(String, Vec<u8>)]) -> Vec<Element<'a>> {
    let (_, value) = controls
        .iter()
        .find(|(kind, _)| kind == STATUS_INFO_V2)
        .expect("CMCStatusInfoV2");
    Element::of(value).parts()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_enrolled() {
    let cmc = Cmc::start().await;
    let user = cmc.world.user("device").await;
    let csr = Csr::new("cmc.est.test");
    let nonce = element(OCTET_STRING, &[b"a nonce of the client"]);
    let data = data(
        &[
            &control(TRANSACTION_ID, &integer(4711)),
            &control(SENDER_NONCE, &nonce),
        ],
        &[&request(&csr)],
    );
    let message = cmc.sign(&data, &own(&csr)).await;
    let answer = cmc.send("cmc", &user, &message).await;
    let controls = cmc.controls(&answer).await;
    assert_eq!(answer.status, 200, "{controls:02x?}");
    let value = |kind: &str| {
        let found = controls.iter().find(|(own, _)| own == kind);
        found.map(|(_, value)| value.clone())
    };
    assert_eq!(value(TRANSACTION_ID), Some(integer(4711)));
    assert_eq!(value(RECIPIENT_NONCE), Some(nonce));
    assert!(value(SENDER_NONCE).is_some());
    let status = status(&controls);
    assert_eq!(status[0].whole, integer(0), "{status:02x?}");
    assert_eq!(status[1].content, integer(5), "{status:02x?}");
    let issued = certificates(&answer.body);
    let issued = issued.iter().find(|der| is_for(der, &csr.key));
    let issued = issued.expect("a certificate for the key of the CSR");
    assert_eq!(dns_names(issued), ["cmc.est.test"]);
    let message = decode_base64(&answer.body);
    let kind = oid(PKI_RESPONSE);
    assert!(message.windows(kind.len()).any(|bytes| bytes == kind));

    // With the certificate that it shows, a client signs for another key.
    let credential = Credential {
        certificate: pem::encode(&pem::Pem::new("CERTIFICATE", issued.clone())),
        key: csr.key.serialize_pem(),
    };
    let holder = cmc.world.anybody().showing(&credential);
    let next = Csr::new("cmc.est.test");
    let data = self::data(&[], &[&request(&next)]);
    let message = cmc.sign(&data, &credential).await;
    let answer = cmc.send("cmc", &holder, &message).await;
    assert_eq!(answer.status, 200);
    assert!(
        certificates(&answer.body)
            .iter()
            .any(|der| is_for(der, &next.key))
    );
    assert_eq!(cmc.world.issued().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_refused_in_cmc_s_words() {
    let cmc = Cmc::start().await;
    let user = cmc.world.user("device").await;
    let (csr, other) = (Csr::new("cmc.est.test"), Csr::new("cmc.est.test"));
    let foreign = Csr::new("foreign.example");
    let asked = data(&[], &[&request(&csr)]);
    let revoke = control(REVOKE_REQUEST, &integer(1));
    for (case, data, signer, http, info) in [
        ("signed by a stranger", asked, &other, 400, 1),
        (
            "two requests",
            data(&[], &[&request(&csr), &request(&csr)]),
            &csr,
            400,
            2,
        ),
        ("nothing asked for", data(&[], &[]), &csr, 400, 2),
        (
            "a revocation",
            data(&[&revoke], &[&request(&csr)]),
            &csr,
            400,
            2,
        ),
        (
            "a foreign name",
            data(&[], &[&request(&foreign)]),
            &foreign,
            403,
            7,
        ),
    ] {
        let message = cmc.sign(&data, &own(signer)).await;
        let answer = cmc.send("cmc", &user, &message).await;
        assert_eq!(answer.status, http, "{case}: {}", answer.text());
        let controls = cmc.controls(&answer).await;
        let status = status(&controls);
        assert_eq!(status[0].whole, integer(2), "{case}");
        let last = status.last().unwrap();
        assert_eq!(
            (last.tag, last.whole),
            (INTEGER, &integer(info)[..]),
            "{case}"
        );
    }
    // What is no message can't be answered by one; nor is there one at every label.
    let answer = cmc.send("cmc", &user, &csr.der).await;
    super::check_refusal("no CMS", &answer, 400);
    let answer = cmc.send("default", &user, &csr.der).await;
    super::check_refusal("no RA", &answer, 501);
    let answer = cmc.send("cmc", &cmc.world.anybody(), &csr.der).await;
    super::check_refusal("nobody", &answer, 401);
    assert_eq!(cmc.world.issued().await.len(), 0);
}

/// Another RA certificate and key are taken up without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_ra_signs_once_its_files_are_there() {
    let cmc = Cmc::start().await;
    let user = cmc.world.user("device").await;
    let csr = Csr::new("cmc.est.test");
    // It asks for nothing, so that all there is in the answer is the RA's.
    let message = cmc.sign(&data(&[], &[]), &own(&csr)).await;
    let renewed = Authority::new("Registration").client("Registration Authority");
    let file = |name: &str| cmc.world.server.dir().join(name);
    fs::write(file("cmc.key"), &renewed.key).unwrap();
    fs::write(file("cmc.pem"), &renewed.certificate).unwrap();
    cmc.world.server.signal(Signal::HUP);
    for _ in 0..100 {
        let answer = cmc.send("cmc", &user, &message).await;
        assert_eq!(answer.status, 400);
        if certificates(&answer.body).contains(&renewed.der()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("the former RA signs still");
}

/// A password that would help is HTTP's affair (RFC 7030 §3.2.3), also where CMC could say no.
#[tokio::test(flavor = "multi_thread")]
async fn a_used_password_is_refused_in_http_s_words() {
    let cmc = Cmc::start().await;
    let once = cmc.world.user_with("once", &["--once"]).await;
    for (case, status) in [("first", 200), ("again", 401)] {
        let csr = Csr::new("cmc.est.test");
        let message = cmc.sign(&data(&[], &[&request(&csr)]), &own(&csr)).await;
        let answer = cmc.send("cmc", &once, &message).await;
        assert_eq!(answer.status, status, "{case}: {}", answer.text());
        if status == 401 {
            super::check_refusal(case, &answer, 401);
            assert!(answer.header("www-authenticate").is_some(), "{answer:?}");
        }
    }
    assert_eq!(cmc.world.issued().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_request_is_found_by_its_token() {
    let mut cmc = Cmc::start().await;
    let user = cmc.world.user("device").await;
    let csr = Csr::new("slowcmc.est.test");
    let message = cmc.sign(&data(&[], &[&request(&csr)]), &own(&csr)).await;
    let answer = cmc.send("slowcmc", &user, &message).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    let controls = cmc.controls(&answer).await;
    let status = status(&controls);
    assert_eq!(status[0].whole, integer(3));
    let pending = status.last().unwrap();
    assert_eq!(pending.tag, 0xa0);
    let token = pending.parts()[0].whole.to_vec();

    cmc.world.server.kill();
    cmc.world.officer("approved", "slowcmc.est.test", "");
    cmc.world.server.restart();
    let query = data(&[&control(QUERY_PENDING, &token)], &[]);
    let query = cmc.sign(&query, &own(&csr)).await;
    // Somebody else's token is nothing.
    let other = cmc.world.user("other").await;
    assert_eq!(cmc.send("slowcmc", &other, &query).await.status, 400);
    for _ in 0..50 {
        let answer = cmc.send("slowcmc", &user, &query).await;
        if answer.status == 202 {
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        }
        assert_eq!(answer.status, 200, "{}", answer.text());
        let issued = certificates(&answer.body);
        assert!(issued.iter().any(|der| is_for(der, &csr.key)));
        return;
    }
    panic!("it is still pending");
}
