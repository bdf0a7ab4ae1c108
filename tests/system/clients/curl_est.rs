//! curl with openssl, as people enroll by hand.

use std::fs;
use std::path::PathBuf;

use certdock_tests::certificate::dns_names;
use certdock_tests::est::{Caller, Credential, EstWorld};
use certdock_tests::program::{Outcome, Program};
use tempfile::TempDir;

/// What curl calls the two versions.
const TLS: [[&str; 3]; 2] = [
    ["--tlsv1.2", "--tls-max", "1.2"],
    ["--tlsv1.3", "--tls-max", "1.3"],
];

struct Curl<'a> {
    world: &'a EstWorld,
    dir: TempDir,
}

impl<'a> Curl<'a> {
    fn new(world: &'a EstWorld) -> Self {
        let dir = TempDir::new().unwrap();
        Self { world, dir }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn run(&self, options: &[&str], path: &str) -> Outcome {
        Program::new("curl")
            .args(["--silent", "--show-error", "--fail-with-body", "--cacert"])
            .arg(self.world.server.root_pem())
            .args(options)
            .args(["--output", "answer"])
            .arg(format!("{}/{path}", self.world.base()))
            .dir(self.dir.path())
            .run()
            .await
    }

    async fn openssl(&self, args: &[&str]) -> String {
        let program = Program::new("openssl").args(args).dir(self.dir.path());
        program.run().await.success().stdout
    }

    /// A key, and a CSR as `request.b64`.
    async fn request(&self, name: &str, key: &str) {
        let subject = format!("/CN={name}");
        let names = format!("subjectAltName=DNS:{name}");
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
        let make = [
            "req", "-new", "-nodes", "-subj", &subject, "-addext", &names,
        ];
        let out = ["-keyout", key, "-outform", "DER", "-out", "request.der"];
        self.openssl(&[&make[..], &curve, &out].concat()).await;
        self.openssl(&["base64", "-in", "request.der", "-out", "request.b64"])
            .await;
    }

    /// The PEM certificates of `answer`.
    async fn certificates(&self) -> Vec<Vec<u8>> {
        self.openssl(&["base64", "-d", "-in", "answer", "-out", "answer.p7"])
            .await;
        let print = [
            "pkcs7",
            "-inform",
            "DER",
            "-print_certs",
            "-in",
            "answer.p7",
        ];
        let text = self.openssl(&print).await;
        pem::parse_many(text)
            .unwrap()
            .into_iter()
            .map(pem::Pem::into_contents)
            .collect()
    }
}

fn user_and_password(caller: &Caller) -> String {
    let (user, password) = caller.password.clone().unwrap();
    format!("{user}:{password}")
}

const PKCS10: [&str; 4] = [
    "--header",
    "Content-Type: application/pkcs10",
    "--data-binary",
    "@request.b64",
];

#[tokio::test(flavor = "multi_thread")]
async fn gets_enrolls_and_renews_in_both_tls_versions() {
    let world = EstWorld::start().await;
    let user = user_and_password(&world.user("curl").await);
    for tls in TLS {
        let curl = Curl::new(&world);
        curl.run(&tls, "cacerts").await.success();
        assert_eq!(curl.certificates().await.len(), 2);

        curl.request("curl.est.test", "first.key").await;
        let options = [&tls[..], &["--user", &user], &PKCS10].concat();
        curl.run(&options, "simpleenroll").await.success();
        let first = curl.certificates().await.remove(0);
        assert_eq!(dns_names(&first), ["curl.est.test"]);

        let own = Credential {
            certificate: pem::encode(&pem::Pem::new("CERTIFICATE", first.clone())),
            key: fs::read_to_string(curl.file("first.key")).unwrap(),
        };
        fs::write(curl.file("first.crt"), own.certificate).unwrap();
        curl.request("curl.est.test", "second.key").await;
        let own = ["--cert", "first.crt", "--key", "first.key"];
        let options = [&tls[..], &own, &PKCS10].concat();
        curl.run(&options, "default/simplereenroll").await.success();
        let second = curl.certificates().await.remove(0);
        assert_eq!(dns_names(&second), ["curl.est.test"]);
        assert_ne!(first, second);
    }
}

/// HTTP/1.0, chunked, and by HTTP/2 as curl prefers it.
#[tokio::test(flavor = "multi_thread")]
async fn enrolls_by_every_version_of_http() {
    let world = EstWorld::start().await;
    let user = user_and_password(&world.user("curl").await);
    let curl = Curl::new(&world);
    curl.request("curl.est.test", "http.key").await;
    for http in [
        &["--http1.0"][..],
        &["--http1.1"],
        &["--http1.1", "--header", "Transfer-Encoding: chunked"],
        &["--http2"],
        &["--http1.1", "--header", "Expect: 100-continue"],
    ] {
        let options = [http, &["--user", &user], &PKCS10].concat();
        curl.run(&options, "simpleenroll").await.success();
        assert_eq!(dns_names(&curl.certificates().await[0]), ["curl.est.test"]);
    }
}

/// A wrong password is told, with what would help.
#[tokio::test(flavor = "multi_thread")]
async fn is_told_that_the_password_is_wrong() {
    let world = EstWorld::start().await;
    world.user("curl").await;
    let curl = Curl::new(&world);
    curl.request("curl.est.test", "wrong.key").await;
    let options = [&["--user", "curl:wrong", "--include"][..], &PKCS10].concat();
    let outcome = curl.run(&options, "simpleenroll").await;
    assert_eq!(outcome.status, Some(22), "{outcome:?}");
    let answer = fs::read_to_string(curl.file("answer")).unwrap();
    assert!(answer.contains("401"), "{answer}");
    assert!(
        answer
            .to_lowercase()
            .contains("www-authenticate: basic realm="),
        "{answer}"
    );
}
