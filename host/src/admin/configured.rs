//! [`Configured`]: what the commands know of the configuration, in a running server and without one.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::directory::plugins;
use super::error::Error;
use super::views;
use crate::config::Config;
use crate::ids::EndpointName;
use crate::plugins::Plugins;

/// What is configured at the moment.
#[async_trait]
pub trait Configured: Send + Sync {
    /// The names of the ACME endpoints.
    fn endpoints(&self) -> BTreeSet<EndpointName>;

    /// The names of the EST labels.
    fn labels(&self) -> BTreeSet<EndpointName>;

    /// Looks at the plugins; it may load them.
    fn plugins(&self) -> Vec<views::Plugin>;

    /// Exchanges the plugin of a handler.
    ///
    /// # Errors
    /// There is no such handler or nothing to exchange it for, or that can't be put in service.
    async fn exchange(&self, handler: &str, to: Exchange) -> Result<views::Generation, Error>;
}

/// What a handler's plugin is exchanged for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// What it ran before; the file in the plugins directory is left aside until it changes.
    Former,
    /// The file in the plugins directory.
    File,
}

/// Where no server runs.
pub(super) struct Alone(pub(super) Config);

#[async_trait]
impl Configured for Alone {
    fn endpoints(&self) -> BTreeSet<EndpointName> {
        self.0.acme.keys().cloned().collect()
    }

    fn labels(&self) -> BTreeSet<EndpointName> {
        self.0.est.keys().cloned().collect()
    }

    fn plugins(&self) -> Vec<views::Plugin> {
        let config = &self.0.plugins;
        plugins(
            &self.0,
            &Plugins::discover(&config.directory, &config.trust),
        )
    }

    async fn exchange(&self, _: &str, _: Exchange) -> Result<views::Generation, Error> {
        Err(Error::Unavailable(
            "plugins are exchanged in a running server; start `certdock serve` first".to_owned(),
        ))
    }
}
