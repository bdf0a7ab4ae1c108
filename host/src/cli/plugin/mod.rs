//! `certdock plugin …`

mod check;
mod new;

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::client::{self, segment};
use super::failure::Failure;
use super::listing::{self, Format};
use super::{Global, output};
use crate::admin::{self, views};
use crate::plugins::{Inspection, Plugins};

#[derive(Subcommand)]
pub(super) enum Command {
    /// List the files in the plugins directory: what they are, or why they are not used
    List(Format),
    /// Show what a file says of itself, without running any of its code
    Inspect {
        file: PathBuf,
        #[command(flatten)]
        format: Format,
    },
    /// Put back what a handler's plugin was before; the file in the directory is left aside until it
    /// changes
    Rollback {
        handler: String,
        /// Take the file in the plugins directory again
        #[arg(long)]
        release: bool,
        #[arg(long)]
        json: bool,
    },
    /// Check whether a plugin is fit for service; each check runs in a process of its own
    Check(Box<check::Options>),
    #[command(hide = true)]
    CheckInChild,
    /// Make a crate to write a connector in: it builds, has tests and a README
    New(new::Options),
}

pub(super) fn run(command: &Command, global: &Global) -> Result<(), Failure> {
    match command {
        Command::List(format) => list(format, global),
        Command::Inspect { file, format } => inspect(file, format),
        Command::Rollback {
            handler,
            release,
            json,
        } => exchange(handler, *release, *json, global),
        Command::Check(options) => check::run(options, global),
        Command::CheckInChild => check::run_in_child(),
        Command::New(options) => new::run(options),
    }
}

/// What the running server sees, or, without one, what is in the directory.
fn list(format: &Format, global: &Global) -> Result<(), Failure> {
    let config = global.config()?;
    let page = client::with_running(&config, async |mut server| match &mut server {
        Some(server) => server.get("/plugins").await,
        None => Ok(views::Page {
            items: admin::plugins(
                &config,
                &Plugins::discover(&config.plugins.directory, &config.plugins.trust),
            ),
            next: None,
        }),
    })?;
    let headings = [
        "ID", "VERSION", "API", "VENDOR", "TRUSTED", "HANDLERS", "FILE",
    ];
    let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    listing::print(&page, format, &headings, |plugin: &views::Plugin| {
        let file = match &plugin.refused {
            Some(reason) => format!("{}: {reason}", plugin.file),
            None => plugin.file.clone(),
        };
        vec![
            dash(&plugin.id),
            dash(&plugin.version),
            dash(&plugin.api_version),
            dash(&plugin.vendor),
            dash(&plugin.trusted),
            handlers(plugin),
            file,
        ]
    })
}

/// In a running server with the generation that runs: `local@3`.
fn handlers(plugin: &views::Plugin) -> String {
    let running = plugin.generations.iter().map(|running| {
        let state = match (running.state.as_str(), running.rolled_back) {
            ("serving", false) => String::new(),
            ("serving", true) => " (rolled back)".to_owned(),
            (state, _) => format!(" ({state})"),
        };
        let refused = running.refused.as_ref();
        let refused = refused.map(|reason| format!(" (replacement refused: {reason})"));
        let refused = refused.unwrap_or_default();
        format!("{}@{}{state}{refused}", running.handler, running.generation)
    });
    let runs = |name: &&String| {
        let mut generations = plugin.generations.iter();
        generations.any(|running| running.handler == **name)
    };
    // Those that are to use the file, and run another or nothing at all.
    let others = plugin.handlers.iter().filter(|name| !runs(name)).cloned();
    let all: Vec<String> = running.chain(others).collect();
    match all.as_slice() {
        [] => "-".to_owned(),
        all => all.join(" "),
    }
}

fn exchange(handler: &str, release: bool, json: bool, global: &Global) -> Result<(), Failure> {
    let what = if release { "release" } else { "rollback" };
    let path = format!("/handlers/{}/{what}", segment(handler));
    let config = global.config()?;
    let now: views::Generation = client::with(&config, async |mut client| client.act(&path).await)?;
    if json {
        return output::print_json(&now);
    }
    let views::Generation {
        generation,
        version,
        sha256,
        ..
    } = &now;
    output::print(&format!(
        "{handler} now runs version {version} of its plugin (SHA-256 {sha256}), generation {generation}\n"
    ))
}

fn inspect(file: &Path, format: &Format) -> Result<(), Failure> {
    let inspection = Inspection::of(file)
        .map_err(|refusal| Failure::Failed(format!("{}: {refusal}", file.display())))?;
    if format.json {
        return output::print_json(&inspection);
    }
    let note = &inspection.note;
    output::print(&output::facts(&[
        ("id", Some(note.id.to_string())),
        ("version", Some(note.version.clone())),
        ("vendor", Some(note.vendor.clone())),
        ("plugin-api", Some(note.api_version.clone())),
        ("abi_stable", Some(note.abi_stable.clone())),
        ("panic", Some(note.panic.clone())),
        ("target", Some(note.target.clone())),
        ("compiler", note.rustc.clone()),
        ("provides", Some(note.provides.join(" "))),
        ("file", Some(inspection.file.display().to_string())),
        ("SHA-256", Some(inspection.sha256.clone())),
    ]))
}
