//! Metrics: every name with its meaning, one function for each thing that is counted, and their text
//! form for Prometheus.
//!
//! Names are `certdock_*`; counters end in `_total`, times in `_seconds`. Labels take few values:
//! routes, not paths; handlers, not accounts.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use super::process::{self, Usage};
use crate::handlers::{HandlerStatus, Handlers};

const REQUESTS: &str = "certdock_http_requests_total";
const REQUEST_SECONDS: &str = "certdock_http_request_seconds";
const CONNECTIONS: &str = "certdock_connections";
const HANDLER_CALL_SECONDS: &str = "certdock_handler_call_seconds";
const HANDLER_UP: &str = "certdock_handler_up";
const HANDLER_WAITING: &str = "certdock_handler_waiting";
const HANDLER_RUNNING: &str = "certdock_handler_running";
const HANDLERS_REPLACED: &str = "certdock_handlers_replaced_total";
const HANDLER_GENERATION: &str = "certdock_handler_generation";
const RELOADS: &str = "certdock_configuration_reloads_total";
const FILES_REFUSED: &str = "certdock_plugins_refused";
const WORKER_DEATHS: &str = "certdock_worker_deaths_total";
const WORKER_RESIDENT: &str = "certdock_worker_resident_bytes";
const WORKER_OPEN_FILES: &str = "certdock_worker_open_files";
const WORKER_THREADS: &str = "certdock_worker_threads";
const ENROLLMENTS: &str = "certdock_enrollments_total";
const ENROLLMENTS_DUE: &str = "certdock_enrollments_due";
const EST_LOGINS_REFUSED: &str = "certdock_est_logins_refused_total";
const VALIDATION_SECONDS: &str = "certdock_validation_seconds";
const RESIDENT: &str = "certdock_process_resident_bytes";
const RESIDENT_PEAK: &str = "certdock_process_resident_peak_bytes";
const OPEN_FILES: &str = "certdock_process_open_files";
const THREADS: &str = "certdock_process_threads";
const BUILD: &str = "certdock_build_info";

enum Kind {
    Counter,
    Gauge,
    Seconds,
}

/// All names but those of plugins, which begin with `certdock_plugin_`.
#[rustfmt::skip]
const ALL: &[(Kind, &str, &str)] = &[
    (Kind::Counter, REQUESTS, "Requests answered, by route and status."),
    (Kind::Seconds, REQUEST_SECONDS, "Time from a request's head to its answer, by route."),
    (Kind::Gauge, CONNECTIONS, "Open connections."),
    (Kind::Seconds, HANDLER_CALL_SECONDS, "Time of calls to handlers with their wait in the queue, by handler, method and outcome."),
    (Kind::Gauge, HANDLER_UP, "1 if the handler is in service, 0 if it is down."),
    (Kind::Gauge, HANDLER_WAITING, "Calls that wait in the handler's queue."),
    (Kind::Gauge, HANDLER_RUNNING, "Calls that run in the handler."),
    (Kind::Counter, HANDLERS_REPLACED, "Handlers whose plugin or configuration was exchanged, by handler and outcome: serving, down, refused."),
    (Kind::Gauge, HANDLER_GENERATION, "Which one of its name the handler is, counted from the server's start."),
    (Kind::Counter, RELOADS, "Changed configurations, by outcome: done, refused."),
    (Kind::Gauge, FILES_REFUSED, "Files in the plugins directory that can't be used."),
    (Kind::Counter, WORKER_DEATHS, "Worker processes that died or were killed, by handler."),
    (Kind::Gauge, WORKER_RESIDENT, "Memory that a handler's worker process had in use some seconds ago."),
    (Kind::Gauge, WORKER_OPEN_FILES, "Files that it had open then."),
    (Kind::Gauge, WORKER_THREADS, "Threads that it had then."),
    (Kind::Counter, ENROLLMENTS, "Enrollments that ended, by handler and outcome: issued, failed."),
    (Kind::Gauge, ENROLLMENTS_DUE, "Unfinished enrollments whose next attempt is due; 100 stands for 100 or more."),
    (Kind::Counter, EST_LOGINS_REFUSED, "Clients of EST that were not let in, by reason."),
    (Kind::Seconds, VALIDATION_SECONDS, "Time of checks of challenges, by challenge and outcome."),
    (Kind::Gauge, RESIDENT, "Memory in use."),
    (Kind::Gauge, RESIDENT_PEAK, "The most memory that was in use."),
    (Kind::Gauge, OPEN_FILES, "Open file descriptors."),
    (Kind::Gauge, THREADS, "Threads, with those of plugins that run inside the server."),
    (Kind::Gauge, BUILD, "1; the label says which version runs."),
];

/// Bounds of the buckets of every `_seconds`. Few: each costs memory for every set of labels.
const BUCKETS: &[f64] = &[0.001, 0.0025, 0.01, 0.05, 0.25, 1.0, 5.0, 30.0];

/// How often recorded times are folded into their buckets; until then they take memory.
const UPKEEP: Duration = Duration::from_secs(5);

/// What has been counted so far.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Begins to count for the whole process.
    ///
    /// # Errors
    /// One sentence if somebody counts already.
    pub fn start() -> Result<Self, String> {
        let builder = PrometheusBuilder::new()
            .set_buckets(BUCKETS)
            .map_err(|error| error.to_string())?;
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder)
            .map_err(|error| format!("metrics can't be started: {error}"))?;
        for (kind, name, description) in ALL {
            match kind {
                Kind::Counter => describe_counter!(*name, *description),
                Kind::Gauge => describe_gauge!(*name, *description),
                Kind::Seconds => describe_histogram!(*name, *description),
            }
        }
        gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Ok(Self(handle))
    }

    /// Renders what nobody records.
    #[cfg(test)]
    pub(super) fn detached() -> Self {
        Self(PrometheusBuilder::new().build_recorder().handle())
    }

    /// Keeps what is recorded small. Never ends.
    pub async fn keep_up(self) {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            self.0.run_upkeep();
        }
    }

    /// Looks at what is not counted as it happens, and renders everything for Prometheus.
    #[must_use]
    pub fn render(&self, handlers: &Handlers, due: usize) -> String {
        gauge!(ENROLLMENTS_DUE).set(due as f64);
        for handler in handlers.list() {
            let name = handler.name().to_string();
            let (up, waiting, running) = match handler.status() {
                HandlerStatus::Serving {
                    waiting, running, ..
                } => (1.0, waiting, running),
                HandlerStatus::Down { .. } => (0.0, 0, 0),
            };
            gauge!(HANDLER_UP, "handler" => name.clone()).set(up);
            gauge!(HANDLER_GENERATION, "handler" => name.clone()).set(handler.generation() as f64);
            gauge!(HANDLER_WAITING, "handler" => name.clone()).set(waiting as f64);
            gauge!(HANDLER_RUNNING, "handler" => name).set(running as f64);
        }
        if let Some(memory) = process::memory() {
            gauge!(RESIDENT).set(memory.resident as f64);
            gauge!(RESIDENT_PEAK).set(memory.peak as f64);
        }
        if let Some(files) = process::open_files() {
            gauge!(OPEN_FILES).set(files as f64);
        }
        if let Some(threads) = process::threads() {
            gauge!(THREADS).set(threads as f64);
        }
        self.0.render()
    }
}

/// Middleware for routes: counts what they answer.
pub async fn count_requests(route: MatchedPath, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let response = next.run(request).await;
    request_finished(route.as_str(), response.status(), started.elapsed());
    response
}

/// A request was answered. `route` is the pattern that matched, never the path.
pub fn request_finished(route: &str, status: http::StatusCode, took: Duration) {
    let route = route.to_owned();
    let code = status.as_str().to_owned();
    counter!(REQUESTS, "route" => route.clone(), "status" => code).increment(1);
    histogram!(REQUEST_SECONDS, "route" => route).record(took);
}

/// An open connection, counted until it is dropped.
pub struct Connection(());

impl Connection {
    #[must_use]
    pub fn opened() -> Self {
        gauge!(CONNECTIONS).increment(1.0);
        Self(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        gauge!(CONNECTIONS).decrement(1.0);
    }
}

/// A handler was called. `outcome` is "ok" or a fault's class.
pub fn handler_call(handler: &str, method: &'static str, outcome: &'static str, took: Duration) {
    histogram!(
        HANDLER_CALL_SECONDS,
        "handler" => handler.to_owned(), "method" => method, "outcome" => outcome,
    )
    .record(took);
}

/// A handler's next generation was opened, or not: "serving", "down" or "refused".
pub fn handler_replaced(handler: &str, outcome: &'static str) {
    counter!(HANDLERS_REPLACED, "handler" => handler.to_owned(), "outcome" => outcome).increment(1);
}

/// A handler is no longer configured. What is known by its name stays, as for one that is down.
pub fn handler_removed(handler: &str) {
    for gauge in [
        HANDLER_UP,
        HANDLER_GENERATION,
        HANDLER_WAITING,
        HANDLER_RUNNING,
    ] {
        gauge!(gauge, "handler" => handler.to_owned()).set(0.0);
    }
}

/// A changed configuration was taken up ("done") or not ("refused").
pub fn reloaded(outcome: &'static str) {
    counter!(RELOADS, "outcome" => outcome).increment(1);
}

/// So many files in the plugins directory can't be used.
pub fn plugin_files_refused(files: usize) {
    gauge!(FILES_REFUSED).set(files as f64);
}

/// A worker process died, or hung and was killed.
pub fn worker_death(handler: &str) {
    counter!(WORKER_DEATHS, "handler" => handler.to_owned()).increment(1);
}

/// What a handler's worker uses; it has none for now if there is no process.
pub fn worker_usage(handler: &str, pid: Option<u32>) -> Usage {
    let usage = pid.and_then(process::usage).unwrap_or_default();
    let Usage {
        resident,
        open_files,
        threads,
        ..
    } = usage;
    gauge!(WORKER_RESIDENT, "handler" => handler.to_owned()).set(resident as f64);
    gauge!(WORKER_OPEN_FILES, "handler" => handler.to_owned()).set(open_files as f64);
    gauge!(WORKER_THREADS, "handler" => handler.to_owned()).set(threads as f64);
    usage
}

/// An enrollment ended: "issued" or "failed".
pub fn enrollment(handler: &str, outcome: &'static str) {
    counter!(ENROLLMENTS, "handler" => handler.to_owned(), "outcome" => outcome).increment(1);
}

/// A client of EST was not let in.
pub fn est_login_refused(reason: &'static str) {
    counter!(EST_LOGINS_REFUSED, "reason" => reason).increment(1);
}

/// A challenge was checked. `outcome` is "valid" or "invalid".
pub fn validation(challenge: &'static str, outcome: &'static str, took: Duration) {
    histogram!(VALIDATION_SECONDS, "challenge" => challenge, "outcome" => outcome).record(took);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_convention() {
        for (kind, name, description) in ALL {
            let fine = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(
                name.starts_with("certdock_") && name.chars().all(fine),
                "{name}"
            );
            let (counter, seconds) = (name.ends_with("_total"), name.ends_with("_seconds"));
            assert_eq!(counter, matches!(kind, Kind::Counter), "{name}");
            assert_eq!(seconds, matches!(kind, Kind::Seconds), "{name}");
            assert!(description.ends_with('.'), "{name}");
        }
    }

    #[test]
    fn what_is_counted_is_rendered() {
        let builder = PrometheusBuilder::new().set_buckets(BUCKETS).unwrap();
        let recorder = builder.build_recorder();
        let metrics = Metrics(recorder.handle());
        let three = Duration::from_millis(3);
        let text = metrics::with_local_recorder(&recorder, || {
            request_finished("/acme/new-order", http::StatusCode::CREATED, three);
            let _open = Connection::opened();
            drop(Connection::opened());
            handler_call("local", "enroll", "ok", three);
            enrollment("local", "issued");
            validation("http-01", "invalid", Duration::from_secs(3));
            metrics.render(&Handlers::default(), 2)
        });
        for line in [
            "certdock_http_requests_total{route=\"/acme/new-order\",status=\"201\"} 1",
            "certdock_http_request_seconds_bucket{route=\"/acme/new-order\",le=\"0.0025\"} 0",
            "certdock_http_request_seconds_bucket{route=\"/acme/new-order\",le=\"0.01\"} 1",
            "certdock_connections 1",
            "certdock_handler_call_seconds_count{handler=\"local\",method=\"enroll\",outcome=\"ok\"} 1",
            "certdock_enrollments_total{handler=\"local\",outcome=\"issued\"} 1",
            "certdock_validation_seconds_sum{challenge=\"http-01\",outcome=\"invalid\"} 3",
            "certdock_enrollments_due 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        for name in [
            "resident_bytes",
            "resident_peak_bytes",
            "open_files",
            "threads",
        ] {
            let begins = format!("certdock_process_{name} ");
            let mut lines = text.lines();
            let value = lines.find_map(|line| line.strip_prefix(&begins));
            let value: f64 = value
                .unwrap_or_else(|| panic!("{name}: {text}"))
                .parse()
                .unwrap();
            assert!(value > 0.0, "{name}: {value}");
        }
    }
}
