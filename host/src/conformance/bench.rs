//! [`Bench`]: what a check works with; [`Loaded`]: the plugin in this process.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use certdock_plugin_api::abi::client::{self, Unusable};
use certdock_plugin_api::{ConfigNote, Fault, FaultClass, HostServices};

use super::calls::Open;
use super::job::{Job, Settings};
use super::recorder::Recorder;
use super::verdict::Stop;
use crate::plugins::{Inspection, Note};

/// How long after its deadline a call may still be answered before it counts as lost.
const GRACE: Duration = Duration::from_secs(2);

/// How a plugin opens a handler.
type OpenFn = fn(&client::Plugin, &str, Arc<dyn HostServices>) -> Result<client::Instance, Fault>;

/// One check's tools.
pub(super) struct Bench {
    pub(super) job: Job,
    pub(super) host: Recorder,
}

/// The plugin, loaded.
#[derive(Clone)]
pub(super) struct Loaded {
    pub(super) note: Note,
    pub(super) client: client::Plugin,
    pub(super) unusable: Arc<[Unusable]>,
    pub(super) host: Recorder,
    config: String,
    deadline: Duration,
}

impl Bench {
    pub(super) fn new(job: Job) -> Self {
        let host = Recorder::new(job.settings.base_dir.clone());
        Self { job, host }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.job.settings
    }

    /// What the file says of itself.
    pub(super) fn inspect(&self) -> Result<Inspection, Stop> {
        let found = Inspection::of(&self.settings().file)
            .map_err(|refusal| Stop::failed(refusal.to_string()))?;
        match &self.settings().sha256 {
            Some(sha256) if *sha256 != found.sha256 => Err(Stop::failed(
                "the file has changed since the checks began; run them again",
            )),
            _ => Ok(found),
        }
    }

    /// Loads the file, whoever may write to it.
    pub(super) fn load(&self) -> Result<Loaded, Stop> {
        let inspection = self.inspect()?;
        let (client, unusable) = inspection
            .connect()
            .map_err(|refusal| Stop::failed(refusal.to_string()))?;
        Ok(Loaded {
            note: inspection.note,
            client,
            unusable: unusable.into(),
            host: self.host.clone(),
            config: self.config().to_owned(),
            deadline: self.settings().deadline,
        })
    }

    /// Loads it and opens a handler.
    pub(super) fn open(&self) -> Result<Open, Stop> {
        self.load()?.open()
    }

    pub(super) fn config(&self) -> &str {
        self.settings().config.as_deref().unwrap_or("{}")
    }
}

impl Loaded {
    /// Opens a handler with the configuration that was given.
    pub(super) fn open(&self) -> Result<Open, Stop> {
        self.try_open(&self.config.clone())?
            .map_err(|fault| Stop::fault("open", &fault))
    }

    pub(super) fn try_open(&self, config: &str) -> Result<Result<Open, Fault>, Stop> {
        self.opened(config, client::Plugin::open)
    }

    /// On a host without services.
    pub(super) fn try_open_bare(&self) -> Result<Result<Open, Fault>, Stop> {
        self.opened(&self.config.clone(), client::Plugin::open_bare)
    }

    fn opened(&self, config: &str, open: OpenFn) -> Result<Result<Open, Fault>, Stop> {
        let (client, host, config) = (self.client, self.host.services(config), config.to_owned());
        let opened = self.within("open", move || open(&client, &config, host))?;
        let opened = no_panic("open", opened)?;
        Ok(opened.map(|instance| Open::new(instance, self.client.provided(), self.deadline)))
    }

    /// Opens with another configuration and says what is wrong if the plugin takes it, or refuses it
    /// in a wrong way.
    pub(super) fn refuses(&self, config: &str, what: &str) -> Result<Fault, Stop> {
        match self.try_open(config)? {
            Ok(open) => {
                open.close()?;
                Err(Stop::Failed(format!("`open` takes {what}")))
            }
            Err(fault) if fault.class == FaultClass::Misconfigured => Ok(fault),
            Err(fault) => Err(Stop::Failed(format!(
                "`open` refuses {what} with {fault}; the class for that is misconfigured"
            ))),
        }
    }

    pub(super) fn validate(&self, config: &str) -> Result<Vec<ConfigNote>, Stop> {
        if !self.client.provided().validate_config {
            return Err(Stop::skipped("the plugin does not provide validate_config"));
        }
        let (client, host, config) = (self.client, self.host.services(config), config.to_owned());
        let notes = self.within("validate_config", move || {
            client.validate_config(&config, host)
        })?;
        // What comes of a panic is a note, too.
        match self.host.panics().first() {
            None => Ok(notes),
            Some(panic) => Err(Stop::Failed(format!("`validate_config`: {panic}"))),
        }
    }

    pub(super) fn within<T: Send + 'static>(
        &self,
        what: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Stop> {
        within(what, self.deadline, work)
    }
}

/// Does something of the plugin's on another thread, and goes on without it if it is not done a moment
/// after the time that it has.
pub(super) fn within<T: Send + 'static>(
    what: &str,
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Stop> {
    let (done, answer) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new()
        .name("call".to_owned())
        .spawn(move || drop(done.send(work())))
        .map_err(|error| Stop::skipped(format!("no thread can be started: {error}")))?;
    let answer = answer.recv_timeout(limit + GRACE).map_err(|_| {
        Stop::Failed(format!(
            "`{what}` did not return within {} seconds",
            limit.as_secs_f32()
        ))
    })?;
    // So that it does not count as a thread left behind.
    let _ = thread.join();
    Ok(answer)
}

/// A panic is a failure of whatever check meets it.
pub(super) fn no_panic<T>(what: &str, answer: Result<T, Fault>) -> Result<Result<T, Fault>, Stop> {
    match answer {
        Err(fault) if fault.class == FaultClass::Panicked => {
            let text = fault.private;
            Err(Stop::Failed(format!("`{what}` panicked: {text}")))
        }
        other => Ok(other),
    }
}
