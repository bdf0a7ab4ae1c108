//! strongSwan's `pki`, as Debian has it.

use std::fs;
use std::path::PathBuf;

use certdock_tests::certificate::dns_names;
use certdock_tests::est::{Caller, EstWorld};
use certdock_tests::program::{Outcome, Program};
use tempfile::TempDir;

struct Pki<'a> {
    world: &'a EstWorld,
    dir: TempDir,
}

impl<'a> Pki<'a> {
    /// Speaks one TLS version only.
    fn new(world: &'a EstWorld, tls: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let config =
            format!("pki {{\n tls {{\n version_min = {tls}\n version_max = {tls}\n }}\n}}\n");
        fs::write(dir.path().join("strongswan.conf"), config).unwrap();
        Self { world, dir }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, command: &str) -> Program {
        Program::new("pki")
            .arg(command)
            .env("STRONGSWAN_CONF", self.file("strongswan.conf"))
            .dir(self.dir.path())
    }

    /// What stands before /.well-known/est: there is no way to name a label.
    fn url(&self) -> String {
        self.world.server.settings.base_url()
    }

    /// The CA certificates into files `ca.pem`, `ca-1.pem` …; their names.
    async fn estca(&self) -> Vec<PathBuf> {
        let outcome = self
            .run("--estca")
            .args(["--url", &self.url(), "--outform", "pem"])
            .arg("--cacert")
            .arg(self.world.server.root_pem())
            .arg("--caout")
            .arg(self.file("ca.pem"))
            .run()
            .await;
        outcome.success();
        let mut files: Vec<_> = fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "pem"))
            .collect();
        files.sort();
        files
    }

    /// A key and a CSR for a name, `NAME.key` and `NAME.csr`.
    async fn request(&self, file: &str, name: &str) {
        let subject = format!("/CN={name}");
        let names = format!("subjectAltName=DNS:{name}");
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
        Program::new("openssl")
            .args(["req", "-new", "-nodes", "-subj", &subject])
            .args(curve)
            .args(["-addext", &names, "-outform", "DER", "-out"])
            .arg(self.file(&format!("{file}.csr")))
            .arg("-keyout")
            .arg(self.file(&format!("{file}.key")))
            .run()
            .await
            .success();
    }

    /// Enrolls `NAME.csr`; trusts all the CAs at hand.
    async fn est(&self, file: &str, cas: &[PathBuf], who: &[&str]) -> Outcome {
        let mut program = self
            .run("--est")
            .args(["--url", &self.url(), "--outform", "pem"])
            .args(["--interval", "1", "--maxpolltime", "30", "--in"])
            .arg(self.file(&format!("{file}.csr")))
            .arg("--cacert")
            .arg(self.world.server.root_pem())
            .args(who);
        for ca in cas {
            program = program.arg("--cacert").arg(ca);
        }
        program.run().await
    }
}

fn user_and_password(caller: &Caller) -> String {
    let (user, password) = caller.password.clone().unwrap();
    format!("{user}:{password}")
}

#[tokio::test(flavor = "multi_thread")]
async fn gets_enrolls_and_renews_in_both_tls_versions() {
    let world = EstWorld::start().await;
    let user = user_and_password(&world.user("swan").await);
    for tls in ["1.2", "1.3"] {
        let pki = Pki::new(&world, tls);
        let cas = pki.estca().await;
        assert_eq!(cas.len(), 2, "{cas:?}");

        pki.request("first", "swan.est.test").await;
        let outcome = pki
            .est("first", &cas, &["--userpass", &user])
            .await
            .success();
        assert!(
            outcome.stderr.contains(&format!("negotiated TLS {tls}")),
            "{outcome:?}"
        );
        let first = pem::parse(&outcome.stdout).unwrap();
        assert_eq!(dns_names(first.contents()), ["swan.est.test"]);

        fs::write(pki.file("first.crt"), &outcome.stdout).unwrap();
        pki.request("second", "swan.est.test").await;
        let (certificate, key) = (pki.file("first.crt"), pki.file("first.key"));
        let own = [
            "--cert",
            certificate.to_str().unwrap(),
            "--key",
            key.to_str().unwrap(),
        ];
        let outcome = pki.est("second", &cas, &own).await.success();
        let second = pem::parse(&outcome.stdout).unwrap();
        assert_eq!(dns_names(second.contents()), ["swan.est.test"]);
        assert_ne!(first, second);
    }
}

/// RSA makes answers longer than the client's first read.
#[tokio::test(flavor = "multi_thread")]
async fn enrolls_a_large_key() {
    let world = EstWorld::start().await;
    let user = user_and_password(&world.user("swan").await);
    let pki = Pki::new(&world, "1.3");
    let cas = pki.estca().await;
    Program::new("openssl")
        .args([
            "req",
            "-new",
            "-nodes",
            "-newkey",
            "rsa:4096",
            "-subj",
            "/CN=large.est.test",
        ])
        .args([
            "-addext",
            "subjectAltName=DNS:large.est.test",
            "-outform",
            "DER",
            "-out",
        ])
        .arg(pki.file("large.csr"))
        .arg("-keyout")
        .arg(pki.file("large.key"))
        .run()
        .await
        .success();
    let outcome = pki
        .est("large", &cas, &["--userpass", &user])
        .await
        .success();
    let certificate = pem::parse(&outcome.stdout).unwrap();
    assert_eq!(dns_names(certificate.contents()), ["large.est.test"]);
}

/// The label without a name is the one where an officer decides.
#[tokio::test(flavor = "multi_thread")]
async fn waits_for_the_officer() {
    let world = EstWorld::with(|settings| {
        settings.more = settings.more.replace(
            "[est.default]\nhandler = \"local\"",
            "[est.default]\nhandler = \"slow\"",
        );
    })
    .await;
    let user = user_and_password(&world.user("swan").await);
    let pki = Pki::new(&world, "1.3");
    let cas = pki.estca().await;
    pki.request("slow", "slow.est.test").await;
    let approve = async {
        while world.officer_calls().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        world.officer("approved", "slow.est.test", "");
        std::future::pending::<()>().await;
    };
    let who = ["--userpass", user.as_str()];
    let outcome = tokio::select! {
        outcome = pki.est("slow", &cas, &who) => outcome.success(),
        () = approve => unreachable!(),
    };
    assert!(outcome.stderr.contains("pending"), "{outcome:?}");
    let certificate = pem::parse(&outcome.stdout).unwrap();
    assert_eq!(dns_names(certificate.contents()), ["slow.est.test"]);
}
