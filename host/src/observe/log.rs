//! The log: one line an event, on standard error, as text or JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    #[default]
    Text,
    Json,
}

/// Starts the log for the whole process. `directives` are those of `RUST_LOG`; without any, `default`
/// holds.
///
/// # Errors
/// One sentence if `directives` can't be read, or if a log runs already.
pub fn start(format: Format, directives: Option<&str>, default: &str) -> Result<(), String> {
    let directives = directives
        .filter(|text| !text.trim().is_empty())
        .unwrap_or(default);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(directives)?)
        .with_writer(std::io::stderr);
    let started = match format {
        Format::Text => builder
            .with_ansi(std::io::stderr().is_terminal())
            .try_init(),
        Format::Json => builder
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .try_init(),
    };
    started.map_err(|error| format!("the log can't be started: {error}"))
}

/// Audit rows are not lost by a filter that does not speak of them.
fn filter(directives: &str) -> Result<EnvFilter, String> {
    let text = if directives.contains("audit") {
        directives.to_owned()
    } else {
        format!("{directives},audit=info")
    };
    EnvFilter::builder().parse(text).map_err(|error| {
        format!("RUST_LOG='{directives}' can't be read: {error}; write RUST_LOG=info, for example")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audit_rows_pass_unless_asked_otherwise() {
        for (directives, expect) in [
            ("warn", true),
            ("off", true),
            ("certdock=debug", true),
            ("info,audit=off", false),
        ] {
            let filter = filter(directives).unwrap().to_string();
            assert_eq!(filter.contains("audit=info"), expect, "{filter}");
        }
        assert!(filter("=,=").is_err());
    }
}
