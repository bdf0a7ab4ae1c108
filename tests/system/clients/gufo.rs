//! Gufo ACME from PyPI: register, make a CSR, fulfil http-01 by writing a file, sign.

use std::fs;
use std::path::Path;
use std::time::Duration;

use certdock_tests::World;
use certdock_tests::certificate::check_chain;
use certdock_tests::challenge::Http01;
use certdock_tests::program::{Program, python_tool};
use tempfile::TempDir;

const SCRIPT: &str = include_str!("sign.py");

#[tokio::test(flavor = "multi_thread")]
async fn registers_and_gets_a_certificate_for_a_name_in_the_cn() {
    let world = World::start().await;
    let dir = TempDir::new().unwrap();
    let webroot = dir.path().join("webroot");
    fs::create_dir(&webroot).unwrap();
    let script = dir.path().join("sign.py");
    fs::write(&script, SCRIPT).unwrap();
    let run = Program::new(python_tool("python"))
        .arg(&script)
        .args([&world.server.directory(), "gufo.test"])
        .arg(&webroot)
        .arg(dir.path().join("out"))
        .run();
    tokio::select! {
        outcome = run => { outcome.success(); }
        () = serve(&world.http01, &webroot) => {}
    }
    let chain = fs::read_to_string(dir.path().join("out/cert.pem")).unwrap();
    check_chain(&chain, &["gufo.test"]);
}

/// What a web server with the folder as its `/.well-known/acme-challenge/` would do.
pub(crate) async fn serve(responder: &Http01, webroot: &Path) {
    loop {
        for file in fs::read_dir(webroot).unwrap() {
            let file = file.unwrap();
            let text = fs::read_to_string(file.path()).unwrap_or_default();
            responder.set(&file.file_name().to_string_lossy(), &text);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
