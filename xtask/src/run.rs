//! `cargo xtask run`: a server with a CA of its own, ready for the first certificate.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{certifier, shell};

/// The plugins: package and the library that cargo makes of it.
const PLUGINS: &[(&str, &str)] = &[
    ("certdock-certifier", "libcertdock_certifier.so"),
    ("certdock-openssl-local", "libcertdock_openssl_local.so"),
    ("certdock-skeleton", "libcertdock_skeleton.so"),
];

/// Where the built-in configuration, `config/certdock.toml`, keeps everything.
const DATA: &str = "data";

#[derive(Args)]
pub(crate) struct Options {
    /// Build and make the folder, but don't serve
    #[arg(long)]
    prepare: bool,
    /// Start this beside the server, with a handler and an ACME directory for it
    #[arg(long)]
    with: Option<With>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum With {
    /// A simulator of Insta Certifier, whose operator is you
    Certifier,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let built = build()?;
    let plugins = shell::root().join(DATA).join("plugins");
    fs::create_dir_all(&plugins).with_context(|| format!("making {}", plugins.display()))?;
    copy_plugins(&built, &plugins)?;
    if options.prepare {
        print_next_steps(&built, None);
        return Ok(ExitCode::SUCCESS);
    }
    let mut serve = shell::command(&built.program, ["serve"]);
    serve.current_dir(shell::root());
    // Ends with this function.
    let _beside = match options.with {
        None => None,
        Some(With::Certifier) => {
            let folder = shell::root().join(DATA);
            serve.arg("--config").arg(certifier::configure(&folder)?);
            Some(certifier::start(&folder)?)
        }
    };
    let mut server = serve.spawn()?;
    let password = match options.with {
        None => demo_user(&built, &mut server)?,
        Some(With::Certifier) => None,
    };
    print_next_steps(&built, password.as_deref());
    Ok(if server.wait()?.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// How long the first start may take: it makes a CA.
const START: Duration = Duration::from_secs(30);

/// A user of EST for the line that is printed, with a fresh password; none where somebody's own
/// configuration is served, or the server does not come up.
fn demo_user(built: &Built, server: &mut Child) -> Result<Option<String>> {
    if shell::root().join("certdock.toml").exists() {
        return Ok(None);
    }
    let socket = shell::root().join(DATA).join("admin.sock");
    let give_up = Instant::now() + START;
    while UnixStream::connect(&socket).is_err() {
        if server.try_wait()?.is_some() || Instant::now() > give_up {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let add = [
        "est-user",
        "add",
        "demo",
        "--name",
        "*.localhost",
        "--replace",
        "--json",
    ];
    let mut add = shell::command(&built.program, add);
    let added = add.current_dir(shell::root()).output()?;
    let added: serde_json::Value =
        serde_json::from_slice(&added.stdout).context("the demo user could not be made")?;
    Ok(added
        .get("password")
        .and_then(|text| text.as_str())
        .map(str::to_owned))
}

/// What a release build made.
pub(crate) struct Built {
    pub(crate) folder: PathBuf,
    pub(crate) program: PathBuf,
}

pub(crate) fn build() -> Result<Built> {
    let mut cargo = shell::cargo(["build", "--release", "--locked", "--package", "certdock"]);
    for (package, _) in PLUGINS {
        cargo.args(["--package", package]);
    }
    shell::run(&mut cargo)?;
    let folder = shell::target_dir()?.join("release");
    let program = folder.join("certdock");
    if !program.is_file() {
        bail!("the build made no {}", program.display());
    }
    Ok(Built { folder, program })
}

pub(crate) fn copy_plugins(built: &Built, folder: &Path) -> Result<()> {
    for (_, file) in PLUGINS {
        copy(&built.folder.join(file), &folder.join(file))?;
    }
    Ok(())
}

/// Copies under another name and renames, so that a running server never reads half a file.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    let half = to.with_extension("copying");
    let copied = fs::copy(from, &half).and_then(|_| fs::rename(&half, to));
    copied.with_context(|| format!("copying {} to {}", from.display(), to.display()))
}

fn print_next_steps(built: &Built, password: Option<&str>) {
    let est = password.map_or_else(
        || "EST is served where the configuration has [est.NAME]; `certdock est-user add` makes users.".to_owned(),
        |password| format!("\
Get a certificate by EST, as the user demo:
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {DATA}/device.key -subj /CN=device.localhost -addext subjectAltName=DNS:device.localhost -outform DER | base64 -w 64 | curl --silent --show-error --fail-with-body --cacert {DATA}/ca/root.pem --user demo:{password} --header 'Content-Type: application/pkcs10' --header 'Content-Transfer-Encoding: base64' --data-binary @- https://localhost:14000/.well-known/est/simpleenroll | base64 -d | openssl pkcs7 -inform DER -print_certs -out {DATA}/device.pem && openssl x509 -in {DATA}/device.pem -noout -subject -enddate

Renew it, with the certificate itself:
  openssl req -new -key {DATA}/device.key -subj /CN=device.localhost -addext subjectAltName=DNS:device.localhost -outform DER | base64 -w 64 | curl --silent --show-error --fail-with-body --cacert {DATA}/ca/root.pem --cert {DATA}/device.pem --key {DATA}/device.key --header 'Content-Type: application/pkcs10' --data-binary @- https://localhost:14000/.well-known/est/simplereenroll | base64 -d | openssl pkcs7 -inform DER -print_certs -out {DATA}/device.pem"),
    );
    let program = built
        .program
        .strip_prefix(shell::root())
        .unwrap_or(&built.program)
        .display();
    println!(
        "
EST              https://localhost:14000/.well-known/est
ACME directory   https://localhost:14000/acme/default/directory
CA certificate   {DATA}/ca/root.pem, made when the server first starts; clients trust this one
Configuration    certdock.toml if there is one, else the built-in one: config/certdock.toml

Look at the directory:
  curl --cacert {DATA}/ca/root.pem https://localhost:14000/acme/default/directory

Get a certificate; every name under .localhost is this machine:
  REQUESTS_CA_BUNDLE={DATA}/ca/root.pem certbot certonly --standalone --http-01-port 5002 --server https://localhost:14000/acme/default/directory --config-dir {DATA}/certbot --work-dir {DATA}/certbot --logs-dir {DATA}/certbot --non-interactive --agree-tos --register-unsafely-without-email --domain demo.localhost

{est}

See what was issued:
  {program} cert list

Press Ctrl-C to stop."
    );
}
