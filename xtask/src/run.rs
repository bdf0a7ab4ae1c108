//! `cargo xtask run`: a server with a CA of its own, ready for the first certificate.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::shell;

/// The plugins: package and the library that cargo makes of it.
const PLUGINS: &[(&str, &str)] = &[
    ("certdock-openssl-local", "libcertdock_openssl_local.so"),
    ("certdock-skeleton", "libcertdock_skeleton.so"),
];

const CONFIG: &str = include_str!("run.toml");

#[derive(Args)]
pub(crate) struct Options {
    /// The folder that holds the CA, the database and the configuration
    #[arg(long, default_value = "data")]
    data: PathBuf,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let built = build()?;
    let data = shell::root().join(&options.data);
    let plugins = data.join("plugins");
    fs::create_dir_all(&plugins).with_context(|| format!("making {}", plugins.display()))?;
    copy_plugins(&built, &plugins)?;
    let config = data.join("certdock.toml");
    if !config.exists() {
        fs::write(&config, CONFIG).with_context(|| format!("writing {}", config.display()))?;
    }
    print_next_steps(&built, &options.data);
    let mut serve = shell::command(&built.program, ["serve", "--config"]);
    serve.arg(&config).current_dir(shell::root());
    Ok(if shell::succeeds(&mut serve)? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
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

fn print_next_steps(built: &Built, data: &Path) {
    let data = data.display();
    let program = built
        .program
        .strip_prefix(shell::root())
        .unwrap_or(&built.program)
        .display();
    println!(
        "
ACME directory   https://localhost:14000/acme/default/directory
CA certificate   {data}/ca/root.pem (trust this one), made when the server first starts
Configuration    {data}/certdock.toml

Look at the directory:
  curl --cacert {data}/ca/root.pem https://localhost:14000/acme/default/directory

Get a certificate (any name under .localhost is this machine):
  REQUESTS_CA_BUNDLE={data}/ca/root.pem certbot certonly --standalone --http-01-port 5002 --server https://localhost:14000/acme/default/directory --config-dir {data}/certbot --work-dir {data}/certbot --logs-dir {data}/certbot --non-interactive --agree-tos --register-unsafely-without-email --domain demo.localhost

See what was issued:
  {program} cert list --config {data}/certdock.toml

Press Ctrl-C to stop."
    );
}
