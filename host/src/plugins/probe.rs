//! What a plugin does when it is loaded and opened is first seen in a worker process. The verdict is
//! remembered by the content of its file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use certdock_plugin_api::{Fault, HostServices};
use parking_lot::Mutex;

use super::code::Code;
use super::refusal::Refusal;
use crate::ids::PluginId;
use crate::worker::{self, Loaded, NotLoaded, NotStarted, Setup};

/// Verdicts that are remembered. Few files come by while a server runs.
const REMEMBERED: usize = 256;

/// How long a process that hung or crashed speaks against its file. It may have been the machine's fault.
const CRASH_COUNTS: Duration = Duration::from_secs(10 * 60);

/// What was found, by the SHA-256 of the file.
static VERDICTS: Mutex<BTreeMap<String, Result<Loaded, Refused>>> = Mutex::new(BTreeMap::new());

#[derive(Clone)]
enum Refused {
    /// By the loader.
    NotLoaded(NotLoaded),
    /// What became of the process, and when.
    Crashed(String, Instant),
}

/// Loads it. What hangs or crashes is not tried again for a while: each time would cost the same.
pub(super) fn probe(id: &PluginId, code: &Arc<Code>, sha256: &str) -> Result<Loaded, Refusal> {
    let verdict = match remembered(sha256, Instant::now()) {
        Some(verdict) => verdict,
        None => {
            let verdict = match worker::probe(id.as_str(), code) {
                Ok(loaded) => Ok(loaded),
                Err(NotStarted::Refused(not_loaded)) => Err(Refused::NotLoaded(not_loaded)),
                Err(NotStarted::Failed(why)) => Err(Refused::Crashed(why, Instant::now())),
                Err(NotStarted::NoProcess(why)) => return Err(Refusal::NoProcess(why)),
            };
            remember(sha256, &verdict);
            verdict
        }
    };
    verdict.map_err(|refused| match refused {
        Refused::NotLoaded(NotLoaded { reason, detail }) => Refusal::NotLoadable { reason, detail },
        Refused::Crashed(why, _) => Refusal::Untried(why),
    })
}

fn remembered(sha256: &str, now: Instant) -> Option<Result<Loaded, Refused>> {
    let verdict = VERDICTS.lock().get(sha256).cloned()?;
    match &verdict {
        Err(Refused::Crashed(_, at)) if now.duration_since(*at) >= CRASH_COUNTS => None,
        _ => Some(verdict),
    }
}

fn remember(sha256: &str, verdict: &Result<Loaded, Refused>) {
    let mut verdicts = VERDICTS.lock();
    if verdicts.len() >= REMEMBERED {
        verdicts.clear();
    }
    verdicts.insert(sha256.to_owned(), verdict.clone());
}

/// Has files be tried again whose process hung or crashed.
pub(crate) fn forget_crashes() {
    let crashed = |verdict: &Result<Loaded, Refused>| matches!(verdict, Err(Refused::Crashed(..)));
    VERDICTS.lock().retain(|_, verdict| !crashed(verdict));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_counts_for_a_while() {
        let crashed = |at| Err(Refused::Crashed("hung".to_owned(), at));
        let begun = Instant::now();
        remember("crashed", &crashed(begun));
        let is_remembered = |after| remembered("crashed", begun + after).is_some();
        assert!(is_remembered(Duration::ZERO));
        assert!(is_remembered(CRASH_COUNTS - Duration::from_secs(1)));
        assert!(!is_remembered(CRASH_COUNTS));
        remember("crashed", &crashed(begun + CRASH_COUNTS));
        assert!(is_remembered(CRASH_COUNTS));

        let refused = NotLoaded {
            reason: "it has no root".to_owned(),
            detail: None,
        };
        remember("refused", &Err(Refused::NotLoaded(refused)));
        assert!(remembered("refused", begun + 10 * CRASH_COUNTS).is_some());
    }
}
