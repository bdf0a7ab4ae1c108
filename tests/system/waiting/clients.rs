//! Clients whose patience is tried: a certificate that takes half a minute.

use std::fs;
use std::path::Path;

use certdock_tests::certificate::check_chain;
use certdock_tests::program::{Outcome, Program, python_tool};
use certdock_tests::{World, ports};
use tempfile::TempDir;

use super::start;

/// Who asks decides what the name must be; the first label says how long it takes.
fn name(client: &str) -> String {
    format!("poll-half-a-minute.{client}.test")
}

async fn certbot(world: &World, dir: &Path) -> Outcome {
    let port = world.server.settings.http01_port.to_string();
    Program::new(python_tool("certbot"))
        .args([
            "certonly",
            "--server",
            &world.server.directory_of("wayward"),
        ])
        .args(["--non-interactive", "--agree-tos", "--no-eff-email"])
        .args([
            "--email",
            "operator@example.com",
            "--domain",
            &name("certbot"),
        ])
        .args(["--standalone", "--http-01-address", "127.0.0.1"])
        .args(["--http-01-port", &port])
        .arg("--config-dir")
        .arg(dir)
        .arg("--work-dir")
        .arg(dir.join("work"))
        .arg("--logs-dir")
        .arg(dir.join("logs"))
        .env("REQUESTS_CA_BUNDLE", world.server.root_pem())
        .run()
        .await
}

async fn lego(world: &World, dir: &Path) -> Outcome {
    let port = format!("127.0.0.1:{}", world.server.settings.tls_alpn01_port);
    Program::new("lego")
        .args(["--server", &world.server.directory_of("wayward")])
        .args(["--accept-tos", "--email", "operator@example.com"])
        .args(["--domains", &name("lego"), "--cert.timeout", "90", "--path"])
        .arg(dir)
        .args(["--tls", "--tls.port", &port, "run"])
        .env("LEGO_CA_CERTIFICATES", world.server.root_pem())
        .run()
        .await
}

async fn gufo(world: &World, dir: &Path) -> Outcome {
    let webroot = dir.join("webroot");
    fs::create_dir(&webroot).unwrap();
    let script = dir.join("sign.py");
    fs::write(&script, include_str!("../clients/sign.py")).unwrap();
    let run = Program::new(python_tool("python"))
        .arg(&script)
        .args([&world.server.directory_of("wayward"), &name("gufo")])
        .arg(&webroot)
        .arg(dir.join("out"))
        .run();
    tokio::select! {
        outcome = run => outcome,
        () = crate::clients::serve(&world.http01, &webroot) => unreachable!(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certbot_lego_and_gufo_get_a_certificate_that_takes_half_a_minute() {
    // certbot answers http-01 itself, so that its world has a port of its own.
    let (shared, own) = tokio::join!(
        start(|settings| settings.tls_alpn01_port = ports::free()),
        start(|settings| settings.http01_port = ports::free()),
    );
    let dirs = [(); 3].map(|()| TempDir::new().unwrap());
    let (one, two, three) = tokio::join!(
        certbot(&own, dirs[0].path()),
        lego(&shared, dirs[1].path()),
        gufo(&shared, dirs[2].path()),
    );
    for outcome in [one, two, three] {
        outcome.success();
    }
    let lego_file = format!("certificates/{}.crt", name("lego"));
    let files = [
        dirs[0]
            .path()
            .join("live")
            .join(name("certbot"))
            .join("fullchain.pem"),
        dirs[1].path().join(lego_file),
        dirs[2].path().join("out/cert.pem"),
    ];
    for (file, client) in files.iter().zip(["certbot", "lego", "gufo"]) {
        let chain = fs::read_to_string(file).unwrap();
        check_chain(&chain, &[&name(client)]);
    }
    // As often as makes sense, and not as often as clients ask.
    let calls = fs::read_to_string(own.server.dir().join("wayward/calls")).unwrap();
    let polls = calls.matches("poll poll-half").count();
    assert!((10..=32).contains(&polls), "{polls}");
}
