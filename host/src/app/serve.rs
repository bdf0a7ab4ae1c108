//! [`serve`]: from a configuration to a server that runs until it is told to stop.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin};
use crate::app::signals::Signals;
use crate::app::{App, tls};
use crate::config::{self, Config};
use crate::observe::health::{self, Health};
use crate::observe::metrics::Metrics;
use crate::plugins::Plugins;
use crate::server::{self, ClientIdentity, Ending, Shutdown, UnixSocket};

/// Serves until SIGTERM or SIGINT, then finishes what is under way.
///
/// # Errors
/// What the server can't do without: its store, its sockets, its TLS files.
pub async fn serve(config: Config, plugins: Arc<Plugins>, metrics: Metrics) -> anyhow::Result<()> {
    let limits = &config.server.limits;
    let shutdown = Shutdown::new();
    let mut signals = Signals::listen()?;

    // Sockets first: a port that is taken is told before anything is touched.
    let public = server::bind(&config.server.listen).await?;
    let health_listeners = server::bind(&[config.admin.listen]).await?;
    let plain = server::bind(config.server.http.as_slice()).await?;
    if let Some(folder) = config.admin.socket.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("can't make the folder {}", folder.display()))?;
    }
    let socket = UnixSocket::bind(&config.admin.socket)?;

    let app = App::open(&config, plugins).await?;
    let stop_poller = CancellationToken::new();
    let poller = tokio::spawn(Arc::clone(&app.issuance).poll_until(stop_poller.clone()));
    tokio::spawn(metrics.clone().keep_up());

    let data = data_folder(&config);
    let current = tls::keep_certificate(&config.server, data, &app.issuance, &shutdown)?;
    let identity = client_identity(&config);
    server::serve_tls(
        public,
        current.server_config(identity)?,
        identity,
        app.router(),
        limits,
        &shutdown,
    );
    for listener in plain {
        server::serve_plain(listener, app.crl_router(), limits, &shutdown);
    }
    server::serve_unix(
        socket,
        admin::router(admin_state(&app, &config)),
        limits,
        &shutdown,
    );
    let health = health::router(Health {
        store: Arc::clone(&app.store) as _,
        handlers: Arc::clone(&app.handlers),
        listeners: Arc::new(move || {
            if current.is_ready() {
                Ok(())
            } else {
                Err("there is no TLS certificate yet".to_owned())
            }
        }),
        metrics,
    });
    for listener in health_listeners {
        server::serve_plain(listener, health.clone(), limits, &shutdown);
    }
    for acme in &app.endpoints {
        acme.resume_validations().await?;
        tracing::info!(directory = acme.urls().directory(), "ACME directory");
    }
    for label in app.est.labels() {
        label.keep_loaded(&shutdown);
        let url = label.url(&config.server.base_url);
        tracing::info!(url, "EST label");
    }

    signals.stop().await;
    tracing::info!("stopping");
    if let Ending::CutOff(tasks) = shutdown.finish(limits.shutdown).await {
        tracing::warn!(tasks, "not everything under way could be finished");
    }
    stop_poller.cancel();
    let _ = poller.await;
    if tokio::time::timeout(limits.shutdown, app.issuance.drain())
        .await
        .is_err()
    {
        tracing::warn!(
            "calls to handlers are still under way; they are taken up at the next start"
        );
    }
    app.store.close();
    Ok(())
}

/// Where the server keeps what is its own: beside the database.
fn data_folder(config: &Config) -> &Path {
    let config::Store::Sqlite(path) = &config.store;
    path.parent().unwrap_or(Path::new("."))
}

fn admin_state(app: &App, config: &Config) -> Admin {
    let store = Arc::clone(&app.store) as _;
    Admin::running(config, store, Arc::clone(&app.issuance), &app.plugins)
}

/// Clients are asked who they are only where that matters.
fn client_identity(config: &Config) -> ClientIdentity {
    let mut labels = config.est.values();
    if config.est.is_empty() {
        ClientIdentity::Ignored
    } else if labels.any(|label| label.auth.uses_certificates()) {
        ClientIdentity::Requested
    } else {
        ClientIdentity::Bound
    }
}
