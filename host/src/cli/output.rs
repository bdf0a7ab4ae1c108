//! Standard output and standard error: the only place that writes to them.

use std::io::{self, Write as _};

use serde::Serialize;

use super::failure::Failure;

/// Writes text to standard output. A reader that has gone, as of `| head`, is no failure.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// Writes a value as indented JSON to standard output.
pub(super) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
    print(&(text + "\n"))
}

/// Writes a line to standard error. Nobody is left to tell if that fails.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Rows under headings, in columns as wide as they must be.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> =
        std::iter::once(headings.iter().map(ToString::to_string).collect())
            .chain(
                rows.iter()
                    .map(|row| row.iter().map(|cell| plain(cell)).collect()),
            )
            .collect();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row: &Vec<String>| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Names with their values, one to a line. Pairs without a value are left out.
pub(super) fn facts(pairs: &[(&str, Option<String>)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max();
    let width = width.unwrap_or_default();
    pairs
        .iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| (name, plain(value))))
        .map(|(name, value)| format!("{name:width$}  {value}\n"))
        .collect()
}

/// What clients and plugins sent must not steer a terminal.
pub(super) fn plain(text: &str) -> String {
    let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [
            vec!["a".to_owned(), "bücher".to_owned(), "x".to_owned()],
            vec!["longer".to_owned(), "\u{1b}[31m".to_owned(), String::new()],
        ];
        assert_eq!(
            table(&["ID", "NAME", "Z"], &rows),
            "ID      NAME    Z\na       bücher  x\nlonger  \u{fffd}[31m\n"
        );
    }

    #[test]
    fn facts_leave_out_what_is_not_there() {
        let pairs = [("id", Some("1".to_owned())), ("revoked", None)];
        assert_eq!(facts(&pairs), "id       1\n");
    }
}
