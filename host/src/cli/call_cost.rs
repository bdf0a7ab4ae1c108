//! What a call to a handler costs inside the server and in a process of its own, for the benchmark.

use std::sync::Arc;
use std::time::{Duration, Instant};

use certdock_plugin_api::{Fault, HostServices};
use serde::Serialize;

use super::failure::Failure;
use super::output;
use crate::config::{self, Config};
use crate::handlers::{HandlerInstance, Services};
use crate::plugins::{Isolation, Plugins};
use crate::store::Store;
use crate::store::sqlite::SqliteStore;

const WARM_UP: usize = 1_000;
const CALLS: usize = 20_000;

#[derive(Serialize)]
struct Cost {
    handler: String,
    in_process: Times,
    process: Times,
}

/// In microseconds.
#[derive(Serialize)]
struct Times {
    p50: f64,
    p99: f64,
}

/// Asks each handler for its CA's certificates, again and again, from one thread.
pub(super) fn run(config: &Config) -> Result<(), Failure> {
    let plugins = Plugins::discover(&config.plugins.directory, &config.plugins.trust);
    let config::Store::Sqlite(path) = &config.store;
    let store = SqliteStore::open(path).map_err(|error| Failure::Failed(error.to_string()))?;
    let store: Arc<dyn Store> = Arc::new(store);
    let mut costs = Vec::new();
    for (name, handler) in &config.handlers {
        let plugin = plugins.get(&handler.plugin).ok_or_else(|| {
            Failure::Failed(format!("there is no usable plugin '{}'", handler.plugin))
        })?;
        let services = Services::new(name.clone(), handler.base_dir.clone(), Arc::clone(&store));
        let services: Arc<dyn HostServices> = Arc::new(services);
        let times = |isolation| {
            let opened = plugin.open(isolation, &handler.setup(name), &services);
            opened
                .and_then(|handler| times(&*handler))
                .map_err(|fault| Failure::Failed(format!("handlers.{name}: {fault}")))
        };
        costs.push(Cost {
            handler: name.to_string(),
            in_process: times(Isolation::InProcess { aborting: true })?,
            process: times(Isolation::Process)?,
        });
    }
    output::print_json(&costs)
}

fn times(handler: &dyn HandlerInstance) -> Result<Times, Fault> {
    for _ in 0..WARM_UP {
        handler.ca_certs_get()?;
    }
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let started = Instant::now();
        handler.ca_certs_get()?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    let at = |percent: usize| {
        let time = times.get(times.len() * percent / 100);
        time.map_or(0.0, Duration::as_secs_f64) * 1e6
    };
    Ok(Times {
        p50: at(50),
        p99: at(99),
    })
}
