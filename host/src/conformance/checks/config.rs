//! Configurations that are wrong, each in its own way.

use certdock_plugin_api::{Fault, Severity};
use serde_json::{Map, Value, json};

use crate::conformance::bench::{Bench, Loaded};
use crate::conformance::check::Check;
use crate::conformance::json_schema::{complaint, property};
use crate::conformance::process;
use crate::conformance::verdict::{Stop, Verdict, ensure};

use super::schema::schema;

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "config.good",
        "validate_config finds no error in a configuration that opens",
        good,
    )
    .needs("life.opens"),
    Check::new(
        "config.no-table",
        "what is no table, or no JSON at all, is refused",
        no_table,
    )
    .needs("load.links"),
    Check::new(
        "config.unknown-key",
        "a key that does not exist is refused by its name",
        unknown_key,
    )
    .needs("load.links"),
    Check::new(
        "config.wrong-types",
        "whatever the schema refuses of a key, the plugin refuses too",
        wrong_types,
    )
    .needs("schema.published")
    .after(&["config.good"]),
    Check::new(
        "config.missing-keys",
        "a key that the schema requires is missed by its name",
        missing_keys,
    )
    .needs("schema.published"),
    Check::new(
        "config.deep",
        "a configuration of many levels is refused and harms nothing",
        deep,
    )
    .needs("load.links"),
    Check::new(
        "config.huge",
        "a configuration of megabytes is answered",
        huge,
    )
    .needs("load.links")
    .after(&["config.good"]),
    Check::new(
        "config.sentences",
        "a refusal is one sentence for an operator, neither empty nor endless",
        sentences,
    )
    .needs("load.links"),
    Check::new(
        "config.notes",
        "validate_config names the key that is wrong",
        notes,
    )
    .needs("load.links")
    .after(&["config.good"]),
    Check::new(
        "config.looks-only",
        "validate_config leaves no state, threads or descriptors behind",
        looks_only,
    )
    .needs("load.links")
    .after(&["config.good"]),
];

const NONSENSE: &str = "certdock-check-nonsense";

fn no_table(bench: &Bench) -> Verdict {
    let loaded = bench.load()?;
    for config in [
        "", " ", "{", "null", "7", "\"x\"", "{\"a\":}", "\u{0}", "{}{}",
    ] {
        loaded.refuses(config, &format!("'{}'", config.escape_debug()))?;
    }
    Ok(String::new())
}

/// The configuration as a table, to be spoilt.
fn table(bench: &Bench) -> Map<String, Value> {
    let config = serde_json::from_str(bench.config());
    match config {
        Ok(Value::Object(table)) => table,
        _ => Map::new(),
    }
}

fn with(table: &Map<String, Value>, key: &str, value: Value) -> String {
    let mut table = table.clone();
    table.insert(key.to_owned(), value);
    Value::Object(table).to_string()
}

fn unknown_key(bench: &Bench) -> Verdict {
    let loaded = bench.load()?;
    let config = with(&table(bench), NONSENSE, json!(1));
    let fault = loaded.refuses(&config, "a key that does not exist")?;
    names(&fault, NONSENSE)?;
    Ok(String::new())
}

/// Whether an operator learns from a fault which key is wrong.
fn names(fault: &Fault, key: &str) -> Result<(), Stop> {
    ensure(
        fault.code.contains(key) || fault.public.contains(key),
        || format!("`open` does not say which key is wrong ({key}): {fault}"),
    )
}

fn wrong_types(bench: &Bench) -> Verdict {
    let schema = schema(bench)?;
    let loaded = bench.load()?;
    let table = table(bench);
    let keys = schema.get("properties").and_then(Value::as_object);
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1e300),
        json!("\u{0}"),
        json!({ NONSENSE: 7 }),
        json!([{ NONSENSE: null }]),
    ];
    let mut refused = 0;
    for key in keys.into_iter().flat_map(Map::keys) {
        let Some(of_key) = property(&schema, key) else {
            continue;
        };
        // Readers of tables take lists, too, and no server sends one.
        let fair = |value: &&Value| !(value.is_array() && kind(of_key).contains("object"));
        for value in values.iter().filter(fair) {
            let config = with(&table, key, value.clone());
            // Where the schema lets it pass, the plugin may do as it likes, but not panic.
            let asked = Map::from_iter([(key.clone(), value.clone())]);
            let mut alone = schema.clone();
            if let Some(required) = alone.get_mut("required") {
                *required = json!([]);
            }
            if complaint(&alone, &Value::Object(asked)).is_some() {
                let what = format!(
                    "{value} for `{key}`, which its schema ({}) refuses",
                    kind(of_key)
                );
                loaded.refuses(&config, &what)?;
                refused += 1;
            } else if loaded.client.provided().validate_config {
                // Not opened: it might make files where it was told to by mistake.
                loaded.validate(&config)?;
            }
        }
    }
    Ok(format!("{refused} values refused"))
}

fn kind(schema: &Value) -> String {
    schema
        .get("type")
        .map_or_else(|| "of several forms".to_owned(), ToString::to_string)
}

fn missing_keys(bench: &Bench) -> Verdict {
    let schema = schema(bench)?;
    let loaded = bench.load()?;
    let required = schema.get("required").and_then(Value::as_array);
    let mut count = 0;
    for key in required.into_iter().flatten().filter_map(Value::as_str) {
        let mut table = table(bench);
        table.remove(key);
        let config = Value::Object(table).to_string();
        let fault = loaded.refuses(&config, &format!("a configuration without `{key}`"))?;
        // Without a configuration of ours all keys are missing, and one of them is named.
        if bench.settings().config.is_some() {
            names(&fault, key)?;
        }
        count += 1;
    }
    Ok(format!("{count} keys"))
}

fn deep(bench: &Bench) -> Verdict {
    let loaded = bench.load()?;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let levels = 100_000;
        let inner = format!("{}1{}", open.repeat(levels), close.repeat(levels));
        let config = format!("{{\"{NONSENSE}\":{inner}}}");
        loaded.refuses(&config, &format!("{levels} levels"))?;
    }
    Ok(String::new())
}

fn huge(bench: &Bench) -> Verdict {
    let loaded = bench.load()?;
    let table = table(bench);
    let long = Value::from("x".repeat(4 << 20));
    loaded.refuses(
        &with(&table, NONSENSE, long.clone()),
        "a key that does not exist",
    )?;
    if loaded.client.provided().validate_config {
        for key in table.keys() {
            loaded.validate(&with(&table, key, long.clone()))?;
        }
    }
    Ok(String::new())
}

fn sentences(bench: &Bench) -> Verdict {
    let loaded = bench.load()?;
    for config in ["7", &with(&table(bench), NONSENSE, json!(1))] {
        let fault = loaded.refuses(config, "a wrong configuration")?;
        ensure(!fault.public.trim().is_empty(), || {
            "`open` refuses without a word; say what is wrong in the fault's public text".to_owned()
        })?;
        // The boundary cuts what is longer; real ones have a hundred letters.
        ensure(fault.public.len() < 1000, || {
            "`open` refuses with more than a thousand letters; put detail into `private`".to_owned()
        })?;
    }
    Ok(String::new())
}

fn good(bench: &Bench) -> Verdict {
    let notes = bench.load()?.validate(bench.config())?;
    match notes.iter().find(|note| note.severity != Severity::Warning) {
        None => Ok(format!("{} warnings", notes.len())),
        Some(note) if note.severity == Severity::Remote => Err(Stop::Skipped(format!(
            "the CA does not accept the configuration: `{}`: {}",
            note.key, note.message
        ))),
        Some(note) => Err(Stop::Failed(format!(
            "validate_config finds an error where `open` finds none: `{}`: {}",
            note.key, note.message
        ))),
    }
}

fn notes(bench: &Bench) -> Verdict {
    let loaded = bench.load()?;
    let notes = loaded.validate(&with(&table(bench), NONSENSE, json!(1)))?;
    let errors = notes.iter().filter(|note| note.severity == Severity::Error);
    let named = errors
        .into_iter()
        .any(|note| note.key.contains(NONSENSE) || note.message.contains(NONSENSE));
    ensure(named, || {
        "validate_config does not complain of a key that does not exist".to_owned()
    })?;
    for config in ["", "7", "{", "null"] {
        let notes = loaded.validate(config)?;
        ensure(
            notes.iter().any(|note| note.severity == Severity::Error),
            || format!("validate_config finds nothing wrong with '{config}'"),
        )?;
    }
    Ok(String::new())
}

fn looks_only(bench: &Bench) -> Verdict {
    let loaded = bench.load()?;
    (0..3).try_for_each(|_| validate(&loaded, bench))?;
    let (threads, files) = (process::threads()?, process::descriptors()?.len());
    (0..20).try_for_each(|_| validate(&loaded, bench))?;
    let keys = bench.host.state_keys();
    ensure(keys.is_empty(), || {
        format!(
            "validate_config writes to the handler's state: {}",
            keys.join(", ")
        )
    })?;
    let after = process::settles(threads, process::threads)?;
    ensure(after <= threads, || {
        format!("20 times validate_config left {} threads", after - threads)
    })?;
    let after = process::settles(files, || Ok(process::descriptors()?.len()))?;
    ensure(after <= files, || {
        format!(
            "20 times validate_config left {} descriptors open",
            after - files
        )
    })?;
    Ok(String::new())
}

fn validate(loaded: &Loaded, bench: &Bench) -> Result<(), Stop> {
    loaded.validate(bench.config()).map(drop)
}
