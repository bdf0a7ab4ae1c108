//! What a call to a handler costs inside the server and in a process of its own, for the benchmark.
//!
//! A call to another process wakes a thread on each side. Where that is on a processor that has
//! nothing else to do, and sleeps, most of the time is the processor's waking up. So it is measured
//! twice: on processors that are kept awake, as those of a server with work to do are, and as they are;
//! beside it a bare exchange between two threads, below which nothing can get.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use certdock_plugin_api::HostServices;
use serde::Serialize;

use super::failure::Failure;
use super::output;
use crate::config::{self, Config};
use crate::handlers::{HandlerInstance, Services};
use crate::plugins::{Isolation, Plugins};
use crate::store::Store;
use crate::store::sqlite::SqliteStore;

const WARM_UP: usize = 1_000;
/// The kernel may move a thread to another processor and leave it there: so it is measured in rounds with
/// pauses between them, and the round in the middle counts.
const ROUNDS: usize = 9;
const CALLS: usize = 2_500;
const PAUSE: Duration = Duration::from_millis(50);

/// Bytes of a bare exchange, there and back.
const BYTES: usize = 1_024;

#[derive(Serialize)]
struct Cost {
    handler: String,
    awake: Places,
    as_they_are: Places,
}

#[derive(Serialize)]
struct Places {
    in_process: Times,
    process: Times,
    bare_exchange: Times,
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
        let setup = handler.setup(name);
        let store = Arc::clone(&store);
        let services = Services::new(name.clone(), &setup.base_dir, &setup.config, store);
        let services: Arc<dyn HostServices> = Arc::new(services);
        let open = |isolation| {
            let opened = plugin.open(isolation, &setup, &services);
            opened.map_err(|fault| Failure::Failed(format!("handlers.{name}: {fault}")))
        };
        let inside = open(Isolation::InProcess { aborting: true })?;
        let outside = open(Isolation::Process)?;
        let places = || places(&*inside, &*outside);
        let failed = |error: Box<dyn std::error::Error>| {
            Failure::Failed(format!("handlers.{name}: {error}"))
        };
        costs.push(Cost {
            handler: name.to_string(),
            awake: awake(places).map_err(failed)?,
            as_they_are: places().map_err(failed)?,
        });
    }
    output::print_json(&costs)
}

/// Keeps all processors awake meanwhile, by threads that give way to all others.
fn awake<T>(measure: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..processors {
            scope.spawn(|| {
                // Of this thread only. Without it the figures are worse, not wrong.
                let _ = rustix::process::nice(19);
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let measured = measure();
        over.store(true, Ordering::Relaxed);
        measured
    })
}

fn places(
    inside: &dyn HandlerInstance,
    outside: &dyn HandlerInstance,
) -> Result<Places, Box<dyn std::error::Error>> {
    Ok(Places {
        in_process: times(|| inside.ca_certs_get())?,
        process: times(|| outside.ca_certs_get())?,
        bare_exchange: bare_exchange()?,
    })
}

fn bare_exchange() -> std::io::Result<Times> {
    let (mut here, mut there) = UnixStream::pair()?;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut bytes = [0; BYTES];
            while there.read_exact(&mut bytes).is_ok() && there.write_all(&bytes).is_ok() {}
        });
        let mut bytes = [0; BYTES];
        let measured = times(|| {
            here.write_all(&bytes)?;
            here.read_exact(&mut bytes)
        });
        // The other thread ends with the connection.
        drop(here);
        measured
    })
}

fn times<T, E>(mut call: impl FnMut() -> Result<T, E>) -> Result<Times, E> {
    for _ in 0..WARM_UP {
        call()?;
    }
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        std::thread::sleep(PAUSE);
        let mut times = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            let started = Instant::now();
            call()?;
            times.push(started.elapsed());
        }
        rounds.push((at(&mut times, 50), at(&mut times, 99)));
    }
    let middle = |times: Vec<Duration>| {
        let mut times = times;
        at(&mut times, 50).as_secs_f64() * 1e6
    };
    Ok(Times {
        p50: middle(rounds.iter().map(|(p50, _)| *p50).collect()),
        p99: middle(rounds.iter().map(|(_, p99)| *p99).collect()),
    })
}

/// The time that so many of a hundred don't exceed.
fn at(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let time = times.get(times.len() * percent / 100);
    time.copied().unwrap_or_default()
}
