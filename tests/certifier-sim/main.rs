//! `certdock-certifier-sim`: the simulator of Insta Certifier's REST API as a program of its own.
//! What it can do is told by `certdock_tests::certifier`.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a command line tool for tests"
)]

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use certdock_tests::certifier::{Mode, Options, Publish, Simulator};
use clap::Parser;

#[derive(Parser)]
#[command(about = "Simulates the REST API of Insta Certifier, for tests and for playing")]
struct Cli {
    #[arg(long, default_value = "127.0.0.1:8084")]
    listen: SocketAddr,
    /// The name that clients authenticate with
    #[arg(long, default_value = "certdock")]
    user: String,
    #[arg(long, default_value = "correct horse")]
    password: String,
    /// What becomes of requests: automatic, manual, reject, never, slow:SECONDS or later:SECONDS
    #[arg(long, default_value = "automatic")]
    mode: Mode,
    /// The mode of one profile, 101=manual for example; may be given several times
    #[arg(long = "profile-mode", value_parser = profile_mode)]
    modes: Vec<(String, Mode)>,
    /// Refuse a CSR without subject, as the product does without a policy for it
    #[arg(long)]
    refuse_empty_subject: bool,
    /// Let the root's certificate name its own CA as issuer
    #[arg(long)]
    self_naming_root: bool,
    /// Push new certificates to this URL
    #[arg(long, requires = "publish_secret", requires = "publish_root")]
    publish: Option<String>,
    /// The file with the secret to push with
    #[arg(long)]
    publish_secret: Option<PathBuf>,
    /// The file with the root to trust when pushing
    #[arg(long)]
    publish_root: Option<PathBuf>,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let publish = publish(&cli)?;
    let simulator = Simulator::start(Options {
        listen: cli.listen,
        user: cli.user,
        password: cli.password,
        mode: cli.mode,
        modes: cli.modes.into_iter().collect(),
        allow_empty_subject: !cli.refuse_empty_subject,
        self_naming_root: cli.self_naming_root,
        publish,
        ..Options::default()
    });
    let url = simulator.url();
    println!(
        "Certifier, simulated   {url}/v1
What waits             curl {url}/operator/requests
Approve                curl -X POST {url}/operator/requests/ID/approve   (or all for ID)
Reject                 curl -X POST {url}/operator/requests/ID/reject -d REASON
Change the mode        curl -X PUT {url}/operator/mode -d manual"
    );
    loop {
        std::thread::park();
    }
}

fn publish(cli: &Cli) -> Result<Option<Publish>> {
    let (Some(url), Some(secret), Some(root)) =
        (&cli.publish, &cli.publish_secret, &cli.publish_root)
    else {
        return Ok(None);
    };
    let read = |path: &PathBuf| {
        fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))
    };
    Ok(Some(Publish {
        url: url.clone(),
        secret: read(secret)?.trim().to_owned(),
        roots: root.clone(),
        delay: Duration::ZERO,
    }))
}

fn profile_mode(text: &str) -> Result<(String, Mode)> {
    let (profile, mode) = text.split_once('=').context("write PROFILE=MODE")?;
    Ok((profile.to_owned(), mode.parse()?))
}
