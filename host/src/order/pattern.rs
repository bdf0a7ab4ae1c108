//! Patterns of DNS names: "example.com" is that name, "*.example.com" every name below it. Compared
//! label by label.

use crate::order::{DnsName, Identifier};

impl Identifier {
    /// Whether all that this stands for lies inside the pattern.
    #[must_use]
    pub fn is_inside(&self, pattern: &str) -> bool {
        contains(pattern, &self.name, self.wildcard)
    }

    /// Whether something that this stands for lies inside the pattern. A wildcard stands for the names
    /// with one label more (RFC 6125 §6.4.3).
    #[must_use]
    pub fn overlaps(&self, pattern: &str) -> bool {
        if !self.wildcard || pattern.starts_with("*.") {
            return self.is_inside(pattern);
        }
        pattern
            .split_once('.')
            .is_some_and(|(_, parent)| same(parent, self.name.as_str()))
    }
}

fn contains(pattern: &str, name: &DnsName, wildcard: bool) -> bool {
    match pattern.strip_prefix("*.") {
        Some(base) => is_below(name.as_str(), base) || (wildcard && same(name.as_str(), base)),
        None => !wildcard && same(name.as_str(), pattern),
    }
}

fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

fn is_below(name: &str, base: &str) -> bool {
    let Some(at) = name.len().checked_sub(base.len()) else {
        return false;
    };
    let (Some(front), Some(tail)) = (name.get(..at), name.get(at..)) else {
        return false;
    };
    front.ends_with('.') && same(tail, base)
}
