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

/// Loads it.
pub(super) fn probe(id: &PluginId, code: &Arc<Code>, sha256: &str) -> Result<Loaded, Refusal> {
    static VERDICTS: Mutex<BTreeMap<String, Result<Loaded, NotLoaded>>> =
        Mutex::new(BTreeMap::new());
    let remembered = VERDICTS.lock().get(sha256).cloned();
    let verdict = match remembered {
        Some(verdict) => verdict,
        None => {
            let verdict = match worker::probe(id.as_str(), code) {
                Ok(loaded) => Ok(loaded),
                Err(NotStarted::Refused(refused)) => Err(refused),
                // Perhaps not the file's fault.
                Err(NotStarted::Failed(why)) => return Err(Refusal::Untried(why)),
            };
            let mut verdicts = VERDICTS.lock();
            if verdicts.len() >= REMEMBERED {
                verdicts.clear();
            }
            verdicts.insert(sha256.to_owned(), verdict.clone());
            verdict
        }
    };
    verdict.map_err(|NotLoaded { reason, detail }| Refusal::NotLoadable { reason, detail })
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
