//! `certdock plugin check`: whether a plugin is fit for service.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::{Global, output};
use crate::config;
use crate::conformance::{self, Check, Finding, Selection, Settings, Status};
use crate::plugins::{Inspection, Note};
use crate::time::UnixTime;

/// What certificates are asked for, where nobody says otherwise.
const NAME: &str = "check.certdock.example";

#[derive(Args)]
pub(in crate::cli) struct Options {
    /// The plugin's .so
    #[arg(required_unless_present = "list")]
    file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// List the checks, with what each proves
    #[arg(long)]
    list: bool,
    /// Run these checks and what they need: a name, or its beginning up to a dot
    #[arg(long, value_name = "CHECK", value_delimiter = ',')]
    only: Vec<String>,
    /// Leave these checks out
    #[arg(long, value_name = "CHECK", value_delimiter = ',')]
    skip: Vec<String>,
    /// Ask for no certificates: for a CA that is live
    #[arg(long)]
    no_issue: bool,
    /// Ask for certificates for this name; may be given several times [default: check.certdock.example]
    #[arg(long, value_name = "NAME")]
    name: Vec<String>,
    /// The handler in the configuration, if it has several of this plugin
    #[arg(long, value_name = "NAME")]
    handler: Option<String>,
    /// The public key that the file is signed with (minisign)
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// How long a call may take [default: the handler's deadline, else 30s]
    #[arg(long, value_name = "DURATION", value_parser = config::duration)]
    deadline: Option<Duration>,
    /// How long to wait for a certificate that is pending
    #[arg(long, value_name = "DURATION", value_parser = config::duration, default_value = "10s")]
    patience: Duration,
    /// How long a check may take
    #[arg(long, value_name = "DURATION", value_parser = config::duration, default_value = "2m")]
    timeout: Duration,
    /// How often loops call, and so how many certificates they ask for
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    rounds: u32,
    /// Makes the fuzzed requests those of the run that printed it
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

/// All of it, for `--json`.
#[derive(Serialize)]
struct Report<'a> {
    file: PathBuf,
    plugin: Option<Note>,
    sha256: Option<String>,
    seed: u64,
    passed: usize,
    failed: usize,
    crashed: usize,
    skipped: usize,
    checks: &'a [Finding],
}

pub(super) fn run(options: &Options, global: &Global) -> Result<(), Failure> {
    let selection = Selection {
        only: options.only.clone(),
        skip: options.skip.clone(),
    };
    let checks = selection.checks().map_err(|start| {
        Failure::Usage(format!(
            "there is no check {start}; `certdock plugin check --list` names all"
        ))
    })?;
    let Some(file) = options.file.as_deref().filter(|_| !options.list) else {
        return list(&checks, options.json);
    };
    if let Err(error) = std::fs::metadata(file) {
        let file = file.display();
        return Err(Failure::Usage(format!("{file} can't be read: {error}")));
    }
    let inspection = Inspection::of(file).ok();
    let settings = settings(options, global, inspection.as_ref())?;
    if !options.json {
        output::print(&format!("{}\n\n", title(&settings, inspection.as_ref())))?;
    }
    let width = checks
        .iter()
        .map(|check| check.name.len())
        .max()
        .unwrap_or(0);
    let mut written = Ok(());
    let findings = conformance::run(&checks, &settings, |finding| {
        if !options.json && written.is_ok() {
            written = output::print(&line(finding, width));
        }
    });
    written?;
    let report = Report {
        file: settings.file,
        plugin: inspection
            .as_ref()
            .map(|inspection| inspection.note.clone()),
        sha256: settings.sha256,
        seed: settings.seed,
        passed: count(&findings, Status::Passed),
        failed: count(&findings, Status::Failed),
        crashed: count(&findings, Status::Crashed),
        skipped: count(&findings, Status::Skipped),
        checks: &findings,
    };
    if options.json {
        output::print_json(&report)?;
    } else {
        output::print(&format!(
            "\n{} passed, {} failed, {} crashed, {} skipped; --seed {}\n",
            report.passed, report.failed, report.crashed, report.skipped, report.seed
        ))?;
    }
    match report.failed + report.crashed {
        0 if report.passed == 0 => Err(Failure::Failed(
            "no check could say anything, so that nothing is known of the plugin; see why they were \
             skipped"
                .to_owned(),
        )),
        0 => Ok(()),
        1 => Err(Failure::Failed(
            "the plugin did not pass 1 check".to_owned(),
        )),
        many => Err(Failure::Failed(format!(
            "the plugin did not pass {many} checks"
        ))),
    }
}

fn settings(
    options: &Options,
    global: &Global,
    inspection: Option<&Inspection>,
) -> Result<Settings, Failure> {
    let file = options.file.clone().unwrap_or_default();
    // Only what is named: the server's own configuration is not found here by chance.
    let alone = match (&global.config, inspection) {
        (Some(file), Some(inspection)) => Some(config::alone(
            file,
            &inspection.note.id,
            options.handler.as_deref(),
        )?),
        _ => None,
    };
    let base_dir = alone.as_ref().map(|alone| alone.base_dir.clone());
    let base_dir = std::path::absolute(base_dir.unwrap_or_default().join("."))
        .map_err(|error| Failure::Failed(format!("there is no working folder: {error}")))?;
    let deadline = alone.as_ref().and_then(|alone| alone.deadline);
    let limits = alone.as_ref().map(|alone| alone.limits.clone());
    Ok(Settings {
        file: std::path::absolute(&file).unwrap_or(file),
        sha256: inspection.map(|inspection| inspection.sha256.clone()),
        config: alone.map(|alone| alone.config),
        base_dir,
        names: match options.name.as_slice() {
            [] => vec![NAME.to_owned()],
            names => names.to_vec(),
        },
        deadline: options
            .deadline
            .or(deadline)
            .unwrap_or(Duration::from_secs(30)),
        limits: limits.unwrap_or_default(),
        patience: options.patience,
        timeout: options.timeout,
        rounds: options.rounds,
        // Short enough to be typed in again.
        seed: options
            .seed
            .unwrap_or_else(|| u64::from(u32::from_le_bytes(crate::random::bytes()))),
        key: options.key.clone(),
        issue: !options.no_issue,
    })
}

fn title(settings: &Settings, inspection: Option<&Inspection>) -> String {
    let file = settings.file.display();
    match inspection {
        Some(Inspection { note, .. }) => {
            format!(
                "{} {} by {}, {file}, on {}",
                note.id,
                note.version,
                note.vendor,
                UnixTime::now()
            )
        }
        None => format!("{file}, on {}", UnixTime::now()),
    }
}

fn line(finding: &Finding, width: usize) -> String {
    let status = word(finding.status);
    let told = match (finding.status, finding.detail.as_str()) {
        (Status::Passed, "") => finding.proves.to_owned(),
        (Status::Passed, detail) => format!("{}: {detail}", finding.proves),
        (_, detail) => detail.to_owned(),
    };
    let told = output::plain(&told);
    format!("{status}  {:width$}  {told}\n", finding.name)
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Passed => "passed ",
        Status::Failed => "FAILED ",
        Status::Crashed => "CRASHED",
        Status::Skipped => "skipped",
    }
}

fn count(findings: &[Finding], status: Status) -> usize {
    findings
        .iter()
        .filter(|finding| finding.status == status)
        .count()
}

#[derive(Serialize)]
struct Listed {
    name: &'static str,
    proves: &'static str,
}

fn list(checks: &[&Check], json: bool) -> Result<(), Failure> {
    let listed = checks.iter().map(|check| Listed {
        name: check.name,
        proves: check.proves,
    });
    if json {
        return output::print_json(&listed.collect::<Vec<_>>());
    }
    let rows: Vec<_> = listed
        .map(|l| vec![l.name.to_owned(), l.proves.to_owned()])
        .collect();
    output::print(&output::table(&["CHECK", "PROVES"], &rows))
}

/// The process of one check.
pub(super) fn run_in_child() -> Result<(), Failure> {
    Ok(conformance::run_in_child()?)
}
