//! `cargo xtask run --with certifier`: the simulator of Insta Certifier beside the server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;

use anyhow::{Context, Result};

use crate::shell;

const ADDRESS: &str = "127.0.0.1:8084";
const PASSWORD: &str = "correct horse";

/// Only for this machine and this simulator.
const PUSH_SECRET: &str = "a secret for playing, known to all";

/// What comes after the built-in configuration.
const TABLES: &str = r#"
[handlers.certifier]
plugin = "certifier"
push_secret = { file = "certifier/push-secret" }

[handlers.certifier.config]
api_host = "http://127.0.0.1:8084"
api_user = "certdock"
api_password = { file = "certifier/password" }
ca_name = "Simulated Issuing CA"
profile_id = "100"

[acme.certifier]
handler = "certifier"
"#;

/// Writes a configuration with the simulator's CA into the folder; its file.
pub(crate) fn configure(folder: &Path) -> Result<PathBuf> {
    let secrets = folder.join("certifier");
    let file = folder.join("with-certifier.toml");
    let built_in = shell::root().join("config/certdock.toml");
    let built_in =
        fs::read_to_string(&built_in).with_context(|| format!("reading {}", built_in.display()))?;
    // Paths are relative to the file's own folder.
    let text = built_in
        .replace("sqlite:data/", "sqlite:")
        .replace("\"data/", "\"")
        + TABLES;
    let written = fs::create_dir_all(&secrets)
        .and_then(|()| fs::write(secrets.join("password"), PASSWORD))
        .and_then(|()| fs::write(secrets.join("push-secret"), PUSH_SECRET))
        .and_then(|()| fs::write(&file, text));
    written.with_context(|| format!("writing into {}", folder.display()))?;
    Ok(file)
}

/// The simulator, killed when this is dropped.
pub(crate) struct Simulator(Child);

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it in the mode `manual`; whatever it issues is pushed to the server.
pub(crate) fn start(folder: &Path) -> Result<Simulator> {
    let build = ["build", "--locked", "--bin", "certdock-certifier-sim"];
    shell::run(&mut shell::cargo(build))?;
    let program = shell::target_dir()?.join("debug/certdock-certifier-sim");
    let options = [
        "--listen",
        ADDRESS,
        "--password",
        PASSWORD,
        "--mode",
        "manual",
    ];
    let mut command = shell::command(program, options);
    command
        .args(["--publish", "https://localhost:14000/push/certifier"])
        .arg("--publish-secret")
        .arg(folder.join("certifier/push-secret"))
        .arg("--publish-root")
        .arg(folder.join("ca/root.pem"));
    shell::show(&command);
    let child = command.spawn().context("starting the simulator")?;
    println!(
        "
Insta Certifier, simulated: what you ask for here waits until you approve it.

ACME directory   https://localhost:14000/acme/certifier/directory
What waits       curl http://{ADDRESS}/operator/requests
Approve          curl -X POST http://{ADDRESS}/operator/requests/all/approve
Reject           curl -X POST http://{ADDRESS}/operator/requests/ID/reject -d 'why not'
At once          curl -X PUT http://{ADDRESS}/operator/mode -d automatic
"
    );
    Ok(Simulator(child))
}
