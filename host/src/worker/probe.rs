//! Asks a plugin something in a worker that ends at once: so that nothing it does then can hurt the
//! server, or whatever command wants to know.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use certdock_plugin_api::abi::answer::{Answer, UpTo};
use certdock_plugin_api::abi::types::MAX_NOTES;
use certdock_plugin_api::{ConfigNote, Fault, HostServices};
use serde::de::DeserializeOwned;

use super::message::{Loaded, Task};
use super::process::{LOADING, Launch, NotStarted, Process, Unanswered};
use super::supervisor::{died, not_started};
use super::{Limits, Paths, Setup};
use crate::plugins::Code;

/// Loads a plugin and lets it say what it is.
pub(crate) fn probe(plugin: &str, code: &Arc<Code>) -> Result<Loaded, NotStarted> {
    let launch = Launch {
        name: plugin.to_owned(),
        plugin: plugin.to_owned(),
        code: Arc::clone(code),
        threads: 1,
        limits: Limits::default(),
        paths: Paths::default(),
        base_dir: PathBuf::from("/"),
        services: None,
    };
    let (process, loaded) = Process::start(launch, LOADING, |_| {})?;
    process.close();
    Ok(loaded)
}

/// Has a plugin look for mistakes in a handler's configuration. Waits as long as `patience`.
///
/// # Errors
/// It did not answer.
pub fn validate_config(
    plugin: &str,
    code: &Arc<Code>,
    setup: &Setup,
    services: Arc<dyn HostServices>,
    patience: Duration,
) -> Result<Vec<ConfigNote>, Fault> {
    let task = Task::ValidateConfig(setup.config.as_str().into());
    let notes: UpTo<MAX_NOTES, _> = once(plugin, code, setup, services, &task, patience)?;
    Ok(notes.0)
}

/// Opens a handler and closes it again, before the same happens in the server: it may touch what it could
/// touch there, of what its configuration names.
///
/// # Errors
/// What the plugin says, or what became of the worker.
pub fn try_open(
    plugin: &str,
    code: &Arc<Code>,
    setup: &Setup,
    services: Arc<dyn HostServices>,
) -> Result<(), Fault> {
    let setup = &Setup {
        keep_out: Vec::new(),
        apart: Vec::new(),
        ..setup.clone()
    };
    Paths::of(setup).make_folders(&setup.name);
    let task = Task::Open(setup.config.as_str().into());
    once::<Result<(), Fault>>(plugin, code, setup, services, &task, setup.deadline)?
}

fn once<T: DeserializeOwned + Answer>(
    plugin: &str,
    code: &Arc<Code>,
    setup: &Setup,
    services: Arc<dyn HostServices>,
    task: &Task<'_>,
    patience: Duration,
) -> Result<T, Fault> {
    let launch = Launch {
        name: setup.name.clone(),
        plugin: plugin.to_owned(),
        code: Arc::clone(code),
        threads: 1,
        limits: setup.limits.clone(),
        paths: Paths::of(setup),
        base_dir: setup.base_dir.clone(),
        services: Some(services),
    };
    let started = Process::start(launch, LOADING, |_| {});
    let (process, _) = started.map_err(|error| not_started(&error))?;
    match process.call(task, patience) {
        Ok(answer) => {
            process.close();
            Ok(answer)
        }
        Err(Unanswered::Unsent) => Err(died(&process.end_soon())),
        Err(Unanswered::Lost(why) | Unanswered::Unfit(why)) => Err(died(&why)),
        Err(Unanswered::Overdue) => {
            process.kill();
            Err(Fault::internal("the plugin did not answer in time"))
        }
    }
}
