//! What the plugin publishes of its configuration.

use serde_json::Value;

use crate::conformance::bench::Bench;
use crate::conformance::check::Check;
use crate::conformance::json_schema::complaint;
use crate::conformance::verdict::{Stop, Verdict, ensure};

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "schema.published",
        "it publishes a JSON Schema of a table for its configuration",
        published,
    )
    .needs("load.links"),
    Check::new(
        "schema.closed",
        "the schema refuses keys that it does not name",
        closed,
    )
    .needs("schema.published"),
    Check::new(
        "schema.described",
        "the schema says of each key what it is for",
        described,
    )
    .needs("schema.published"),
    Check::new(
        "schema.fits",
        "the configuration that was given fits the schema",
        fits,
    )
    .needs("schema.published"),
];

fn published(bench: &Bench) -> Verdict {
    schema(bench).map(|_| String::new())
}

/// The schema, parsed.
pub(super) fn schema(bench: &Bench) -> Result<Value, Stop> {
    let text = bench.load()?.client.schema();
    ensure(!text.is_empty(), || "it publishes no schema".to_owned())?;
    let schema: Value = serde_json::from_str(&text)
        .map_err(|error| Stop::Failed(format!("its schema is not JSON: {error}")))?;
    ensure(
        schema.get("type").and_then(Value::as_str) == Some("object"),
        || "its schema is not that of a table: its type must be object".to_owned(),
    )?;
    Ok(schema)
}

fn closed(bench: &Bench) -> Verdict {
    let schema = schema(bench)?;
    ensure(
        schema.get("additionalProperties") == Some(&Value::Bool(false)),
        || {
            "its schema lets any key pass; declare the configuration with `config!`, or set \
         additionalProperties to false"
                .to_owned()
        },
    )?;
    Ok(String::new())
}

fn described(bench: &Bench) -> Verdict {
    let schema = schema(bench)?;
    let properties = schema.get("properties").and_then(Value::as_object);
    let text = |key: &Value| {
        let text = key.get("description").and_then(Value::as_str);
        text.is_some_and(|text| !text.trim().is_empty())
    };
    let bare = properties.and_then(|all| all.iter().find(|(_, key)| !text(key)));
    match bare {
        None => Ok(format!("{} keys", properties.map_or(0, |all| all.len()))),
        Some((name, _)) => Err(Stop::Failed(format!(
            "nothing says what the key `{name}` is for; give its field a doc comment"
        ))),
    }
}

fn fits(bench: &Bench) -> Verdict {
    let schema = schema(bench)?;
    if bench.settings().config.is_none() {
        return Err(Stop::skipped(
            "no configuration was given; name one with --config",
        ));
    }
    let config: Value =
        serde_json::from_str(bench.config()).map_err(|error| Stop::Skipped(error.to_string()))?;
    match complaint(&schema, &config) {
        None => Ok(String::new()),
        Some(wrong) => Err(Stop::Failed(format!("by the schema, {wrong}"))),
    }
}
