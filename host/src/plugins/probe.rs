//! What a plugin does when it is loaded and opened is first seen in a worker process. The verdict is
//! remembered by the content of its file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use certdock_plugin_api::{Fault, HostServices};
use parking_lot::Mutex;

use super::code::Code;
use super::refusal::Refusal;
use crate::ids::PluginId;
use crate::worker::{self, Loaded, NotLoaded, NotStarted, Setup};

/// Verdicts that are remembered. Few files come by while a server runs.
const REMEMBERED: usize = 256;

/// What was found, by the SHA-256 of the file.
static VERDICTS: Mutex<BTreeMap<String, Result<Loaded, Refused>>> = Mutex::new(BTreeMap::new());

#[derive(Clone)]
enum Refused {
    /// By the loader.
    NotLoaded(NotLoaded),
    /// What became of the process. It may have been the machine's fault.
    Untried(String),
}

/// Loads it. What hangs or crashes is tried once only: each time would cost the same again.
pub(super) fn probe(id: &PluginId, code: &Arc<Code>, sha256: &str) -> Result<Loaded, Refusal> {
    let remembered = VERDICTS.lock().get(sha256).cloned();
    let verdict = remembered.unwrap_or_else(|| {
        let verdict = worker::probe(id.as_str(), code).map_err(|not_started| match not_started {
            NotStarted::Refused(not_loaded) => Refused::NotLoaded(not_loaded),
            NotStarted::Failed(why) => Refused::Untried(why),
        });
        let mut verdicts = VERDICTS.lock();
        if verdicts.len() >= REMEMBERED {
            verdicts.clear();
        }
        verdicts.insert(sha256.to_owned(), verdict.clone());
        verdict
    });
    verdict.map_err(|refused| match refused {
        Refused::NotLoaded(NotLoaded { reason, detail }) => Refusal::NotLoadable { reason, detail },
        Refused::Untried(why) => Refusal::Untried(why),
    })
}

/// Has files be tried again whose process hung or crashed.
pub(crate) fn forget_crashes() {
    let untried = |verdict: &Result<Loaded, Refused>| matches!(verdict, Err(Refused::Untried(_)));
    VERDICTS.lock().retain(|_, verdict| !untried(verdict));
}

/// Opens a handler and closes it again, before the same happens in the server.
pub(super) fn try_open(
    id: &str,
    code: &Arc<Code>,
    sha256: &str,
    setup: &Setup,
    host: &Arc<dyn HostServices>,
) -> Result<(), Fault> {
    static GOOD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let what = format!("{sha256} {} {}", setup.base_dir.display(), setup.config);
    if GOOD.lock().contains(&what) {
        return Ok(());
    }
    worker::try_open(id, code, setup, Arc::clone(host))?;
    let mut good = GOOD.lock();
    if good.len() >= REMEMBERED {
        good.clear();
    }
    good.insert(what);
    Ok(())
}
