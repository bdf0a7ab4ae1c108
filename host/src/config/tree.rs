//! [`Tree`]: TOML text as a tree in which every key knows its file and line; several files merged.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::mistake::{Mistake, Place};

/// A table. Its entries stand in order of their names.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree(pub(super) BTreeMap<String, Node>);

/// What a key holds, and where the key stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// RFC 3339
    Datetime(String),
    Array(Vec<Node>),
    Table(Tree),
}

impl Value {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Boolean(_) => "true or false",
            Self::Datetime(_) => "a date",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

impl Tree {
    /// Reads one file's text.
    pub(super) fn parse(file: &Path, text: &str) -> Result<Self, Mistake> {
        let lines = Lines::new(file, text);
        let table = DeTable::parse(text).map_err(|error| {
            let place = error.span().map(|span| lines.place(span.start));
            let message = error.message();
            Mistake::new(place, "", format!("this is not TOML: {message}"))
        })?;
        lines.tree(table.get_ref(), "")
    }

    /// Takes the entries of `other` in. A name that both have is a mistake, except for the tables of
    /// the server's own sections, which are merged: each key may still stand only once.
    pub(super) fn merge(&mut self, other: Self, found: &mut Vec<Mistake>) {
        self.merge_at(other, "", found);
    }

    fn merge_at(&mut self, other: Self, path: &str, found: &mut Vec<Mistake>) {
        for (name, node) in other.0 {
            let key = join(path, &name);
            match self.0.get_mut(&name) {
                None => {
                    self.0.insert(name, node);
                }
                Some(Node {
                    value: Value::Table(ours),
                    ..
                }) if !names_one_thing(&key) && matches!(node.value, Value::Table(_)) => {
                    if let Value::Table(theirs) = node.value {
                        ours.merge_at(theirs, &key, found);
                    }
                }
                Some(first) => {
                    let first = &first.place;
                    let text = format!("this stands in {first} already; remove one of the two");
                    found.push(Mistake::new(Some(node.place), key, text));
                }
            }
        }
    }
}

/// Whether the table at this path is one named thing, which only one file may describe.
fn names_one_thing(path: &str) -> bool {
    ["handlers.", "acme.", "est."]
        .iter()
        .any(|section| path.starts_with(section))
}

pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// The lines of a file, to turn an offset into a line's number.
struct Lines {
    file: Arc<Path>,
    /// Offsets of line breaks.
    breaks: Vec<usize>,
}

impl Lines {
    fn new(file: &Path, text: &str) -> Self {
        Self {
            file: file.into(),
            breaks: text.match_indices('\n').map(|(at, _)| at).collect(),
        }
    }

    fn place(&self, offset: usize) -> Place {
        Place {
            file: Arc::clone(&self.file),
            line: self.breaks.partition_point(|at| *at < offset) + 1,
        }
    }

    fn tree(&self, table: &DeTable<'_>, path: &str) -> Result<Tree, Mistake> {
        let mut entries = BTreeMap::new();
        for (key, value) in table {
            let place = self.place(key.span().start);
            let name = key.get_ref().to_string();
            let value = self.value(value.get_ref(), &place, &join(path, &name))?;
            entries.insert(name, Node { place, value });
        }
        Ok(Tree(entries))
    }

    fn value(&self, value: &DeValue<'_>, place: &Place, path: &str) -> Result<Value, Mistake> {
        let wrong = |text| Mistake::new(Some(place.clone()), path, text);
        Ok(match value {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Integer(number) => Value::Integer(
                i64::from_str_radix(number.as_str(), number.radix())
                    .map_err(|_| wrong("this number is too large"))?,
            ),
            DeValue::Float(number) => Value::Float(
                number
                    .as_str()
                    .parse()
                    .ok()
                    .filter(|number: &f64| number.is_finite())
                    .ok_or_else(|| wrong("this is not a finite number"))?,
            ),
            DeValue::Boolean(flag) => Value::Boolean(*flag),
            DeValue::Datetime(time) => Value::Datetime(time.to_string()),
            DeValue::Array(items) => Value::Array(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| {
                        let place = self.place(item.span().start);
                        let value =
                            self.value(item.get_ref(), &place, &format!("{path}[{index}]"))?;
                        Ok(Node { place, value })
                    })
                    .collect::<Result<_, Mistake>>()?,
            ),
            DeValue::Table(table) => Value::Table(self.tree(table, path)?),
        })
    }
}
