//! BouncyCastle's EST client, as Debian has it, by the driver in `tests/clients/EstDriver.java`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use certdock_tests::certificate::dns_names;
use certdock_tests::est::{Caller, EstWorld};
use certdock_tests::program::{Outcome, Program, build_dir};
use tempfile::TempDir;
use tokio::sync::OnceCell;

const TLS: [&str; 2] = ["TLSv1.2", "TLSv1.3"];

/// The compiled driver, made once.
async fn class_path() -> &'static str {
    static CLASS_PATH: OnceCell<String> = OnceCell::const_new();
    CLASS_PATH
        .get_or_init(async || {
            let jars =
                "/usr/share/java/bcpkix.jar:/usr/share/java/bcprov.jar:/usr/share/java/bcutil.jar";
            let folder = build_dir().parent().unwrap().join("tools/est-driver");
            fs::create_dir_all(&folder).unwrap();
            let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("clients/EstDriver.java");
            Program::new("javac")
                .args(["-cp", jars, "-d"])
                .arg(&folder)
                .arg(source)
                .run()
                .await
                .success();
            format!("{jars}:{}", folder.display())
        })
        .await
}

struct BouncyCastle<'a> {
    world: &'a EstWorld,
    dir: TempDir,
    tls: &'static str,
}

impl<'a> BouncyCastle<'a> {
    fn new(world: &'a EstWorld, tls: &'static str) -> Self {
        let dir = TempDir::new().unwrap();
        Self { world, dir, tls }
    }

    async fn run(&self, operation: &str, options: &[String]) -> Outcome {
        let class_path = class_path().await;
        Program::new("java")
            .args([
                "-XX:TieredStopAtLevel=1",
                "-cp",
                class_path,
                "EstDriver",
                operation,
            ])
            .arg(format!("server=localhost:{}", self.world.port()))
            .arg(format!("roots={}", self.world.server.root_pem().display()))
            .arg(format!("tls={}", self.tls))
            .arg("out=out.pem")
            .args(options)
            .dir(self.dir.path())
            .run_within(Duration::from_secs(120))
            .await
    }

    /// What the driver wrote, certificates first.
    fn got(&self) -> Vec<pem::Pem> {
        pem::parse_many(fs::read_to_string(self.dir.path().join("out.pem")).unwrap()).unwrap()
    }

    /// What was got as a PKCS #12 file, for the next request.
    async fn keep(&self) -> String {
        let file = self.dir.path().join("own.p12");
        Program::new("openssl")
            .args([
                "pkcs12",
                "-export",
                "-passout",
                "pass:test",
                "-in",
                "out.pem",
                "-out",
            ])
            .arg(&file)
            .dir(self.dir.path())
            .run()
            .await
            .success();
        format!("credential={}", file.display())
    }
}

fn user_and_password(caller: &Caller) -> [String; 2] {
    let (user, password) = caller.password.clone().unwrap();
    [format!("user={user}"), format!("password={password}")]
}

#[tokio::test(flavor = "multi_thread")]
async fn gets_enrolls_and_renews_in_both_tls_versions() {
    let world = EstWorld::start().await;
    let user = user_and_password(&world.user("bouncy").await);
    for tls in TLS {
        let client = BouncyCastle::new(&world, tls);
        client.run("cacerts", &[]).await.success();
        assert_eq!(client.got().len(), 2);

        let name = "name=bouncy.est.test".to_owned();
        let options = [&user[..], std::slice::from_ref(&name)].concat();
        client.run("enroll", &options).await.success();
        let first = client.got();
        assert_eq!(dns_names(first[0].contents()), ["bouncy.est.test"]);

        let own = client.keep().await;
        let options = [own, name, "label=default".to_owned()];
        client.run("reenroll", &options).await.success();
        let second = client.got();
        assert_eq!(dns_names(second[0].contents()), ["bouncy.est.test"]);
        assert_ne!(first[0], second[0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_for_the_officer() {
    let world = EstWorld::start().await;
    let user = user_and_password(&world.user("bouncy").await);
    let client = BouncyCastle::new(&world, "TLSv1.3");
    let more = ["name=slow.est.test", "label=slow", "retries=60"].map(str::to_owned);
    let options = [&user[..], &more].concat();
    let approve = async {
        while world.officer_calls().is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        world.officer("approved", "slow.est.test", "");
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        outcome = client.run("enroll", &options) => outcome.success(),
        () = approve => unreachable!(),
    };
    assert!(outcome.stdout.contains("pending"), "{outcome:?}");
    assert_eq!(dns_names(client.got()[0].contents()), ["slow.est.test"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn gets_a_key_and_csrattrs() {
    let world = EstWorld::with(|settings| {
        settings
            .more
            .push_str("\n[est.listed]\nhandler = \"local\"\ncsrattrs = [\"challengePassword\"]\n");
    })
    .await;
    let user = user_and_password(&world.user("bouncy").await);
    let client = BouncyCastle::new(&world, "TLSv1.3");
    let options = [&user[..], &["name=made.est.test".to_owned()]].concat();
    client.run("serverkeygen", &options).await.success();
    let [certificate, key] = &client.got()[..] else {
        panic!("{:?}", client.got());
    };
    assert_eq!(dns_names(certificate.contents()), ["made.est.test"]);
    assert!(rcgen::KeyPair::try_from(key.contents()).is_ok());

    let outcome = client.run("csrattrs", &[]).await.success();
    assert_eq!(outcome.stdout.trim(), "no attributes");
    let listed = ["label=listed".to_owned()];
    let outcome = client.run("csrattrs", &listed).await.success();
    assert_eq!(outcome.stdout.trim(), "attribute 1.2.840.113549.1.9.7");
}
