//! Clients of another handler, who must never notice what goes on beside them: certbot, and a client
//! that orders without a pause.

use std::fs;
use std::path::Path;
use std::time::Duration;

use certdock_tests::World;
use certdock_tests::certificate::check_chain;
use certdock_tests::challenge::Http01;
use certdock_tests::issue::issue;
use certdock_tests::program::{Program, python_tool};
use tempfile::TempDir;
use tokio::sync::watch;

/// Runs them while `trouble` does what it does, and at least once each. Nothing that they do may fail.
pub(super) async fn keep_getting_certificates(world: &World, trouble: impl Future<Output = ()>) {
    let (done, over) = watch::channel(false);
    let trouble = async {
        trouble.await;
        let _ = done.send(true);
    };
    tokio::join!(certbot(world, &over), steady(world, &over), trouble);
}

async fn steady(world: &World, over: &watch::Receiver<bool>) {
    let (mut client, account) = world.account().await;
    let mut issued = 0;
    while issued == 0 || !*over.borrow() {
        let name = format!("steady-{issued}.test");
        let got = issue(&mut client, &account, &[&name], &world.http01).await;
        check_chain(&got.unwrap().chain, &[&name]);
        issued += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn certbot(world: &World, over: &watch::Receiver<bool>) {
    let dir = TempDir::new().unwrap();
    let mut issued = 0;
    while issued == 0 || !*over.borrow() {
        let name = format!("certbot-{issued}.test");
        let wanted = dir.path().join(format!("wanted-{issued}"));
        tokio::select! {
            outcome = certonly(world, dir.path(), &name, &wanted).run() => { outcome.success(); }
            () = answer(&world.http01, &wanted) => {}
        }
        let chain = dir.path().join("live").join(&name).join("fullchain.pem");
        check_chain(&fs::read_to_string(chain).unwrap(), &[&name]);
        issued += 1;
    }
}

/// certbot writes down what is to be served, and waits until that is done.
fn certonly(world: &World, dir: &Path, name: &str, wanted: &Path) -> Program {
    let wanted = wanted.display();
    let hook = format!(
        "echo $CERTBOT_TOKEN $CERTBOT_VALIDATION > {wanted}.new; mv {wanted}.new {wanted}; \
         until [ -e {wanted}.done ]; do sleep 0.05; done"
    );
    Program::new(python_tool("certbot"))
        .args(["certonly", "--non-interactive", "--agree-tos"])
        .args(["--register-unsafely-without-email", "--manual"])
        .args([
            "--preferred-challenges",
            "http",
            "--manual-auth-hook",
            &hook,
        ])
        .args(["--domain", name, "--server", &world.server.directory()])
        .arg("--config-dir")
        .arg(dir)
        .arg("--work-dir")
        .arg(dir.join("work"))
        .arg("--logs-dir")
        .arg(dir.join("logs"))
        .env("REQUESTS_CA_BUNDLE", world.server.root_pem())
}

/// Serves what certbot asks for. Never ends.
async fn answer(responder: &Http01, wanted: &Path) {
    loop {
        if let Ok(text) = fs::read_to_string(wanted)
            && let Some((token, validation)) = text.trim().split_once(' ')
        {
            responder.set(token, validation);
            fs::write(format!("{}.done", wanted.display()), "").unwrap();
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
