//! `config/server.toml` against what is read.

use super::*;

/// Each table that is read, as TOML names it.
const TABLES: [&str; 12] = [
    "",
    "server",
    "server.tls",
    "server.limits",
    "store",
    "plugins",
    "admin",
    "validation",
    "handlers.local",
    "handlers.local.limits",
    "acme.default",
    "est.default",
];

/// Asks each table for a key that is like no other: what is known there is told.
#[test]
fn it_shows_every_key() {
    let sample = sample("server.toml");
    for table in TABLES {
        let (above, dot) = if table.is_empty() {
            ("", "")
        } else {
            (table, ".")
        };
        let text = format!(
            "{above}{dot}zzzzzzzzzzzz = 1\nhandlers.local.plugin = 'p'\nserver.tls.handler = 'local'\n\
             acme.default.handler = 'local'\nest.default.handler = 'local'\n"
        );
        let told = parse(Path::new("x"), &text).unwrap_err().to_string();
        let (_, known) = told.split_once("; known are ").expect(&told);
        for key in known.split(", ") {
            assert!(shows(&sample, table, key), "[{table}] {key}");
        }
    }
}

#[test]
fn it_shows_every_key_of_a_template() {
    let text = "est.default.handler = 'local'\nest.default.template.zzzzzzzzzzzz = 1\n";
    let told = parse(Path::new("x"), text).unwrap_err().to_string();
    let (_, known) = told.split_once("; known are ").expect(&told);
    let (known, _) = known.split_once('\n').unwrap_or((known, ""));
    let sample = sample("server.toml");
    for key in known.split(", ") {
        assert!(shows(&sample, "est.default", key), "{key}");
    }
}

/// The lines from a table's header to the next one's, without the sign of a comment.
fn block<'a>(sample: &'a str, table: &str) -> Vec<&'a str> {
    let table = table
        .strip_suffix(".limits")
        .filter(|table| *table != "server")
        .unwrap_or(table);
    let header = format!("[{table}]");
    let lines = sample
        .lines()
        .skip_while(|line| !table.is_empty() && *line != header);
    let ends = |line: &&str| line.starts_with('[');
    let own = lines.skip(usize::from(!table.is_empty()));
    let own: Vec<&str> = match table.is_empty() {
        true => own.collect(),
        false => own.take_while(|line| !ends(line)).collect(),
    };
    own.iter()
        .map(|line| line.trim_start_matches(['#', ' ']))
        .collect()
}

/// A key in the table's own lines, or a table below it anywhere.
fn shows(sample: &str, table: &str, key: &str) -> bool {
    let below = match table {
        "" => key.to_owned(),
        _ => format!("{table}.{key}"),
    };
    let headers = [format!("[{below}]"), format!("[{below}.")];
    let keys = match table {
        "handlers.local.limits" => vec![format!("limits.{key} =")],
        _ => vec![format!("{key} ="), format!("{key}.")],
    };
    let stands = |lines: &[&str], starts: &[String]| {
        let starts = |line: &&str| starts.iter().any(|start| line.starts_with(start.as_str()));
        lines.iter().any(starts)
    };
    stands(&block(sample, table), &keys) || stands(&block(sample, ""), &headers)
}
