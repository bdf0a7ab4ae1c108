//! [`serve`]: from a configuration to a server that runs until it is told to stop.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin};
use crate::app::live::{Front, Live, Start, client_identity, data_folder};
use crate::app::signals::{Hangup, Signals};
use crate::app::{crl, tls};
use crate::config::{Config, Source};
use crate::ids::HandlerName;
use crate::observe::health::{self, Health};
use crate::observe::metrics::Metrics;
use crate::server::{self, Ending, Handshakes, Routes, Shutdown, UnixSocket};

/// How long handlers may take to close, at most, and at least if others have used up all the time.
const CLOSING: Duration = Duration::from_secs(10);
const LEAST: Duration = Duration::from_secs(1);

/// How long the server's own certificate is waited for before the server counts as started.
const FIRST_CERTIFICATE: Duration = Duration::from_secs(30);

/// Serves until SIGTERM or SIGINT, then finishes what is under way. Handlers that are `doubtful` have a
/// plugin that finds their configuration wrong.
///
/// # Errors
/// What the server can't do without: its store, its sockets, its TLS files.
pub async fn serve(
    source: Source,
    config: Config,
    start: Start,
    doubtful: &BTreeSet<HandlerName>,
    metrics: Metrics,
    hangup: Hangup,
) -> anyhow::Result<()> {
    let limits = &config.server.limits;
    let shutdown = Shutdown::new();
    let mut signals = Signals::listen(hangup)?;

    // Sockets first: a port that is taken is told before anything is touched.
    let public = server::bind(&config.server.listen)?;
    let health_listeners = server::bind(&[config.admin.listen])?;
    let plain = server::bind(config.server.http.as_slice())?;
    if let Some(folder) = config.admin.socket.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("can't make the folder {}", folder.display()))?;
    }
    let socket = UnixSocket::bind(&config.admin.socket)?;

    let (live, orders) = tokio::select! {
        opened = Live::open(source, config.clone(), start, doubtful) => opened?,
        () = signals.stop_early() => {
            tracing::info!("stopping before everything was open");
            return Ok(());
        }
    };
    let (rooms, face) = (live.rooms.clone(), Arc::clone(&live.face));
    let stop_poller = CancellationToken::new();
    let poller = tokio::spawn(Arc::clone(&rooms.issuance).poll_until(stop_poller.clone()));
    tokio::spawn(metrics.clone().keep_up());

    let data = data_folder(&config);
    let current = tls::keep_certificate(&config.server, data, &rooms.issuance, &shutdown)?;
    let front = Front {
        routes: Routes::from(live.router()),
        handshakes: Handshakes::new(Arc::clone(&current), client_identity(&config))?,
        shutdown: shutdown.clone(),
    };
    let routes = front.routes.clone();
    server::serve_tls(public, &front.handshakes, routes, limits, &shutdown);
    for listener in plain {
        let routes = crl::router(Arc::clone(&rooms.handlers));
        server::serve_plain(listener, routes, limits, &shutdown);
    }
    let admin = admin::router(Admin {
        store: rooms.store(),
        issuance: Some(Arc::clone(&rooms.issuance)),
        configured: Arc::clone(&face) as _,
    });
    server::serve_unix(socket, admin, limits, &shutdown);
    let shown = Arc::clone(&current);
    let health = health::router(Health {
        store: rooms.store(),
        handlers: Arc::clone(&rooms.handlers),
        listeners: Arc::new(move || {
            if shown.is_ready() {
                Ok(())
            } else {
                Err("there is no TLS certificate yet".to_owned())
            }
        }),
        refusals: Arc::new(move || face.refusals()),
        metrics,
    });
    for listener in health_listeners {
        server::serve_plain(listener, health.clone(), limits, &shutdown);
    }
    live.begin(&shutdown).await?;
    shutdown.spawn(live.run(front));
    let stops = shutdown.clone();
    shutdown.spawn(async move {
        tokio::select! {
            // Without one nobody can connect. But its CA may take its time, and that is no failed start.
            _ = tokio::time::timeout(FIRST_CERTIFICATE, current.ready()) => {
                tell_systemd(&NotifyState::Ready);
            }
            () = stops.started() => {}
        }
    });

    signals.stop(|| orders.reload()).await;
    tracing::info!("stopping");
    tell_systemd(&NotifyState::Stopping);
    let stopping = Instant::now();
    if let Ending::CutOff(tasks) = shutdown.finish(limits.shutdown).await {
        tracing::warn!(tasks, "not everything under way could be finished");
    }
    stop_poller.cancel();
    let _ = poller.await;
    if tokio::time::timeout(limits.shutdown, rooms.issuance.drain())
        .await
        .is_err()
    {
        tracing::warn!(
            "calls to handlers are still under way; they are taken up at the next start"
        );
    }
    // While the store is there: a plugin may write down its last words.
    let left = limits.shutdown.saturating_sub(stopping.elapsed());
    if !rooms.handlers.close(left.clamp(LEAST, CLOSING)).await {
        tracing::warn!("not all handlers could be closed");
    }
    rooms.sqlite.close();
    Ok(())
}

/// sd_notify(3): who starts the server as a service waits until it serves. Nothing where nobody does.
fn tell_systemd(state: &NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        tracing::warn!(%error, "systemd can't be told how far the server is");
    }
}
