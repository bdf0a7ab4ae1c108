//! `certdock serve`

use super::failure::Failure;
use super::{Global, check};
use crate::app::{self, Hangup, Start};
use crate::config::{self, Source};
use crate::observe::metrics::Metrics;

pub(super) fn run(global: &Global) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("no runtime can be started: {error}")))?;
    // First of all: to load plugins may take long, and whoever has changed something asks for it to be
    // read again whether or not the server is up yet.
    let hangup = runtime.block_on(async { Hangup::listen() })?;
    let source = global.source();
    let config = config::load(&source)?;
    match &source {
        Source::File(file) => tracing::info!(file = %file.display(), "configuration"),
        Source::Embedded => tracing::info!(
            "no configuration file was found: starting with the built-in one, a CA of this machine's own \
             with its data in ./data"
        ),
    }
    let start = Start::look(&config);
    let doubtful = check::before_serving(&config, &start)?;
    for line in config::switches(&config) {
        tracing::info!("{line}");
    }
    let metrics = Metrics::start().map_err(Failure::Failed)?;
    let served = app::serve(source, config, start, &doubtful, metrics, hangup);
    Ok(runtime.block_on(served)?)
}
