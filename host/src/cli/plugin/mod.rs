//! `certdock plugin …`

mod new;

use std::path::{Path, PathBuf};

use clap::Subcommand;

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
    /// Make a crate to write a connector in: it builds, has tests and a README
    New(new::Options),
}

pub(super) fn run(command: &Command, global: &Global) -> Result<(), Failure> {
    match command {
        Command::List(format) => list(format, global),
        Command::Inspect { file, format } => inspect(file, format),
        Command::New(options) => new::run(options),
    }
}

/// Looks into the directory itself, since it may hold files that came after the server started.
fn list(format: &Format, global: &Global) -> Result<(), Failure> {
    let config = global.config()?;
    let plugins = Plugins::discover(&config.plugins.directory, &config.plugins.trust);
    let page = views::Page {
        items: admin::plugins(&config, &plugins),
        next: None,
    };
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
            match plugin.handlers.as_slice() {
                [] => "-".to_owned(),
                handlers => handlers.join(" "),
            },
            file,
        ]
    })
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
