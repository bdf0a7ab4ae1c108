//! Tells what goes wrong before anything is sent (looking up a name, connecting) from all else.

use std::fmt;

use http::Uri;
use ureq::Error;
use ureq::config::Config;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport,
};

/// An error before which nothing was sent.
#[derive(Debug)]
pub(crate) struct Unsent(Error);

#[derive(Debug, Default)]
pub(crate) struct Connects(DefaultConnector);

#[derive(Debug, Default)]
pub(crate) struct Resolves(DefaultResolver);

impl Connector for Connects {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<()>,
    ) -> Result<Option<Self::Out>, Error> {
        self.0.connect(details, chained).map_err(unsent)
    }
}

impl Resolver for Resolves {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        self.0.resolve(uri, config, timeout).map_err(unsent)
    }
}

fn unsent(error: Error) -> Error {
    Error::Other(Box::new(Unsent(error)))
}

impl std::error::Error for Unsent {}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
