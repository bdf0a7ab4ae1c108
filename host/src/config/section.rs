//! [`Section`]: a table being read, which remembers what was asked for, so that whatever else stands in
//! it is refused.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::RangeInclusive;

use super::mistake::{Mistake, Place, suggest};
use super::tree::{Node, Tree, Value, join};
use super::value::FromNode;

/// A table of the configuration. Ends with [`finish`](Self::finish).
pub(super) struct Section<'a> {
    /// Dotted path; empty for the whole.
    path: String,
    tree: Option<&'a Tree>,
    place: Option<Place>,
    known: Vec<&'static str>,
    found: &'a RefCell<Vec<Mistake>>,
}

impl<'a> Section<'a> {
    pub(super) fn root(tree: &'a Tree, found: &'a RefCell<Vec<Mistake>>) -> Self {
        Self {
            path: String::new(),
            tree: Some(tree),
            place: None,
            known: Vec::new(),
            found,
        }
    }

    /// The table of this name; an empty one if there is none.
    pub(super) fn section(&mut self, name: &'static str) -> Self {
        let node = self.node(name);
        self.below(name, node)
    }

    /// The tables in the table of this name: any number, named by the operator.
    pub(super) fn named(&mut self, name: &'static str) -> Vec<(&'a str, Self)> {
        let all = self.section(name);
        let Some(tree) = all.tree else {
            return Vec::new();
        };
        tree.0
            .iter()
            .map(|(name, node)| (name.as_str(), all.below(name, Some(node))))
            .collect()
    }

    /// The value, if there is one and it is as it should be.
    pub(super) fn get<T: FromNode>(&mut self, name: &'static str) -> Option<T> {
        let node = self.node(name)?;
        match T::from_node(node) {
            Ok(value) => Some(value),
            Err((place, text)) => {
                self.report(Some(place), name, text);
                None
            }
        }
    }

    pub(super) fn get_or<T: FromNode>(&mut self, name: &'static str, default: T) -> T {
        self.get(name).unwrap_or(default)
    }

    /// The value; where there is none, that is a mistake, and `remedy` says what to write.
    pub(super) fn required<T: FromNode>(&mut self, name: &'static str, remedy: &str) -> Option<T> {
        if self.node(name).is_none() {
            let place = self.place.clone();
            self.report(place, name, format!("this key is missing; {remedy}"));
        }
        self.get(name)
    }

    /// A whole number within bounds.
    pub(super) fn number(
        &mut self,
        name: &'static str,
        default: usize,
        bounds: RangeInclusive<usize>,
    ) -> usize {
        let Some(number) = self.get::<i64>(name) else {
            return default;
        };
        match usize::try_from(number) {
            Ok(number) if bounds.contains(&number) => number,
            _ => {
                let (least, most) = (bounds.start(), bounds.end());
                let text = format!("{number} is out of bounds; write {least} to {most}");
                self.wrong(name, text);
                default
            }
        }
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(
        &mut self,
        name: &'static str,
        default: T,
        words: &[(&str, T)],
    ) -> T {
        let Some(text) = self.get::<String>(name) else {
            return default;
        };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return *value;
        }
        let hint = suggest(&text, words.iter().map(|(word, _)| *word));
        self.wrong(name, format!("'{text}' is not known here{hint}"));
        default
    }

    /// The table as it is, for somebody else to read.
    pub(super) fn tree(&mut self, name: &'static str) -> Option<&'a Tree> {
        match &self.node(name)?.value {
            Value::Table(tree) => Some(tree),
            other => {
                let text = format!("this is {}; write a table", other.kind());
                self.wrong(name, text);
                None
            }
        }
    }

    /// Whether the key is there.
    pub(super) fn has(&mut self, name: &'static str) -> bool {
        self.node(name).is_some()
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// All of the table, read or not.
    pub(super) fn whole(&self) -> Option<&'a Tree> {
        self.tree
    }

    /// Where the table begins.
    pub(super) fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    pub(super) fn place_of(&self, name: &str) -> Option<Place> {
        let node = self.tree.and_then(|tree| tree.0.get(name));
        node.map(|node| node.place.clone())
            .or_else(|| self.place.clone())
    }

    /// Notes that a key's value is wrong.
    pub(super) fn wrong(&self, name: &str, text: impl Display) {
        self.report(self.place_of(name), name, text);
    }

    /// Notes that the table as a whole is wrong.
    pub(super) fn wrong_here(&self, text: impl Display) {
        let mistake = Mistake::new(self.place.clone(), &*self.path, text.to_string());
        self.found.borrow_mut().push(mistake);
    }

    /// Refuses every key that was not asked for.
    pub(super) fn finish(self) {
        let Some(tree) = self.tree else { return };
        for (name, node) in &tree.0 {
            if !self.known.contains(&name.as_str()) {
                let what = match node.value {
                    Value::Table(_) => "table",
                    _ => "key",
                };
                let hint = suggest(name, self.known.iter().copied());
                let text = format!("there is no such {what}{hint}");
                self.report(Some(node.place.clone()), name, text);
            }
        }
    }

    fn below(&self, name: &str, node: Option<&'a Node>) -> Self {
        let path = join(&self.path, name);
        let tree = match node.map(|node| &node.value) {
            Some(Value::Table(tree)) => Some(tree),
            Some(other) => {
                let text = format!("this is {}; write a table, [{path}]", other.kind());
                self.report(node.map(|node| node.place.clone()), name, text);
                None
            }
            None => None,
        };
        Self {
            path,
            tree,
            place: node
                .map(|node| node.place.clone())
                .or_else(|| self.place.clone()),
            known: Vec::new(),
            found: self.found,
        }
    }

    fn node(&mut self, name: &'static str) -> Option<&'a Node> {
        if !self.known.contains(&name) {
            self.known.push(name);
        }
        self.tree.and_then(|tree| tree.0.get(name))
    }

    fn report(&self, place: Option<Place>, name: &str, text: impl Display) {
        let mistake = Mistake::new(place, join(&self.path, name), text.to_string());
        self.found.borrow_mut().push(mistake);
    }
}
