//! [`Signals`] and [`Hangup`]: what the operator tells the process.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGHUP, from the moment that this is made: one that comes while the server still starts is kept, where
/// the signal's default action would end it. SIGTERM has to end a server that starts, so it keeps its
/// own until `Signals` listens.
pub struct Hangup(Signal);

impl Hangup {
    /// To be called inside a runtime.
    ///
    /// # Errors
    /// The system does not let it.
    pub fn listen() -> anyhow::Result<Self> {
        listen(SignalKind::hangup(), "SIGHUP").map(Self)
    }
}

/// Listens from the moment it is made, so that no signal finds its default action.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Hangup,
}

impl Signals {
    pub(super) fn listen(hangup: Hangup) -> anyhow::Result<Self> {
        Ok(Self {
            terminate: listen(SignalKind::terminate(), "SIGTERM")?,
            interrupt: listen(SignalKind::interrupt(), "SIGINT")?,
            hangup,
        })
    }

    /// Returns when the server is to stop. What SIGHUP asks for has to wait.
    pub(super) async fn stop_early(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Returns when the server is to stop; until then SIGHUP means `reload`.
    pub(super) async fn stop(&mut self, reload: impl Fn()) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.0.recv() => {
                    tracing::info!("SIGHUP: the configuration and the plugins are read again");
                    reload();
                }
            }
        }
    }
}

fn listen(kind: SignalKind, name: &str) -> anyhow::Result<Signal> {
    signal(kind).with_context(|| format!("can't listen for {name}"))
}
