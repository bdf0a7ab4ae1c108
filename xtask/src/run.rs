//! `cargo xtask run`: a server with a CA of its own, ready for the first certificate.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

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
    print_next_steps(&built);
    if options.prepare {
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

fn print_next_steps(built: &Built) {
    let program = built
        .program
        .strip_prefix(shell::root())
        .unwrap_or(&built.program)
        .display();
    println!(
        "
ACME directory   https://localhost:14000/acme/default/directory
CA certificate   {DATA}/ca/root.pem, made when the server first starts; clients trust this one
Configuration    certdock.toml if there is one, else the built-in one: config/certdock.toml

Look at the directory:
  curl --cacert {DATA}/ca/root.pem https://localhost:14000/acme/default/directory

Get a certificate; every name under .localhost is this machine:
  REQUESTS_CA_BUNDLE={DATA}/ca/root.pem certbot certonly --standalone --http-01-port 5002 --server https://localhost:14000/acme/default/directory --config-dir {DATA}/certbot --work-dir {DATA}/certbot --logs-dir {DATA}/certbot --non-interactive --agree-tos --register-unsafely-without-email --domain demo.localhost

See what was issued:
  {program} cert list

Press Ctrl-C to stop."
    );
}
