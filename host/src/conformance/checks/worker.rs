//! The plugin as a server runs it unless it is told otherwise: in a process of its own that has given
//! up its rights.

use std::sync::Arc;

use certdock_plugin_api::{Enrollment, HostServices};

use crate::conformance::bench::{Bench, no_panic, within};
use crate::conformance::calls::implemented;
use crate::conformance::check::Check;
use crate::conformance::sample::Sample;
use crate::conformance::verdict::{Stop, Verdict, ensure};
use crate::handlers::HandlerInstance;
use crate::plugins::{Isolation, Ownership, Trust};
use crate::worker::Setup;

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "worker.opens",
        "it opens in a worker process, which has its own files and those that its configuration names",
        opens,
    )
    .needs("life.opens")
    .after(&["life.closes"]),
    Check::new(
        "worker.answers",
        "its CA answers there as it does without the worker's bounds",
        answers,
    )
    .needs("worker.opens")
    .after(&["ca.answers"]),
    Check::new("worker.issues", "it issues certificates there", issues)
        .needs("enroll.issues")
    .after(&["life.closes"])
        .issues(),
];

/// A handler in a worker.
fn open(bench: &Bench) -> Result<Arc<dyn HandlerInstance>, Stop> {
    let settings = bench.settings();
    let inspection = bench.inspect()?;
    let setup = Setup {
        name: "check".to_owned(),
        config: bench.config().to_owned(),
        base_dir: settings.base_dir.clone(),
        keep_out: vec![settings.base_dir.clone()],
        apart: Vec::new(),
        deadline: settings.deadline,
        threads: 4,
        limits: settings.limits.clone(),
    };
    let host: Arc<dyn HostServices> = bench.host.services(bench.config());
    // A new file may have to be read from a slow disk, and a process started.
    within("open", settings.deadline * 2, move || {
        let trust = Trust {
            ownership: Ownership::Unchecked,
            ..Trust::default()
        };
        let plugin = inspection
            .admit(&trust)
            .map_err(|refusal| Stop::failed(refusal.to_string()))?;
        plugin.open(Isolation::Process, &setup, &host).map_err(|fault| {
            Stop::Failed(format!(
                "in a worker process `open` answered with the fault {fault}; files that are not named \
                 in the configuration are not to be had there, unless `limits` allows them"
            ))
        })
    })?
}

fn opens(bench: &Bench) -> Verdict {
    open(bench)?;
    Ok(String::new())
}

fn answers(bench: &Bench) -> Verdict {
    let here = bench.open()?.ca_certs_get()?;
    let worker = open(bench)?;
    let there = within("ca_certs_get", bench.settings().deadline, move || {
        worker.ca_certs_get()
    })?;
    match (here, no_panic("ca_certs_get", there)?) {
        (Ok(here), Ok(there)) => {
            ensure(here == there, || {
                "in a worker process it names another CA".to_owned()
            })?;
            Ok(String::new())
        }
        (Ok(_), Err(fault)) => Err(Stop::Failed(format!(
            "in a worker process, and only there, `ca_certs_get` answers with the fault {fault}"
        ))),
        (Err(fault), _) => Ok(format!("`ca_certs_get` answers with the fault {fault}")),
    }
}

fn issues(bench: &Bench) -> Verdict {
    let worker = open(bench)?;
    let request = Sample::new(&bench.settings().names)?.request();
    let answer = within("enroll", bench.settings().deadline, move || {
        worker.enroll(&request)
    })?;
    match implemented("enroll", no_panic("enroll", answer)?)? {
        Enrollment::Issued(_) => Ok("issued".to_owned()),
        _ => Ok("pending".to_owned()),
    }
}
